//! Antialiased resampling in 22-bit fixed point, one dimension after the other with bytes in between, as Pillow does it.
//!
//! The resized image never exists as a whole. Horizontally first, each source row is filtered once, when the first output
//! row reads it, and kept in a ring of as many lines as one output row reads. Vertically first, one line is enough.

use super::Rgb;
use super::crop::Side;
use super::filter::{Axis, Filter};
use crate::Error;
use core::ops::Range;

use edgelip_kernels::{Kernels, Part, TAPS};

/// Which dimension is resampled first. The bytes in between are rounded and clipped, so that the order shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    HorizontalFirst,
    VerticalFirst,
}

impl Order {
    /// Pillow 13's choice (earlier versions always went horizontally first).
    fn new(rows: &Side, columns: &Side) -> Order {
        let rows_lost = rows.source.saturating_sub(rows.resized);
        let columns_lost = columns.source.saturating_sub(columns.resized);
        if rows_lost > columns_lost.saturating_mul(2) { Order::VerticalFirst } else { Order::HorizontalFirst }
    }
}

/// How a resize and crop is computed, and how much scratch its parts take.
pub(super) struct Layout {
    rows: Side,
    columns: Side,
    horizontal: Option<Axis>,
    vertical: Option<Axis>,
    order: Order,
    /// The source columns that the crop reads.
    source: Range<usize>,
    /// Words of the table of horizontal weights, of the vertical weights, and of the sums of a line.
    table: usize,
    weights: usize,
    sums: usize,
    /// Bytes between the passes.
    lines: usize,
    /// Bytes of a channel of a source line, if there is a horizontal pass.
    plane: usize,
}

impl Layout {
    pub fn new(filter: Filter, rows: &Side, columns: &Side) -> Result<Layout, Error> {
        // Positions are stored as `i32`.
        i32::try_from(columns.source).map_err(|_| Error::TooLarge)?;
        let (horizontal, vertical) = (Axis::new(filter, columns), Axis::new(filter, rows));
        let (first, last) = (columns.first, columns.first + columns.taken - 1);
        let source = horizontal.map_or(first..last + 1, |axis| axis.window(first).start..axis.window(last).end);
        let order = Order::new(rows, columns);
        let mut layout = Layout {
            rows: *rows,
            columns: *columns,
            horizontal,
            vertical,
            order,
            source,
            table: 0,
            weights: 0,
            sums: 0,
            lines: 0,
            plane: 0,
        };
        layout.measure().ok_or(Error::TooLarge)?;
        Ok(layout)
    }

    /// Fills in the sizes; `None` if they overflow.
    fn measure(&mut self) -> Option<()> {
        self.table = self.columns.taken.checked_mul(self.entry())?;
        if let Some(axis) = self.vertical {
            let (pixels, lines) = match self.order {
                Order::HorizontalFirst => (self.columns.taken, axis.taps()),
                Order::VerticalFirst => (self.source.len(), 1),
            };
            self.weights = axis.taps();
            self.sums = pixels.checked_mul(3)?;
            self.lines = self.sums.checked_mul(lines)?;
        }
        if self.horizontal.is_some() {
            // The last columns' padding is beyond the line.
            self.plane = self.source.len().checked_add(TAPS)?;
        }
        let bytes = self.plane.checked_mul(3)?.checked_add(self.lines)?;
        self.table.checked_add(self.weights)?.checked_add(self.sums)?.checked_add(bytes.div_ceil(4))?;
        Some(())
    }

    /// Words of a column's entry in the table: first pixel, number of weights, weights with zeros behind them.
    fn entry(&self) -> usize {
        self.horizontal.map_or(0, |axis| axis.taps().div_ceil(TAPS).saturating_mul(TAPS).saturating_add(2))
    }

    /// The scratch that `run` takes as words, in 32-bit units.
    pub fn words(&self) -> usize {
        self.table + self.weights + self.sums
    }

    /// All the scratch, in 32-bit units.
    pub fn len(&self) -> usize {
        self.words() + (self.lines + 3 * self.plane).div_ceil(4)
    }

    /// Resamples what the crop takes of `image` into `out`. All lengths must have been checked.
    pub fn run(&self, kernels: &Kernels, image: Rgb<'_>, words: &mut [i32], bytes: &mut [u8], out: &mut [u8]) {
        let (table, words) = words.cut_mut(self.table);
        let (weights, sums) = words.cut_mut(self.weights);
        let (lines, planes) = bytes.cut_mut(self.lines);
        self.fill_table(table);
        let mut line = Line { kernels, table, entry: self.entry(), planes, plane: self.plane };

        let width = self.columns.taken * 3;
        let targets = out
            .pieces_mut(self.columns.output * 3)
            .skip(self.rows.offset)
            .map(|row| row.part_mut(self.columns.offset * 3..self.columns.offset * 3 + width))
            .zip(self.rows.first..self.rows.first + self.rows.taken);
        let source = |y: usize| image.row(y).part(self.source.start * 3..self.source.end * 3);

        match (self.vertical, self.order) {
            (None, _) => {
                for (target, y) in targets {
                    line.filter(source(y), target);
                }
            }
            (Some(axis), Order::VerticalFirst) => {
                for (target, y) in targets {
                    let window = axis.weights(y, weights);
                    kernels.filter_lines(window.map(source).zip(weights.iter().copied()), sums, lines);
                    line.filter(lines, target);
                }
            }
            (Some(axis), Order::HorizontalFirst) => {
                let slot = |y: usize| {
                    let slot = y % axis.taps().max(1);
                    slot * width..(slot + 1) * width
                };
                let mut ready = 0;
                for (target, y) in targets {
                    let window = axis.weights(y, weights);
                    for y in window.start.max(ready)..window.end {
                        line.filter(source(y), lines.part_mut(slot(y)));
                    }
                    ready = window.end;
                    let window = window.map(|y| lines.part(slot(y)));
                    kernels.filter_lines(window.zip(weights.iter().copied()), sums, target);
                }
            }
        }
    }

    fn fill_table(&self, table: &mut [i32]) {
        let Some(axis) = self.horizontal else { return };
        for (x, entry) in (self.columns.first..).zip(table.pieces_mut(self.entry())) {
            let [first, count, weights @ ..] = entry else { return };
            let window = axis.weights(x, weights);
            *first = (window.start - self.source.start) as i32;
            *count = window.len() as i32;
            weights.part_mut(window.len()..).fill(0);
        }
    }
}

/// What filters one line after the other horizontally.
struct Line<'s> {
    kernels: &'s Kernels,
    table: &'s [i32],
    /// Words of a pixel's entry in the table; none if the width stays.
    entry: usize,
    /// The channels of the line.
    planes: &'s mut [u8],
    /// Bytes of each.
    plane: usize,
}

impl Line<'_> {
    /// Filters a line of source columns into those of the crop, or copies it if the width stays.
    fn filter(&mut self, line: &[u8], out: &mut [u8]) {
        if self.entry == 0 {
            out.copy_from(line);
            return;
        }
        let (red, others) = self.planes.cut_mut(self.plane);
        let (green, blue) = others.cut_mut(self.plane);
        self.kernels.split_channels(line, [&mut *red, &mut *green, &mut *blue]);
        self.kernels.filter_line([red, green, blue], self.table, self.entry, out.as_chunks_mut().0);
    }
}
