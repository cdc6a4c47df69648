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

/// Bytes of activations for layers of integers, and for those of halves.
const INTEGER: usize = 1;
const HALF: usize = 2;

/// `f32`s of scratch that [`Kernels::linear`] needs for an integer layer; other layers need none.
pub const fn linear_scratch(rows: usize, inputs: usize) -> usize {
    narrowed_words(INTEGER, rows, inputs) + padded(rows)
}

/// The scales of its input's rows that an integer layer has left in its scratch: each row was rounded to whole multiples of its own.
pub fn linear_scales(scratch: &[f32], rows: usize, inputs: usize) -> &[f32] {
    let words = narrowed_words(INTEGER, rows, inputs);
    scratch.part(words..words + rows)
}

/// `f32`s that rows of so many bytes an activation take the place of: whole vectors, as the kernels read them.
const fn narrowed_words(bytes: usize, rows: usize, inputs: usize) -> usize {
    rows * ((bytes * inputs).next_multiple_of(64) / size_of::<f32>())
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
        let halves = halves(table, layer, x.rows(), scratch.len());
        if let Some((_, parts)) = halves
            && parts.get() > 1
        {
            for part in 0..parts.get() {
                let rows = x.rows() * part / parts..x.rows() * (part + 1) / parts;
                let (x, y) = (x.section(rows.clone()), y.section_mut(rows));
                self.linear(x, layer, activation, accumulate, y, scratch, parallel)?;
            }
            return Ok(());
        }
        let ((bands, narrowed), room) = match (layer.panels, halves) {
            (Panels::I8 { .. }, _) => {
                (narrow::<INTEGER>(table.integers, x, layer.inputs, scratch, parallel)?, <&mut [f32]>::default())
            }
            (_, Some((halves, _))) => {
                (narrow::<HALF>(halves, x, layer.inputs, scratch, parallel)?, <&mut [f32]>::default())
            }
            (_, None) => ((Bands::new(x.rows(), table.float_rows), Narrowed::default()), scratch),
        };
        let job = Job { table, x, bands, narrowed, layer, activation, accumulate, y: &y.share() };
        job.run(room, parallel);
        Ok(())
    }
}

/// How the rows of a layer become halves, and in how many parts, each of which there is scratch for. `None` if they stay floats: the weights
/// are no halves, the instruction set can't compute with those, or not even a tile's rows fit.
fn halves(table: &Table, layer: &Linear<'_>, rows: usize, scratch: usize) -> Option<(Narrowing, NonZero<usize>)> {
    let halves = table.halves().filter(|_| matches!(layer.panels, Panels::F16(_)))?;
    let most = scratch.saturating_sub(LANES) / (narrowed_words(HALF, 1, layer.inputs) + 1);
    let parts = NonZero::new(rows.div_ceil(most.max(1)))?;
    (most >= rows.min(halves.rows)).then_some((halves, parts))
}

struct Job<'a> {
    table: &'static Table,
    x: Rows<'a>,
    bands: Bands,
    narrowed: Narrowed<'a>,
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
                    narrowed: self.narrowed,
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

/// Narrows the first `inputs` columns of each row into scratch, to activations of so many bytes.
fn narrow<'a, const BYTES: usize>(
    narrowing: Narrowing,
    x: Rows<'_>,
    inputs: usize,
    scratch: &'a mut [f32],
    parallel: &dyn Parallel,
) -> Result<(Bands, Narrowed<'a>), Shape> {
    let bands = Bands::new(x.rows(), narrowing.rows);
    let (rows, words) = (x.rows(), narrowed_words(BYTES, 1, inputs));
    let enough = scratch.len() >= rows * words + padded(rows);
    Shape::require(enough, "too little scratch for an integer layer")?;
    // Those of neighbours that lie together, and those of the band's next row behind them.
    let together = if BYTES == INTEGER { 4 } else { 16 };
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
                    let (row, bytes) = (x.segment(band.start + m, 0..inputs), bytes.part_mut(together * m..));
                    // SAFETY: a `Kernels` proves the instructions.
                    *scale = unsafe { (narrowing.row)(row, band.len(), bytes) };
                }
            }
        };
        share(rows * inputs >= WORTH_SHARING / 8, parallel, &body);
    }
    Ok((bands, Narrowed { bytes: crate::cast::bytes(bytes), stride: words * size_of::<f32>(), scales }))
}
