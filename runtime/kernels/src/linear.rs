use core::num::NonZero;

use crate::parallel::{Slots, Tasks, share};
use crate::part::Part;
use crate::rows::Output;
use crate::table::{Bands, Block, Quantised, Table};
use crate::{Activation, Kernels, LANES, Linear, Panels, Parallel, Rows, RowsMut, Shape, padded};

/// Multiply-adds below which waking threads costs more than it gains.
const WORTH_SHARING: usize = 1 << 17;

/// Rows that a task has at least, if a layer's rows are divided at all.
const ROWS_OF_A_TASK: usize = 32;

/// `f32`s of scratch that [`Kernels::linear`] needs for an integer layer; other layers need none.
pub const fn linear_scratch(rows: usize, inputs: usize) -> usize {
    quantised_words(rows, inputs) + padded(rows)
}

/// The scales of its input's rows that an integer layer has left in its scratch: each row was rounded to whole multiples of its own.
pub fn linear_scales(scratch: &[f32], rows: usize, inputs: usize) -> &[f32] {
    let words = quantised_words(rows, inputs);
    scratch.part(words..words + rows)
}

/// `f32`s that quantised rows take the place of.
const fn quantised_words(rows: usize, inputs: usize) -> usize {
    rows * quantised_stride(inputs) / size_of::<f32>()
}

/// Bytes from one quantised row to the next: whole vectors, as the kernels read them.
const fn quantised_stride(inputs: usize) -> usize {
    inputs.next_multiple_of(64)
}

impl Kernels {
    /// `y = act(x Wᵀ + b)`, or `y += act(x Wᵀ + b)` with `accumulate`.
    ///
    /// Reads the first `inputs` columns of `x [rows, inputs..]` and writes the first `outputs` columns of
    /// `y [rows, outputs..]`. Integer layers need [`linear_scratch`] elements of scratch; layers of halves may be faster with it.
    #[allow(clippy::too_many_arguments)]
    pub fn linear(
        &self,
        x: Rows<'_>,
        layer: &Linear<'_>,
        activation: Activation,
        accumulate: bool,
        y: RowsMut<'_>,
        scratch: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Shape> {
        layer.check()?;
        Shape::require(x.rows() == y.rows(), "a linear layer's input and output differ in rows")?;
        Shape::require(layer.inputs <= x.columns(), "a linear layer has more inputs than its operand has columns")?;
        Shape::require(layer.outputs <= y.columns(), "a linear layer has more outputs than its result has columns")?;
        if x.rows() == 0 || layer.outputs == 0 {
            return Ok(());
        }
        let table = self.table();
        let (bands, quantised, room) = match layer.panels {
            Panels::I8 { .. } => {
                let bands = Bands::new(x.rows(), table.integer_rows);
                (bands, quantise(table, x, bands, layer.inputs, scratch, parallel)?, <&mut [f32]>::default())
            }
            _ => (Bands::new(x.rows(), table.float_rows), Quantised::default(), scratch),
        };
        let job = Job { table, x, bands, quantised, layer, activation, accumulate, y: &y.share() };
        job.run(room, parallel);
        Ok(())
    }
}

struct Job<'a> {
    table: &'static Table,
    x: Rows<'a>,
    bands: Bands,
    quantised: Quantised<'a>,
    layer: &'a Linear<'a>,
    activation: Activation,
    accumulate: bool,
    y: &'a Output<'a>,
}

impl Job<'_> {
    /// Divides the panels, and the rows too if the panels are too few for the workers. Workers that the room suffices for widen halves.
    fn run(&self, room: &mut [f32], parallel: &dyn Parallel) {
        let rows = self.x.rows();
        let panels = self.layer.outputs / LANES;
        let groups = panels.div_ceil(self.table.panels.max(1));
        let workers = parallel.workers().max(1);
        let wanted = workers.saturating_mul(4).div_ceil(groups.max(1));
        let parts = if workers == 1 { 1 } else { wanted.min(rows.div_ceil(ROWS_OF_A_TASK)).min(self.bands.count()) };
        let parts = NonZero::new(parts).unwrap_or(NonZero::<usize>::MIN);
        let tasks = Tasks::new(groups * parts.get());
        let slots = Slots::new(room, self.table.panels * LANES * self.layer.inputs, workers);
        let body = || {
            let room = slots.claim().map_or(<&mut [f32]>::default(), |(_, room)| room);
            while let Some(task) = tasks.claim() {
                let (group, index) = (task / parts, task % parts);
                let first = group * self.table.panels;
                let count = self.bands.count();
                let part = count * index / parts..count * (index + 1) / parts;
                let block = Block {
                    x: self.x,
                    quantised: self.quantised,
                    layer: self.layer,
                    activation: self.activation,
                    accumulate: self.accumulate,
                    rows: self.bands.rows(part.clone()),
                    bands: self.bands,
                    part,
                    panels: first..panels.min(first + self.table.panels),
                    ahead: workers.saturating_mul(self.table.panels).saturating_add(first),
                    y: self.y,
                };
                // SAFETY: a `Kernels` proves the instructions, `linear` checked the shapes, and the block is this task's alone.
                unsafe { (self.table.linear)(&block, room) }
            }
        };
        let work = rows.saturating_mul(self.layer.inputs).saturating_mul(self.layer.outputs);
        share(work >= WORTH_SHARING, parallel, &body);
    }
}

/// Quantises the first `inputs` columns of each row into scratch.
fn quantise<'a>(
    table: &'static Table,
    x: Rows<'_>,
    bands: Bands,
    inputs: usize,
    scratch: &'a mut [f32],
    parallel: &dyn Parallel,
) -> Result<Quantised<'a>, Shape> {
    let stride = quantised_stride(inputs);
    let (rows, words) = (x.rows(), stride / size_of::<f32>());
    Shape::require(scratch.len() >= linear_scratch(rows, inputs), "too little scratch for an integer layer")?;
    let (bytes, scales) = scratch.cut_mut(rows * words);
    let scales = scales.part_mut(..rows);
    {
        let bytes = RowsMut::new(bytes, 1, rows * words)?.share();
        let all_scales = RowsMut::new(scales, 1, padded(rows))?.share();
        let tasks = Tasks::new(bands.count());
        let body = || {
            while let Some(band) = tasks.claim() {
                let band = bands.band(band);
                // SAFETY: the bytes of a band and its scales are this task's alone.
                let (bytes, scales) = unsafe {
                    (bytes.segment(0, band.start * words..band.end * words), all_scales.segment(0, band.clone()))
                };
                let bytes = crate::cast::bytes_mut(bytes);
                for (m, scale) in scales.iter_mut().enumerate() {
                    let (row, bytes) = (x.segment(band.start + m, 0..inputs), bytes.part_mut(4 * m..));
                    // SAFETY: a `Kernels` proves the instructions.
                    *scale = unsafe { (table.quantise)(row, band.len(), bytes) };
                }
            }
        };
        share(rows * inputs >= WORTH_SHARING / 8, parallel, &body);
    }
    Ok(Quantised { bytes: crate::cast::bytes(bytes), stride, scales })
}
