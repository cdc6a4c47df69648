//! Approximations that all instruction sets evaluate with the same multiply-adds, so that all give the same bits.

/// ln 2 in two parts: multiples of the first by small integers are exact.
pub const LN2_HIGH: f32 = 0.693_359_4;
/// What lacks.
pub const LN2_LOW: f32 = -2.121_944_4e-4;

/// Adding this to a float rounds it to an integer, and leaves that integer plus 127 in the low bits.
pub const ROUND_AND_BIAS: f32 = 12_582_912.0 + 127.0;

/// `(eʳ - 1 - r) / r²` on ±ln 2 / 2, minimax for the relative error of `eʳ`; highest power first.
pub const EXP: [f32; 5] = [0.001_381_432, 0.008_368_852, 0.041_668_4, 0.166_665_2, 0.499_999_94];

/// An odd function from -1 to 1: `t P(t²) / Q(t²)`, minimax for the absolute error, for `t` within ± a bound, where it is exactly ±1.
#[repr(C)]
pub struct Odd {
    /// Lowest power first.
    pub p: [f32; 7],
    pub bound: f32,
    /// Lowest power first.
    pub q: [f32; 5],
    /// What comes before `x (1 + e)` in the activations, so that it lies with the rest.
    pub half: f32,
    /// Whole vectors of four.
    padding: [f32; 2],
}

/// `erf(x / √2)`
pub static ERF: Odd = Odd {
    p: [0.797_884_46, 0.067_393_42, 0.008_729_805, 2.963_404_4e-4, 6.076_119_5e-6, -4.504_411_4e-8, 2.422_051_7e-10],
    bound: 5.221_980_6,
    q: [1.0, 0.251_130_43, 0.027_798_975, 0.001_700_063_9, 5.527_915_7e-5],
    half: 0.5,
    padding: [0.0; 2],
};

/// `tanh(0.851 x)`
pub static QUICK: Odd = Odd {
    p: [0.850_999_9, 0.085_376_345, 0.001_825_792_1, 1.064_291_5e-5, 1.065_313_2e-8, -5.334_249_5e-12, 3.122_471_6e-15],
    bound: 10.417_434,
    q: [1.0, 0.341_725_02, 0.014_709_067_5, 1.650_062_5e-4, 4.577_624_7e-7],
    half: 0.5,
    padding: [0.0; 2],
};

/// `tanh(x)`
pub static TANH: Odd = Odd {
    p: [1.0, 0.138_531_64, 0.004_090_756, 3.292_714e-5, 4.551_052_5e-8, -3.146_656_2e-11, 2.543_409_5e-14],
    bound: 8.865_156,
    q: [1.0, 0.471_865, 0.028_045_744, 4.344_333_7e-4, 1.664_195_2e-6],
    half: 0.5,
    padding: [0.0; 2],
};

/// `√(2/π)` times 0.044715 and alone: the slope of the argument of GELU's hyperbolic tangent.
pub const TANH_GELU: [f32; 2] = [0.035_677_408, 0.797_884_6];
