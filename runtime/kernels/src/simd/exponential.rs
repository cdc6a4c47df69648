use super::Simd;
use crate::polynomials::{EXP, LN2_HIGH, LN2_LOW, ROUND_AND_BIAS};

/// `eˣ` for `x ≤ 0`, within 2 ulp; 0 below -87.7.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.max(s.splat(-88.0), x);
    let bias = s.splat(ROUND_AND_BIAS);
    let biased = s.fma(x, s.splat(core::f32::consts::LOG2_E), bias);
    let n = s.sub(biased, bias);
    let r = s.fma(n, s.splat(-LN2_LOW), s.fma(n, s.splat(-LN2_HIGH), x));
    let square = s.mul(r, r);
    let upper = s.fma(square, s.splat(EXP[0]), s.fma(r, s.splat(EXP[1]), s.splat(EXP[2])));
    let lower = s.fma(r, s.splat(EXP[3]), s.splat(EXP[4]));
    let p = s.fma(s.fma(upper, square, lower), square, r);
    s.mul(s.add(p, s.splat(1.0)), s.exponent(biased))
}
