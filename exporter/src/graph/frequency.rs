//! The frequency stage: patches mixed by a learned filter in the frequency domain; docs/file-format.md has the formula.
//!
//! The transforms are products with constant real bases, one for each direction, as the trainer does and counts them. Split into rows and columns
//! they would be four thin products with transpositions between them: onnxruntime takes as long for those on 8×8 patches and half as long on 14×14
//! (0.15 of 0.3 ms at a width of 384), little beside the MLP behind them. On much larger grids it would be worth it: at 24×24 the bases alone are
//! 2.9 MB.

use std::f64::consts::TAU;

use edgelip_kernels::{LANES, padded};

use crate::error::Error;
use crate::source::{Source, VisionConfig};

use super::builder::{Graph, Value};
use super::fold::{expect, floats};
use super::transformer::Transformer;

/// Patches `[N, patches, width]` in raster order through all frequency blocks.
pub(super) fn stage<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    config: &VisionConfig,
    patches: Value,
) -> Value {
    let mut x = patches;
    for index in 0..config.frequency_blocks {
        let block = format!("frequency.{index}");
        graph.enter(block.clone());
        let mixed = filter(graph, transformer.source, config, index, &x);
        let sum = graph.node("Add", "mixed", &[&x, &mixed]);
        x = transformer.perceive_in(graph, &block, &sum);
    }
    x
}

/// The frequency feature: the mean of the normed patches, `[N, 1, width]`.
pub(super) fn summary<'a>(graph: &mut Graph<'a>, transformer: &Transformer<'a>, patches: &Value) -> Value {
    graph.enter("frequency");
    let normed = transformer.norm_behind(graph, "norm", "vision.frequency.norm", patches);
    graph.reduce("ReduceMean", "summary", &normed, 1)
}

/// The frequency feature in the shared space, of unit length: `[N, embedding]`.
pub(super) fn project<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    summary: &Value,
    embedding: usize,
) -> Value {
    graph.enter("frequency");
    let layer = transformer.projection_layer(graph, "vision.frequency.projection".into(), None, embedding, false);
    let input = graph.linear_input("projection", summary, transformer.precision.kept());
    let projected = graph.linear("projection", &input, &layer);
    let flat = graph.reshape("projection/flat", &projected, &[0, embedding as i64]);
    let [unit, _] = graph.normalize("embedding", &flat);
    unit
}

/// `irfft2(rfft2(norm(x)) ∘ filter) + bias` of each channel.
fn filter<'a>(graph: &mut Graph<'a>, source: &'a dyn Source, config: &VisionConfig, index: usize, x: &Value) -> Value {
    let (grid, width) = (config.grid(), config.width);
    let fold = FilterFold { source, name: format!("vision.frequency.{index}"), grid, width };
    let count = fold.coefficients();
    let dims = [padded(width) / LANES, count, 2, LANES];
    let (name, shift) = (format!("{}.filter", fold.name), fold.clone());
    let stored = graph.rows_of_floats(&name, &dims, move || fold.filter());
    let name = format!("{}.bias", shift.name);
    let bias = graph.rows_of_floats(&name, &[padded(width)], move || shift.bias());

    let [forward, inverse] = bases(grid);
    let place = format!("{}x{}", grid[0], grid[1]);
    let cells = grid[0] * grid[1];
    let forward = graph.floats(&format!("fourier.forward.{place}"), &[2 * count, cells], &forward);
    let inverse = graph.floats(&format!("fourier.inverse.{place}"), &[cells, 2 * count], &inverse);

    let normed = graph.layer_norm("norm1", x, width, config.norm_eps);
    let spectrum = graph.node("MatMul", "spectrum", &[&forward, &normed]);
    let parts = graph.transpose("filter/parts", &stored, &[2, 1, 0, 3]);
    let columns = graph.reshape("filter/columns", &parts, &[2 * count as i64, padded(width) as i64]);
    let filter = graph.columns("filter/width", &columns, width, padded(width));
    let [x_real, x_imaginary] = graph.parts("spectrum", &spectrum, 1, count);
    let [real, imaginary] = graph.parts("filter", &filter, 0, count);
    let mut product = |name: &str, a: &Value, b: &Value| graph.node("Mul", &format!("product/{name}"), &[a, b]);
    let (rr, ii) = (product("rr", &x_real, &real), product("ii", &x_imaginary, &imaginary));
    let (ri, ir) = (product("ri", &x_real, &imaginary), product("ir", &x_imaginary, &real));
    let real = graph.node("Sub", "product/real", &[&rr, &ii]);
    let imaginary = graph.node("Add", "product/imaginary", &[&ri, &ir]);
    let product = graph.concat("product", 1, &[&real, &imaginary]);
    let filtered = graph.node("MatMul", "filtered", &[&inverse, &product]);
    let bias = graph.columns("bias/width", &bias, width, padded(width));
    graph.node("Add", "shifted", &[&filtered, &bias])
}

