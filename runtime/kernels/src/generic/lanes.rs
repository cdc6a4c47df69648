//! Sums as vectors of sixteen make them: element `i` goes to lane `i mod 16`, and the lanes are added by halves.
//!
//! The twins add in this order and multiply and add in one rounding, so that they give the same bits as every vector kernel: an 8-bit
//! activation is then never rounded one way here and the other way there.

use crate::LANES;
use crate::math::fma;

/// Sum of the lanes.
#[inline(never)]
pub fn sum(lanes: [f32; LANES]) -> f32 {
    let eight: [f32; 8] = core::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = core::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Adds each element to its lane.
#[inline(never)]
pub fn add(lanes: &mut [f32; LANES], x: &[f32]) {
    for chunk in x.chunks(LANES) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x);
    }
}

/// `Σ a b`
#[inline(never)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane = fma(*a, *b, *lane));
    }
    sum(lanes)
}
