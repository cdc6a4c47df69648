use super::linear::{self, bias, write};
use crate::halves::{RUN, scale};
use crate::math::{self, fma};
use crate::part::Part;
use crate::table::Block;
use crate::{LANES, Panels};

/// A block of a linear layer, of halves in half precision.
pub fn block(block: &Block, room: &mut [f32]) {
    let Panels::F16(weights) = block.layer.panels else { return linear::block(block, room) };
    if block.narrowed.scales.is_empty() {
        return linear::block(block, room);
    }
    for panel in block.panels.clone() {
        for row in block.rows.clone() {
            let sums = half_sums(block, weights, panel, row);
            let finite = sums.iter().all(|sum| sum.is_finite());
            let real = if finite {
                real(block, panel, row, sums)
            } else {
                linear::float_sums(block, weights, panel, row, math::f16_to_f32)
            };
            write(block, panel, row, real);
        }
    }
}

/// A panel's sums for a row, in units of the row's scale.
fn half_sums(block: &Block, weights: &[u16], panel: usize, row: usize) -> [f32; LANES] {
    let depth = block.layer.inputs * LANES;
    let weights = weights.part(panel * depth..(panel + 1) * depth);
    let row_scale = f64::from(block.narrowed.scales.at(row));
    let mut sums = [0.0; LANES];
    for (x, weights) in block.x.row(row).chunks(RUN).zip(weights.chunks(RUN * LANES)) {
        let mut halves = [0.0; LANES];
        for (x, weights) in x.iter().zip(weights.as_chunks::<LANES>().0) {
            let x = nearest(f64::from(*x) / row_scale);
            for (half, weight) in halves.iter_mut().zip(weights) {
                // A product of halves is exact in double precision, and so is its sum with a half where that matters for the rounding.
                *half = nearest(x * f64::from(math::f16_to_f32(*weight)) + *half);
            }
        }
        sums.iter_mut().zip(halves).for_each(|(sum, half)| *sum += half as f32);
    }
    sums
}

/// What the sums stand for, with the bias.
fn real(block: &Block, panel: usize, row: usize, sums: [f32; LANES]) -> [f32; LANES] {
    let mut real = bias(block, panel);
    let row_scale = block.narrowed.scales.at(row);
    real.iter_mut().zip(sums).for_each(|(real, sum)| *real = fma(sum, row_scale, *real));
    real
}

/// The nearest half, of two the even one.
fn nearest(x: f64) -> f64 {
    const MANTISSA_BITS: u32 = 52;
    const BIAS: u64 = 1023;
    const LARGEST: f64 = 65504.0;
    let exponent = (x.abs().to_bits() >> MANTISSA_BITS).clamp(BIAS - 14, BIAS + 16);
    // What is added to this is rounded to a multiple of a half's last bit.
    let rounds = 1.5 * f64::from_bits((exponent + 42) << MANTISSA_BITS);
    let nearest = (x + rounds) - rounds;
    if nearest.abs() > LARGEST { f64::INFINITY.copysign(x) } else { nearest }
}

/// The scale of a row; what it makes of the row is computed when it is needed.
pub fn narrow(row: &[f32], _height: usize, _bytes: &mut [u8]) -> f32 {
    scale(row.iter().fold(0.0, |largest: f32, x| largest.max(x.abs())))
}
