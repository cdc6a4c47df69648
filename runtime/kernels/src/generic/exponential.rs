use crate::Activation;
use crate::math::fma;
use crate::polynomials::{ERF, EXP, LN2_HIGH, LN2_LOW, Odd, QUICK, ROUND_AND_BIAS, TANH, TANH_GELU};

/// `eˣ` within 2 ulp; 0 below -87.7, and no more than e⁸⁸.
#[inline(never)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-88.0, 88.0);
    let biased = fma(x, core::f32::consts::LOG2_E, ROUND_AND_BIAS);
    let n = biased - ROUND_AND_BIAS;
    let r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x));
    let square = r * r;
    let upper = fma(square, EXP[0], fma(r, EXP[1], EXP[2]));
    let lower = fma(r, EXP[3], EXP[4]);
    let p = fma(fma(upper, square, lower), square, r);
    (p + 1.0) * f32::from_bits(biased.to_bits() << 23)
}

/// What an activation makes of a number.
#[inline(never)]
pub fn activate(x: f32, activation: Activation) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Gelu => halved(x, &ERF, x),
        Activation::QuickGelu => halved(x, &QUICK, x),
        Activation::TanhGelu => halved(x, &TANH, fma(x * x, TANH_GELU[0], TANH_GELU[1]) * x),
    }
}

/// `½ x (1 + e(t))`
fn halved(x: f32, e: &Odd, t: f32) -> f32 {
    let Odd { p, q, bound, half, .. } = e;
    let t = if t > *bound { *bound } else { t };
    let t = if t < -bound { -bound } else { t };
    let u = t * t;
    let u2 = u * u;
    let middle = fma(fma(p[6], u2, fma(p[5], u, p[4])), u2, fma(p[3], u, p[2]));
    let p = fma(middle, u2, fma(p[1], u, p[0]));
    let q = fma(fma(q[4], u2, fma(q[3], u, q[2])), u2, fma(q[1], u, q[0]));
    let half = x * half;
    fma(half, t * p / q, half)
}
