//! Layers of halves in half precision: what the vector kernels and their plain twin agree on.
//!
//! A row of activations becomes halves in units of a [`scale`]. Its products with an output's weights are added one after the other, each rounded to
//! a half once, [`RUN`] of them at a time; these sums are added in single precision. The scale leaves so much room that only weights in the hundreds
//! or more make them overflow, and such a sum stays infinite or no number: it is computed again in single precision.

/// Products that are added in half precision, a multiple of 8. The more they are, the larger the sums and so their rounding errors.
pub const RUN: usize = 64;

/// The unit of a row whose largest magnitude is this: a power of two, in which that is 8 to 16.
pub fn scale(largest: f32) -> f32 {
    const MANTISSA_BITS: u32 = 23;
    let exponent = (largest.to_bits() >> MANTISSA_BITS).clamp(4, 254);
    f32::from_bits((exponent - 3) << MANTISSA_BITS)
}
