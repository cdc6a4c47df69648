use super::exponential::activate;
use crate::math::{self, fma};
use crate::part::Part;
use crate::table::Block;
use crate::{LANES, Panels};

/// A block of a linear layer, one panel and one row at a time.
pub fn block(block: &Block, _room: &mut [f32]) {
    for panel in block.panels.clone() {
        for row in block.rows.clone() {
            let sums = match block.layer.panels {
                Panels::F32(weights) => float_sums(block, weights, panel, row, |w| w),
                Panels::F16(weights) => float_sums(block, weights, panel, row, math::f16_to_f32),
                Panels::I8 { weight, .. } => real(block, panel, row, integer_sums(block, weight, panel, row)),
            };
            write(block, panel, row, sums);
        }
    }
}

pub fn float_sums<W: Copy>(
    block: &Block,
    weights: &[W],
    panel: usize,
    row: usize,
    widen: impl Fn(W) -> f32,
) -> [f32; LANES] {
    let depth = block.layer.inputs * LANES;
    let weights = weights.part(panel * depth..(panel + 1) * depth);
    let mut sums = bias(block, panel);
    for (x, weights) in block.x.row(row).iter().zip(weights.as_chunks::<LANES>().0) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = fma(*x, widen(*weight), *sum);
        }
    }
    sums
}

/// A panel's bias, or zeros.
pub fn bias(block: &Block, panel: usize) -> [f32; LANES] {
    let mut bias = [0.0; LANES];
    if !block.layer.bias.is_empty() {
        bias.copy_from(block.layer.bias.part(panel * LANES..(panel + 1) * LANES));
    }
    bias
}

fn integer_sums(block: &Block, weights: &[i8], panel: usize, row: usize) -> [i32; LANES] {
    let depth = block.layer.inputs.next_multiple_of(4) * LANES;
    let weights = weights.part(panel * depth..(panel + 1) * depth);
    let mut sums = [0; LANES];
    for (x, weights) in block.narrowed.row(row).as_chunks::<4>().0.iter().zip(weights.as_chunks::<{ 4 * LANES }>().0) {
        for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
            for (x, weight) in x.iter().zip(weights) {
                *sum += i32::from(*x) * i32::from(*weight);
            }
        }
    }
    sums
}

/// What the sums of an integer layer stand for, with the bias: the bytes are around 128, in units of their row's scale.
#[inline(never)]
pub fn real(block: &Block, panel: usize, row: usize, sums: [i32; LANES]) -> [f32; LANES] {
    let mut real = bias(block, panel);
    let Panels::I8 { scale, zero, .. } = block.layer.panels else { return real };
    let row_scale = block.narrowed.scales.at(row);
    let outputs = panel * LANES..(panel + 1) * LANES;
    let (scale, zero) = (scale.part(outputs.clone()), zero.part(outputs));
    for ((real, sum), (scale, zero)) in real.iter_mut().zip(sums).zip(scale.iter().zip(zero)) {
        *real += sum.wrapping_sub(*zero) as f32 * (row_scale * scale);
    }
    real
}

/// Activates a panel's sums for a row, and writes or adds them to the result.
#[inline(never)]
pub fn write(block: &Block, panel: usize, row: usize, sums: [f32; LANES]) {
    let outputs = panel * LANES..(panel + 1) * LANES;
    // SAFETY: nobody else writes the rows and panels of a block.
    let y = unsafe { block.y.segment(row, outputs) };
    for (y, sum) in y.iter_mut().zip(sums) {
        let value = activate(sum, block.activation);
        *y = if block.accumulate { *y + value } else { value };
    }
}

/// Writes a row as unsigned bytes around 128; bands are a row high.
pub fn quantise(row: &[f32], _height: usize, bytes: &mut [u8]) -> f32 {
    /// Adding this to a float within ±127 rounds it, and leaves it plus 128 in the lowest byte.
    const ROUND_AROUND_128: f32 = 12_582_912.0 + 128.0;
    let largest = row.iter().fold(1e-20, |largest: f32, x| largest.max(x.abs()));
    let factor = 127.0 / largest;
    for (byte, x) in bytes.iter_mut().zip(row) {
        *byte = (x * factor + ROUND_AROUND_128).to_bits() as u8;
    }
    largest / 127.0
}