impl Graph<'_> {
    /// The first and the second `count` of an axis.
    fn parts(&mut self, name: &str, x: &Value, axis: i64, count: usize) -> [Value; 2] {
        let count = count as i64;
        [("real", 0), ("imaginary", count)]
            .map(|(part, start)| self.slice(&format!("{name}/{part}"), x, axis, start, start + count, 1))
    }
}

/// One block's filter, with the norm in front of it and the scale of both transforms folded in.
#[derive(Clone)]
struct FilterFold<'a> {
    source: &'a dyn Source,
    /// The block's canonical name.
    name: String,
    grid: [usize; 2],
    width: usize,
}

impl FilterFold<'_> {
    fn coefficients(&self) -> usize {
        self.grid[0] * (self.grid[1] / 2 + 1)
    }

    /// Real and imaginary parts, `[coefficients, width, 2]`.
    fn trained(&self) -> Result<Vec<f32>, Error> {
        let name = format!("{}.filter", self.name);
        let filter = self.source.tensor(&name)?.data;
        expect(&name, filter.len(), 2 * self.coefficients() * self.width)?;
        Ok(filter)
    }

    /// `[padded(width) / 16, coefficients, 2, 16]`.
    fn filter(&self) -> Result<Vec<f32>, Error> {
        let trained = self.trained()?;
        let gain = floats(self.source, &format!("{}.norm1.weight", self.name), self.width)?;
        let cells = (self.grid[0] * self.grid[1]) as f64;
        let count = self.coefficients();
        let mut panels = vec![0.0; padded(self.width) * 2 * count];
        for (coefficient, channels) in trained.chunks_exact(2 * self.width).enumerate() {
            for (channel, parts) in channels.as_chunks::<2>().0.iter().enumerate() {
                let place = (channel / LANES * count + coefficient) * 2 * LANES + channel % LANES;
                for (part, &value) in parts.iter().enumerate() {
                    panels[place + part * LANES] = (f64::from(value) * gain[channel] / cells) as f32;
                }
            }
        }
        Ok(panels)
    }

    /// What the filter makes of the norm's bias, a constant over the grid: `[padded(width)]`.
    fn bias(&self) -> Result<Vec<f32>, Error> {
        let trained = self.trained()?;
        let shift = floats(self.source, &format!("{}.norm1.bias", self.name), self.width)?;
        let mut bias: Vec<f32> =
            shift.iter().enumerate().map(|(channel, shift)| (shift * f64::from(trained[2 * channel])) as f32).collect();
        bias.resize(padded(self.width), 0.0);
        Ok(bias)
    }
}

/// The unscaled real Fourier transform of a grid and its inverse: `[2F, H·W]`, all real parts before all imaginary ones, and `[H·W, 2F]`.
fn bases([rows, columns]: [usize; 2]) -> [Vec<f32>; 2] {
    let half = columns / 2 + 1;
    let (cells, count) = (rows * columns, rows * half);
    let (mut forward, mut inverse) = (vec![0.0; 2 * count * cells], vec![0.0; 2 * count * cells]);
    for coefficient in 0..count {
        let (u, v) = (coefficient / half, coefficient % half);
        // The other half of a real signal's spectrum is the conjugate: its share comes from this half. The first column, and the last of an even
        // number, are their own mirror.
        let share = if v == 0 || 2 * v == columns { 1.0 } else { 2.0 };
        for cell in 0..cells {
            let (y, x) = (cell / columns, cell % columns);
            // Reduced as whole numbers, the phase loses nothing on large grids.
            let turns = (u * y % rows) as f64 / rows as f64 + (v * x % columns) as f64 / columns as f64;
            let (sin, cos) = (TAU * turns).sin_cos();
            for (part, value) in [cos, -sin].into_iter().enumerate() {
                let row = part * count + coefficient;
                forward[row * cells + cell] = value as f32;
                inverse[cell * 2 * count + row] = (share * value) as f32;
            }
        }
    }
    [forward, inverse]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transform_and_inverse_give_each_cell_back() {
        for [rows, columns] in [[8, 8], [7, 7], [1, 3], [5, 4], [9, 6], [12, 12]] {
            let [forward, inverse] = bases([rows, columns]);
            let (cells, count) = (rows * columns, 2 * rows * (columns / 2 + 1));
            for from in 0..cells {
                for to in 0..cells {
                    let sum: f32 = (0..count).map(|k| forward[k * cells + from] * inverse[to * count + k]).sum();
                    let wanted = if from == to { cells as f32 } else { 0.0 };
                    assert!((sum - wanted).abs() < 1e-4, "{rows} × {columns}, {from} to {to}: {sum}");
                }
            }
        }
    }
}
