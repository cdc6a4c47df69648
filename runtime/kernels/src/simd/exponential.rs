use super::Simd;

/// ln 2 in two parts: multiples of the first by small integers are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// Adding this to a float rounds it to an integer, and leaves that integer plus 127 in the low bits.
const ROUND_AND_BIAS: f32 = 12_582_912.0 + 127.0;

/// `eˣ` within 2 ulp; 0 below -87.7, and no more than e⁸⁸.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(88.0), s.max(s.splat(-88.0), x));
    let bias = s.splat(ROUND_AND_BIAS);
    let biased = s.fma(x, s.splat(core::f32::consts::LOG2_E), bias);
    let n = s.sub(biased, bias);
    let r = s.fma(n, s.splat(-LN2_LOW), s.fma(n, s.splat(-LN2_HIGH), x));
    // (eʳ - 1 - r) / r² on ±ln 2 / 2, minimax for the relative error of eʳ.
    let mut p = s.splat(0.001_381_456_3);
    p = s.fma(p, r, s.splat(0.008_368_735));
    p = s.fma(p, r, s.splat(0.041_668_39));
    p = s.fma(p, r, s.splat(0.166_665_21));
    p = s.fma(p, r, s.splat(0.499_999_94));
    p = s.fma(s.mul(r, r), p, r);
    let power = s.exponent(biased);
    s.fma(p, power, power)
}

/// `x Φ(x)`, within 1.5e-7 · |x|.
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    // Φ(-t) = ½ exp(-t p(t)); p is minimax on [0, 8] for the error of Φ, and beyond it Φ is 0 or 1 for a float.
    let t = s.min(s.splat(8.0), s.abs(x));
    let mut p = s.splat(-1.737_897_3e-7);
    p = s.fma(p, t, s.splat(4.100_884e-6));
    p = s.fma(p, t, s.splat(-3.791_400_7e-5));
    p = s.fma(p, t, s.splat(1.566_288_6e-4));
    p = s.fma(p, t, s.splat(5.462_017_7e-5));
    p = s.fma(p, t, s.splat(-0.004_862_769));
    p = s.fma(p, t, s.splat(0.036_372_937));
    p = s.fma(p, t, s.splat(0.318_301_9));
    p = s.fma(p, t, s.splat(0.797_885_1));
    let lower = s.mul(s.splat(0.5), exp(s, s.mul(s.sub(s.splat(0.0), t), p)));
    s.mul(x, s.if_negative(x, lower, s.sub(s.splat(1.0), lower)))
}

/// `x · sigmoid(1.702 x)`
#[inline(always)]
pub fn quick_gelu<S: Simd>(s: S, x: S::V) -> S::V {
    s.div(x, s.add(s.splat(1.0), exp(s, s.mul(s.splat(-1.702), x))))
}

/// `½ x (1 + tanh u) = x · sigmoid(2 u)` with `u = √(2/π) (x + 0.044715 x³)`
#[inline(always)]
pub fn tanh_gelu<S: Simd>(s: S, x: S::V) -> S::V {
    let slope = s.fma(s.mul(x, x), s.splat(-0.071_354_815), s.splat(-1.595_769_1));
    s.div(x, s.add(s.splat(1.0), exp(s, s.mul(slope, x))))
}
