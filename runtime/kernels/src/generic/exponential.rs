use crate::Activation;
use crate::math::fma;
use crate::polynomials::{EXP, GELU, LN2_HIGH, LN2_LOW, ROUND_AND_BIAS, TANH_GELU};

/// `eˣ` within 2 ulp; 0 below -87.7, and no more than e⁸⁸.
#[inline(never)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-88.0, 88.0);
    let biased = fma(x, core::f32::consts::LOG2_E, ROUND_AND_BIAS);
    let n = biased - ROUND_AND_BIAS;
    let r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x));
    let p = fma(r * r, polynomial(EXP, r), r);
    let power = f32::from_bits(biased.to_bits() << 23);
    fma(p, power, power)
}

/// What an activation makes of a number.
#[inline(never)]
pub fn activate(x: f32, activation: Activation) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Gelu => {
            let t = if x.abs() > 8.0 { 8.0 } else { x.abs() };
            let lower = 0.5 * exp(-t * polynomial(GELU, t));
            x * if x < 0.0 { lower } else { 1.0 - lower }
        }
        Activation::QuickGelu => x / (1.0 + exp(-1.702 * x)),
        Activation::TanhGelu => x / (1.0 + exp(polynomial(TANH_GELU, x * x) * x)),
    }
}

/// A polynomial by Horner's rule, its coefficients from the highest power down.
fn polynomial<const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    let [highest, rest @ ..] = &coefficients[..] else { return 0.0 };
    rest.iter().fold(*highest, |p, coefficient| fma(p, x, *coefficient))
}
