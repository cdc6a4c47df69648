use crate::table::Block;
use crate::{Activation, LANES, Panels, math};

/// A block of a linear layer, one panel and one row at a time.
pub fn block(block: &Block) {
    for panel in block.panels.clone() {
        for row in block.rows.clone() {
            let mut sums = match block.layer.panels {
                Panels::F32(weights) => float_sums(block, weights, panel, row, |w| w),
                Panels::F16(weights) => float_sums(block, weights, panel, row, math::f16_to_f32),
                Panels::I8 { weight, scale, zero } => integer_sums(block, weight, scale, zero, panel, row),
            };
            let columns = panel * LANES..(panel + 1) * LANES;
            if !block.layer.bias.is_empty() {
                for (sum, bias) in sums.iter_mut().zip(&block.layer.bias[columns.clone()]) {
                    *sum += bias;
                }
            }
            // SAFETY: nobody else writes the rows and panels of a block.
            let y = unsafe { block.y.segment(row, columns) };
            for (y, sum) in y.iter_mut().zip(sums) {
                let value = activate(sum, block.activation);
                *y = if block.accumulate { *y + value } else { value };
            }
        }
    }
}

fn float_sums<W: Copy>(
    block: &Block,
    weights: &[W],
    panel: usize,
    row: usize,
    widen: impl Fn(W) -> f32,
) -> [f32; LANES] {
    let inputs = block.layer.inputs;
    let panel = &weights[panel * inputs * LANES..][..inputs * LANES];
    let mut sums = [0.0; LANES];
    for (x, weights) in block.x.row(row).iter().zip(panel.as_chunks::<LANES>().0) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += x * widen(*weight);
        }
    }
    sums
}

fn integer_sums(block: &Block, weights: &[i8], scale: &[f32], zero: &[i32], panel: usize, row: usize) -> [f32; LANES] {
    let depth = block.layer.inputs.next_multiple_of(4) * LANES;
    let panel_weights = &weights[panel * depth..][..depth];
    let x = &block.quantised.bytes[row * block.quantised.stride..];
    let mut sums = [0i32; LANES];
    for (x, weights) in x.as_chunks::<4>().0.iter().zip(panel_weights.as_chunks::<{ 4 * LANES }>().0) {
        for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
            for (x, weight) in x.iter().zip(weights) {
                *sum += i32::from(*x) * i32::from(*weight);
            }
        }
    }
    core::array::from_fn(|lane| {
        let output = panel * LANES + lane;
        sums[lane].wrapping_sub(zero[output]) as f32 * (block.quantised.scales[row] * scale[output])
    })
}

/// Writes a row as unsigned bytes around 128.
pub fn quantise(row: &[f32], bytes: &mut [u8]) -> f32 {
    let largest = row.iter().fold(1e-20, |largest: f32, x| largest.max(x.abs()));
    let factor = 127.0 / largest;
    bytes.fill(0);
    for (byte, x) in bytes.iter_mut().zip(row) {
        *byte = (math::round_ties_even(x * factor) + 128.0) as u8;
    }
    largest / 127.0
}

pub fn activate(x: f32, activation: Activation) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Gelu => 0.5 * x * (1.0 + math::erf(x * core::f32::consts::FRAC_1_SQRT_2)),
        Activation::QuickGelu => x / (1.0 + math::exp(-1.702 * x)),
        Activation::TanhGelu => 0.5 * x * (1.0 + math::tanh(0.797_884_56 * (x + 0.044_715 * x * x * x))),
    }
}
