//! Antialiased resampling in 22-bit fixed point, horizontally and then vertically with bytes in between, as Pillow does it.
//!
//! Each source row is filtered horizontally once, when the first output row reads it, and kept in a ring of as many rows
//! as one output row reads. The resized image never exists as a whole.

use super::{Rgb, crop::Side};
use crate::Error;
use core::ops::Range;

const PRECISION: u32 = 22;
const HALF: i32 = 1 << (PRECISION - 1);

/// A resampling filter. It widens when the image shrinks, so that every source pixel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Keys' cubic with a = −½.
    Bicubic,
}

impl Filter {
    /// Half the filter's width, in source pixels of an image that does not shrink.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = if x < 0.0 { -x } else { x };
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// How one dimension is resampled.
#[derive(Clone, Copy, Debug)]
struct Axis {
    filter: Filter,
    source: usize,
    scale: f64,
    stretch: f64,
    support: f64,
}

impl Axis {
    /// `None` if the dimension keeps its length: it is then copied.
    fn new(filter: Filter, side: &Side) -> Option<Axis> {
        let scale = side.source as f64 / side.resized as f64;
        let stretch = if scale < 1.0 { 1.0 } else { scale };
        let support = filter.support() * stretch;
        (side.source != side.resized).then_some(Axis { filter, source: side.source, scale, stretch, support })
    }

    /// The most source pixels that one output pixel reads.
    fn taps(&self) -> usize {
        let reach = self.support as usize;
        reach.saturating_mul(2).saturating_add(3).min(self.source)
    }

    fn centre(&self, output: usize) -> f64 {
        (output as f64 + 0.5) * self.scale
    }

    /// The source pixels that `output` reads.
    fn window(&self, output: usize) -> Range<usize> {
        let centre = self.centre(output);
        // Casts from float to integer saturate: a negative start becomes 0.
        let start = ((centre - self.support + 0.5) as usize).min(self.source - 1);
        let end = ((centre + self.support + 0.5) as usize).clamp(start + 1, self.source);
        start..end.min(start + self.taps())
    }

    /// Writes the fixed-point weights of `output` and gives the source pixels they belong to.
    fn weights(&self, output: usize, weights: &mut [i32]) -> Range<usize> {
        let window = self.window(output);
        let centre = self.centre(output);
        let narrow = 1.0 / self.stretch;
        let weight = |source: usize| self.filter.at((source as f64 - centre + 0.5) * narrow);
        let mut total = 0.0;
        for source in window.clone() {
            total += weight(source);
        }
        for (slot, source) in weights.iter_mut().zip(window.clone()) {
            let share = if total == 0.0 { weight(source) } else { weight(source) / total };
            let scaled = share * f64::from(1 << PRECISION);
            *slot = if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 } as i32;
        }
        window
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// How a resize and crop is computed, and where in the scratch its tables lie.
pub(super) struct Layout {
    rows: Side,
    columns: Side,
    horizontal: Option<Axis>,
    vertical: Option<Axis>,
    /// 32-bit words of scratch: the weights of all columns, the weights of a row, the sums of a row.
    pub words: usize,
    ring: usize,
}

impl Layout {
    pub fn new(filter: Filter, rows: &Side, columns: &Side) -> Result<Layout, Error> {
        let (horizontal, vertical) = (Axis::new(filter, columns), Axis::new(filter, rows));
        // First source pixels are stored as `i32`.
        i32::try_from(columns.source).map_err(|_| Error::TooLarge)?;
        let layout = Layout { rows: *rows, columns: *columns, horizontal, vertical, words: 0, ring: 0 };
        let sizes = || {
            let line = columns.taken.checked_mul(3)?;
            let table = columns.taken.checked_mul(layout.column_stride())?;
            let taps = vertical.map_or(0, |axis| axis.taps());
            let sums = if vertical.is_some() { line } else { 0 };
            Some((table.checked_add(taps)?.checked_add(sums)?, line.checked_mul(taps)?))
        };
        let (words, ring) = sizes().ok_or(Error::TooLarge)?;
        Ok(Layout { words, ring, ..layout })
    }

    /// Words of a column's entry in the table: first source pixel, number of weights, weights.
    fn column_stride(&self) -> usize {
        self.horizontal.map_or(0, |axis| axis.taps().saturating_add(2))
    }

    /// All the scratch, in `f32`s.
    pub fn len(&self) -> Result<usize, Error> {
        self.words.checked_add(self.ring.div_ceil(4)).ok_or(Error::TooLarge)
    }

    /// Resamples what the crop takes of `image` into `out`. All lengths must have been checked.
    pub fn run(&self, image: Rgb<'_>, words: &mut [i32], ring: &mut [u8], out: &mut [u8]) {
        let line = self.columns.taken * 3;
        let (table, words) = words.split_at_mut(self.columns.taken * self.column_stride());
        self.fill_table(table);
        let targets = out
            .chunks_exact_mut(self.columns.output * 3)
            .skip(self.rows.offset)
            .map(|row| &mut row[self.columns.offset * 3..][..line])
            .zip(self.rows.first..self.rows.first + self.rows.taken);

        let Some(axis) = self.vertical else {
            for (target, y) in targets {
                self.read_row(image.row(y), table, target);
            }
            return;
        };
        let taps = axis.taps();
        let (weights, sums) = words.split_at_mut(taps);
        let mut next = 0;
        for (target, y) in targets {
            let window = axis.weights(y, weights);
            for source in window.start.max(next)..window.end {
                self.read_row(image.row(source), table, &mut ring[source % taps * line..][..line]);
            }
            next = window.end;
            sums.fill(HALF);
            for (source, &weight) in window.zip(&*weights) {
                for (sum, &byte) in sums.iter_mut().zip(&ring[source % taps * line..][..line]) {
                    *sum += i32::from(byte) * weight;
                }
            }
            for (byte, &sum) in target.iter_mut().zip(&*sums) {
                *byte = clip(sum);
            }
        }
    }

    fn fill_table(&self, table: &mut [i32]) {
        let Some(axis) = self.horizontal else { return };
        for (x, entry) in (self.columns.first..).zip(table.chunks_exact_mut(self.column_stride())) {
            let (head, weights) = entry.split_at_mut(2);
            let window = axis.weights(x, weights);
            head[0] = window.start as i32;
            head[1] = window.len() as i32;
        }
    }

    /// Filters a source row horizontally, or copies it, into the columns that the crop takes.
    fn read_row(&self, row: &[u8], table: &[i32], out: &mut [u8]) {
        if self.horizontal.is_none() {
            out.copy_from_slice(&row[self.columns.first * 3..][..out.len()]);
            return;
        }
        for (pixel, entry) in out.chunks_exact_mut(3).zip(table.chunks_exact(self.column_stride())) {
            let (first, count) = (entry[0] as usize, entry[1] as usize);
            let mut sums = [HALF; 3];
            for (source, &weight) in row[first * 3..][..count * 3].chunks_exact(3).zip(&entry[2..]) {
                for channel in 0..3 {
                    sums[channel] += i32::from(source[channel]) * weight;
                }
            }
            for channel in 0..3 {
                pixel[channel] = clip(sums[channel]);
            }
        }
    }
}
