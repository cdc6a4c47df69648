use super::Simd;
use crate::polynomials::{EXP, GELU, LN2_HIGH, LN2_LOW, ROUND_AND_BIAS, TANH_GELU};

/// A polynomial by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, coefficients: [f32; N], x: S::V) -> S::V {
    let mut p = s.splat(coefficients[0]);
    for i in 1..N {
        p = s.fma(p, x, s.splat(coefficients[i]));
    }
    p
}

/// `eˣ` within 2 ulp; 0 below -87.7, and no more than e⁸⁸.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(88.0), s.max(s.splat(-88.0), x));
    let bias = s.splat(ROUND_AND_BIAS);
    let biased = s.fma(x, s.splat(core::f32::consts::LOG2_E), bias);
    let n = s.sub(biased, bias);
    let r = s.fma(n, s.splat(-LN2_LOW), s.fma(n, s.splat(-LN2_HIGH), x));
    let p = s.fma(s.mul(r, r), polynomial(s, EXP, r), r);
    let power = s.exponent(biased);
    s.fma(p, power, power)
}

/// `x Φ(x)`, within 1.5e-7 · |x|.
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    let t = s.min(s.splat(8.0), s.abs(x));
    let p = polynomial(s, GELU, t);
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
    let slope = polynomial(s, TANH_GELU, s.mul(x, x));
    s.div(x, s.add(s.splat(1.0), exp(s, s.mul(slope, x))))
}
