use core::num::NonZero;

use crate::parallel::{Slots, Tasks, share};
use crate::part::Part;
use crate::rows::Output;
use crate::table::{Bands, Block, Narrowed, Narrowing, Table};
use crate::{Activation, Kernels, LANES, Linear, Panels, Parallel, Rows, RowsMut, Shape, padded};

/// Multiply-adds below which waking threads costs more than it gains.
const WORTH_SHARING: usize = 1 << 17;

/// Rows that a task has at least, if a layer's rows are divided at all.
const ROWS_OF_A_TASK: usize = 32;

/// `f32`s of scratch that [`Kernels::linear`] needs for an integer layer; other layers need none.
pub const fn linear_scratch(rows: usize, inputs: usize) -> usize {
    narrowed_words(rows, inputs) + padded(rows)
}

/// The scales of its input's rows that an integer layer has left in its scratch: each row was rounded to whole multiples of its own.
pub fn linear_scales(scratch: &[f32], rows: usize, inputs: usize) -> &[f32] {
    let words = narrowed_words(rows, inputs);
    scratch.part(words..words + rows)
}

/// `f32`s that rows of so many narrowed bytes take the place of: whole vectors, as the kernels read them.
const fn narrowed_words(rows: usize, bytes: usize) -> usize {
    rows * (bytes.next_multiple_of(64) / size_of::<f32>())
}

impl Kernels {
    /// `y = act(x Wᵀ + b)`, or `y += act(x Wᵀ + b)` with `accumulate`.
    ///
    /// Reads the first `inputs` columns of `x [rows, inputs..]` and writes the first `outputs` columns of
    /// `y [rows, outputs..]`. Integer layers need [`linear_scratch`] elements of scratch. Layers of halves are faster with it: then they are
    /// computed in half precision if the instruction set has that.
    #[allow(clippy::too_many_arguments)]
    pub fn linear(
        &self,
        x: Rows<'_>,
        layer: &Linear<'_>,
        activation: Activation,
        accumulate: bool,
        mut y: RowsMut<'_>,
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
        let job = Job { table, layer, activation, accumulate, parallel };
        match layer.panels {
            Panels::I8 { .. } => job.narrowed(table.integers, x, y, scratch),
            Panels::F16(_) => match job.halves(x.rows(), scratch.len()) {
                Some((halves, at_once)) => {
                    for first in (0..x.rows()).step_by(at_once) {
                        let rows = first..x.rows().min(first + at_once);
                        job.narrowed(halves, x.section(rows.clone()), y.section_mut(rows), scratch)?;
                    }
                    Ok(())
                }
                None => job.floats(x, y, scratch),
            },
            Panels::F32(_) => job.floats(x, y, scratch),
        }
    }
}

/// A layer and those who compute it.
struct Job<'a> {
    table: &'static Table,
    layer: &'a Linear<'a>,
    activation: Activation,
    accumulate: bool,
    parallel: &'a dyn Parallel,
}

impl Job<'_> {
    /// Multiplies rows as they are. Workers that the room suffices for widen halves.
    fn floats(&self, x: Rows<'_>, y: RowsMut<'_>, room: &mut [f32]) -> Result<(), Shape> {
        self.run(x, Bands::new(x.rows(), self.table.float_rows), Narrowed::default(), &y.share(), room);
        Ok(())
    }

    /// Narrows rows into scratch and multiplies them.
    fn narrowed(&self, narrowing: Narrowing, x: Rows<'_>, y: RowsMut<'_>, scratch: &mut [f32]) -> Result<(), Shape> {
        let bands = Bands::new(x.rows(), narrowing.rows);
        let narrowed = narrow(narrowing, x, bands, self.layer.inputs, scratch, self.parallel)?;
        self.run(x, bands, narrowed, &y.share(), &mut []);
        Ok(())
    }

    /// How rows become halves, and how many there is scratch for at a time: few parts as even as can be. `None` if the instruction set has no
    /// such arithmetic, or if not even a tile's rows fit.
    fn halves(&self, rows: usize, scratch: usize) -> Option<(Narrowing, usize)> {
        let halves = self.table.halves()?;
        let most = scratch.saturating_sub(LANES) / (narrowed_words(1, halves.size * self.layer.inputs) + 1);
        let parts = rows.div_ceil(NonZero::new(most)?.get());
        (most >= rows.min(halves.rows)).then(|| (halves, rows.div_ceil(parts.max(1)).max(1)))
    }

    /// Divides the panels, and the rows too if the panels are too few for the workers.
    fn run(&self, x: Rows<'_>, bands: Bands, narrowed: Narrowed<'_>, y: &Output<'_>, room: &mut [f32]) {
        let rows = x.rows();
        let panels = self.layer.outputs / LANES;
        let groups = panels.div_ceil(self.table.panels.max(1));
        let workers = self.parallel.workers().max(1);
        let wanted = workers.saturating_mul(4).div_ceil(groups.max(1));
        let parts = if workers == 1 { 1 } else { wanted.min(rows.div_ceil(ROWS_OF_A_TASK)).min(bands.count()) };
        let parts = NonZero::new(parts).unwrap_or(NonZero::<usize>::MIN);
        let tasks = Tasks::new(groups * parts.get());
        let slots = Slots::new(room, self.table.panels * LANES * self.layer.inputs, workers);
        let body = || {
            let room = slots.claim().map_or(<&mut [f32]>::default(), |(_, room)| room);
            while let Some(task) = tasks.claim() {
                let (group, index) = (task / parts, task % parts);
                let first = group * self.table.panels;
                let count = bands.count();
                let part = count * index / parts..count * (index + 1) / parts;
                let block = Block {
                    x,
                    narrowed,
                    layer: self.layer,
                    activation: self.activation,
                    accumulate: self.accumulate,
                    rows: bands.rows(part.clone()),
                    bands,
                    part,
                    panels: first..panels.min(first + self.table.panels),
                    ahead: workers.saturating_mul(self.table.panels).saturating_add(first),
                    y,
                };
                // SAFETY: a `Kernels` proves the instructions, `linear` checked the shapes, and the block is this task's alone.
                unsafe { (self.table.linear)(&block, room) }
            }
        };
        let work = rows.saturating_mul(self.layer.inputs).saturating_mul(self.layer.outputs);
        share(work >= WORTH_SHARING, self.parallel, &body);
    }
}

/// Narrows the first `inputs` columns of each row into scratch.
fn narrow<'a>(
    narrowing: Narrowing,
    x: Rows<'_>,
    bands: Bands,
    inputs: usize,
    scratch: &'a mut [f32],
    parallel: &dyn Parallel,
) -> Result<Narrowed<'a>, Shape> {
    let (rows, words) = (x.rows(), narrowed_words(1, narrowing.size * inputs));
    let enough = scratch.len() >= rows * words + padded(rows);
    Shape::require(enough, "too little scratch for an integer layer")?;
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
                    let (row, bytes) = (x.segment(band.start + m, 0..inputs), bytes.part_mut(narrowing.together * m..));
                    // SAFETY: a `Kernels` proves the instructions.
                    *scale = unsafe { (narrowing.row)(row, band.len(), bytes) };
                }
            }
        };
        share(rows * inputs >= WORTH_SHARING / 8, parallel, &body);
    }
    Ok(Narrowed { bytes: crate::cast::bytes(bytes), stride: words * size_of::<f32>(), scales })
}
