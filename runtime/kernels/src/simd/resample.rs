//! Resampling, written so that a compiler makes vectors of it. The other kernels of it are the plain ones, compiled for the instruction set.

use crate::part::Part;
use crate::resample::{HALF, TAPS, rounded};

pub use crate::generic::resample::{add_line, split_channels};

#[inline(always)]
pub fn filter_line(planes: [&[u8]; 3], table: &[i32], entry: usize, out: &mut [[u8; 3]]) {
    for (pixel, entry) in out.iter_mut().zip(table.pieces(entry)) {
        let [first, count, weights @ ..] = entry else { return };
        let (first, weights) = (*first as usize, weights.as_chunks().0);
        let steps = (*count as usize).div_ceil(TAPS).min(weights.len());
        for c in 0..3 {
            let columns = planes[c].part(first..first + steps * TAPS).as_chunks().0;
            pixel[c] = rounded(weigh(columns, &weights[..steps]));
        }
    }
}

#[inline(always)]
fn weigh(columns: &[[u8; TAPS]], weights: &[[i32; TAPS]]) -> i32 {
    let mut sums = [0i32; TAPS];
    for (columns, weights) in columns.iter().zip(weights) {
        for i in 0..TAPS {
            sums[i] = sums[i].wrapping_add(i32::from(columns[i]).wrapping_mul(weights[i]));
        }
    }
    sums.into_iter().fold(HALF, i32::wrapping_add)
}
