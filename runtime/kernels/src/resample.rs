use crate::Kernels;

/// Columns that [`Kernels::filter_line`] takes at a time: an entry's weights are padded to a multiple of this.
pub const TAPS: usize = 8;

/// Fractional bits of a weight of a resampled line.
pub const FRACTION: u32 = 22;

/// What sums start from, so that they are rounded when their fraction is cut off.
pub(crate) const HALF: i32 = 1 << (FRACTION - 1);

/// Resampling of bytes by weights in fixed point, [`FRACTION`] bits behind the point. Where two lengths differ, the shorter one counts.
impl Kernels {
    /// Takes the channels of a line `[pixels, 3]` apart.
    pub fn split_channels(&self, line: &[u8], planes: [&mut [u8]; 3]) {
        // SAFETY: a `Kernels` proves the instructions.
        unsafe { (self.table().split_channels)(line, planes) }
    }

    /// Filters a line whose channels lie apart into the pixels of `out`. The `table` has `entry` words for each pixel: the first column that
    /// counts, how many do, and their weights, zeros behind them up to a multiple of [`TAPS`]. So many columns the planes must have.
    pub fn filter_line(&self, planes: [&[u8]; 3], table: &[i32], entry: usize, out: &mut [[u8; 3]]) {
        // SAFETY: a `Kernels` proves the instructions.
        unsafe { (self.table().filter_line)(planes, table, entry, out) }
    }

    /// The weighted sum of lines; `sums` is work space as long as they are.
    pub fn filter_lines<'a>(&self, lines: impl Iterator<Item = (&'a [u8], i32)>, sums: &mut [i32], out: &mut [u8]) {
        sums.fill(HALF);
        for (line, weight) in lines {
            // SAFETY: a `Kernels` proves the instructions.
            unsafe { (self.table().add_line)(sums, line, weight) }
        }
        for (byte, &sum) in out.iter_mut().zip(&*sums) {
            *byte = rounded(sum);
        }
    }
}

/// A sum that began at [`HALF`] as a byte.
#[inline(always)]
pub(crate) fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}
