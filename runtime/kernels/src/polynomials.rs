//! Approximations that all instruction sets evaluate with the same multiply-adds, so that all give the same bits.

/// ln 2 in two parts: multiples of the first by small integers are exact.
pub const LN2_HIGH: f32 = 0.693_359_4;
/// What lacks.
pub const LN2_LOW: f32 = -2.121_944_4e-4;

/// Adding this to a float rounds it to an integer, and leaves that integer plus 127 in the low bits.
pub const ROUND_AND_BIAS: f32 = 12_582_912.0 + 127.0;

/// `(eʳ - 1 - r) / r²` on ±ln 2 / 2, minimax for the relative error of `eʳ`; highest power first.
pub const EXP: [f32; 5] = [0.001_381_456_3, 0.008_368_735, 0.041_668_39, 0.166_665_21, 0.499_999_94];

/// `p` of `Φ(-t) = ½ exp(-t p(t))`, minimax on `0..=8` for the error of `Φ`; beyond it `Φ` is 0 or 1 for a float. Highest power first.
pub const GELU: [f32; 9] = [
    -1.737_897_3e-7,
    4.100_884e-6,
    -3.791_400_7e-5,
    1.566_288_6e-4,
    5.462_017_7e-5,
    -0.004_862_769,
    0.036_372_937,
    0.318_301_9,
    0.797_885_1,
];

/// `-2 √(2/π)` and that times 0.044715: the slope of GELU's approximation by the hyperbolic tangent.
pub const TANH_GELU: [f32; 2] = [-0.071_354_815, -1.595_769_2];
