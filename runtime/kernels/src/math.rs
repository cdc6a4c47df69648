//! Scalar functions that `core` does not have.

/// Square root, correctly rounded.
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// `eˣ`
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// Natural logarithm.
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// Error function.
pub fn erf(x: f32) -> f32 {
    libm::erff(x)
}

/// Hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    libm::tanhf(x)
}

/// Nearest integer, halves to the even one.
pub fn round_ties_even(x: f32) -> f32 {
    libm::rintf(x)
}

/// IEEE half precision to single, exactly.
pub fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = match magnitude >> 10 {
        // 2⁻²⁴ is the unit of the subnormals, so zero comes out right as well.
        0 => (magnitude as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => (magnitude << 13) | 0x7f80_0000,
        _ => (magnitude << 13) + ((127 - 15) << 23),
    };
    f32::from_bits(sign | bits)
}
