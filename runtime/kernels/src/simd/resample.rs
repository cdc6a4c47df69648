//! Resampling. A compiler makes vectors of the plain twins but for the filter along a line.

use crate::part::Part;
use crate::resample::TAPS;
#[cfg(target_arch = "x86_64")]
use crate::x86::resample::pixel;

pub use crate::generic::resample::{add_line, split_channels};

#[inline(always)]
pub fn filter_line(planes: [&[u8]; 3], table: &[i32], entry: usize, out: &mut [[u8; 3]]) {
    for (to, entry) in out.iter_mut().zip(table.pieces(entry)) {
        let [first, count, weights @ ..] = entry else { return };
        let (first, weights) = (*first as usize, weights.as_chunks::<TAPS>().0);
        let steps = (*count as usize).div_ceil(TAPS).min(weights.len());
        let columns = planes.map(|plane| plane.part(first..first + steps * TAPS).as_chunks().0);
        // SAFETY: on this architecture all tables but that of the plain twins have what it takes.
        #[allow(unused_unsafe, reason = "others need nothing")]
        let pixel = unsafe { pixel(columns, &weights[..steps]) };
        *to = pixel;
    }
}

/// A pixel: the weighted sum of its columns in each channel, of which there are as many as weights.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn pixel(columns: [&[[u8; TAPS]]; 3], weights: &[[i32; TAPS]]) -> [u8; 3] {
    use crate::resample::{HALF, rounded};
    columns.map(|columns| {
        let mut sums = [0i32; TAPS];
        for (columns, weights) in columns.iter().zip(weights) {
            for i in 0..TAPS {
                sums[i] = sums[i].wrapping_add(i32::from(columns[i]).wrapping_mul(weights[i]));
            }
        }
        rounded(sums.into_iter().fold(HALF, i32::wrapping_add))
    })
}
