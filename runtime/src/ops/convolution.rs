//! A convolution: its windows are gathered tile by tile and multiplied as rows.

use edgelip_kernels::{
    Activation, Kernels, Linear, Parallel, Part, Rows, RowsMut, for_each_chunk, linear_scratch, padded,
};

use crate::Error;
use crate::plan::{StemLayer, Window};

/// Windows that each worker is given at once: enough to reuse the weights, few enough to stay in its cache.
const WINDOWS_OF_A_WORKER: usize = 64;

/// Windows that a worker gathers at a time.
const WINDOWS_OF_A_TASK: usize = 16;

/// What a convolution reads.
pub(crate) enum Map<'m> {
    /// `[H, W, 3]`, taken as `u8 / 256`, and what lies outside of the image.
    Pixels { bytes: &'m [u8], border: [f32; 3] },
    /// `[H·W, padded(channels)]`; outside lies zero.
    Features(&'m [f32]),
}

impl Map<'_> {
    /// Writes the window of position `index` to `values` `[side·side·channels]`, ordered (row, column, channel).
    fn gather(&self, layer: &StemLayer, index: usize, values: &mut [f32]) {
        let Window { side, stride, border } = layer.window;
        let ([height, width], channels) = (layer.from, layer.inputs);
        let columns = layer.grid[1].max(1);
        // Counted from the border's corner: indices stay whole numbers.
        let (y, x) = (stride * (index / columns), stride * (index % columns));
        let (left, right) = (border.saturating_sub(x), (width + border).saturating_sub(x).min(side));
        for (row, cells) in values.pieces_mut(side * channels).enumerate() {
            match (y + row).checked_sub(border) {
                Some(y) if y < height => {
                    self.outside(cells.part_mut(..left * channels));
                    self.outside(cells.part_mut(right * channels..));
                    let inside = cells.part_mut(left * channels..right * channels);
                    self.copy(y * width + x.saturating_sub(border), channels, inside);
                }
                _ => self.outside(cells),
            }
        }
    }

    /// Copies neighbouring cells, the first one at `cell`.
    fn copy(&self, cell: usize, channels: usize, to: &mut [f32]) {
        match self {
            Map::Pixels { bytes, .. } => {
                for (value, &byte) in to.iter_mut().zip(bytes.part(3 * cell..)) {
                    *value = f32::from(byte) * (1.0 / 256.0);
                }
            }
            Map::Features(rows) if padded(channels) == channels => {
                to.copy_from(rows.part(cell * channels..cell * channels + to.len()));
            }
            Map::Features(rows) => {
                let stride = padded(channels);
                for (to, from) in to.pieces_mut(channels).zip(rows.part(cell * stride..).pieces(stride)) {
                    to.copy_from(from.part(..channels));
                }
            }
        }
    }

    fn outside(&self, cells: &mut [f32]) {
        match self {
            Map::Pixels { border, .. } => cells.pieces_mut(3).for_each(|cell| cell.copy_from(border)),
            Map::Features(_) => cells.fill(0.0),
        }
    }
}

/// How a convolution's results are written.
#[derive(Clone, Copy)]
pub(crate) struct Output<'o> {
    pub activation: Activation,
    /// Added to what is there.
    pub accumulate: bool,
    /// The position that is written to each row.
    pub order: &'o (dyn Fn(usize) -> usize + Sync),
}

/// Convolves `map` into `out` `[positions, padded(outputs)]`. The `weights` take windows as [`StemLayer::values`]
/// ordered (row, column, channel); `scratch` holds at least [`scratch_len`] floats.
#[allow(clippy::too_many_arguments)]
pub(crate) fn convolve(
    kernels: &Kernels,
    map: &Map<'_>,
    layer: &StemLayer,
    weights: &Linear<'_>,
    output: Output<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
    parallel: &dyn Parallel,
) -> Result<(), Error> {
    let Output { activation, accumulate, order } = output;
    let (stride, width, tile) = (padded(layer.values()), padded(layer.outputs), tile(layer, parallel.workers()));
    let needed = scratch_len(layer, parallel.workers());
    let (windows, rest) = scratch.split_at_mut_checked(tile * stride).ok_or(Error::Scratch { needed })?;
    for first in (0..layer.positions()).step_by(tile.max(1)) {
        let count = tile.min(layer.positions() - first);
        for_each_chunk(windows.part_mut(..count * stride), WINDOWS_OF_A_TASK * stride, parallel, &|task, windows| {
            for (row, window) in (first + task * WINDOWS_OF_A_TASK..).zip(windows.pieces_mut(stride)) {
                map.gather(layer, order(row), window.part_mut(..layer.values()));
            }
        });
        let rows = RowsMut::new(out.part_mut(first * width..), count, width)?;
        kernels.linear(Rows::new(windows, count, stride)?, weights, activation, accumulate, rows, rest, parallel)?;
    }
    Ok(())
}

/// Scratch in `f32`s for one convolution.
pub(crate) fn scratch_len(layer: &StemLayer, workers: usize) -> usize {
    let tile = tile(layer, workers);
    tile.saturating_mul(padded(layer.values())).saturating_add(linear_scratch(tile, layer.values()))
}

fn tile(layer: &StemLayer, workers: usize) -> usize {
    workers.max(1).saturating_mul(WINDOWS_OF_A_WORKER).min(layer.positions())
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use edgelip_kernels::{Panels, Pool, Single, math};

    use super::*;

    fn random(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    struct Case {
        layer: StemLayer,
        /// `[outputs, side, side, inputs]`
        weights: Vec<f32>,
        bias: Vec<f32>,
        bytes: Vec<u8>,
        features: Vec<f32>,
    }

    const BORDER: [f32; 3] = [0.5, -0.25, 0.125];

    impl Case {
        fn new([height, width]: [usize; 2], inputs: usize, outputs: usize) -> Self {
            Case::with(Window::HALVING, [height, width], inputs, outputs)
        }

        fn with(window: Window, [height, width]: [usize; 2], inputs: usize, outputs: usize) -> Self {
            let mut random = random((height * 100 + inputs) as u64);
            let grid = [height, width].map(|side| window.along(side));
            let layer = StemLayer { inputs, outputs, window, from: [height, width], grid };
            let mut features = vec![f32::NAN; height * width * padded(inputs)];
            for row in features.chunks_exact_mut(padded(inputs)) {
                row[..inputs].fill_with(&mut random);
            }
            let bytes = (0..height * width * 3).map(|_| ((random() + 1.0) * 128.0) as u8).collect();
            let weights = (0..outputs * layer.values()).map(|_| random()).collect();
            let mut bias = vec![0.0; padded(outputs)];
            bias[..outputs].fill_with(&mut random);
            Case { layer, weights, bias, bytes, features }
        }

        /// The sum as it is written, in double precision.
        fn reference(&self, pixels: bool, index: usize, output: usize) -> f64 {
            let [height, width] = self.layer.from.map(|side| side as isize);
            let (inputs, Window { side, stride, border }) = (self.layer.inputs, self.layer.window);
            let (y, x) = ((index / self.layer.grid[1]) as isize, (index % self.layer.grid[1]) as isize);
            let (stride, border) = (stride as isize, border as isize);
            let mut sum = f64::from(self.bias[output]);
            for dy in 0..side as isize {
                for dx in 0..side as isize {
                    let (y, x) = (stride * y + dy - border, stride * x + dx - border);
                    let cell = ((0..height).contains(&y) && (0..width).contains(&x)).then(|| (y * width + x) as usize);
                    for (channel, border) in BORDER.iter().cycle().enumerate().take(inputs) {
                        let value = match (cell, pixels) {
                            (Some(cell), true) => f32::from(self.bytes[3 * cell + channel]) / 256.0,
                            (Some(cell), false) => self.features[cell * padded(inputs) + channel],
                            (None, true) => *border,
                            (None, false) => 0.0,
                        };
                        let weight =
                            self.weights[((output * side + dy as usize) * side + dx as usize) * inputs + channel];
                        sum += f64::from(weight) * f64::from(value);
                    }
                }
            }
            sum
        }

        fn run(&self, kernels: Kernels, pixels: bool, order: &[usize], parallel: &dyn Parallel) -> Vec<f32> {
            let Case { layer, weights, bias, bytes, features } = self;
            let window = layer.values();
            let mut panels = vec![0.0; padded(layer.outputs) * window];
            for (output, row) in weights.chunks_exact(window).enumerate() {
                for (k, &weight) in row.iter().enumerate() {
                    panels[(output / 16 * window + k) * 16 + output % 16] = weight;
                }
            }
            let outputs = padded(layer.outputs);
            let linear = Linear { panels: Panels::F32(&panels), bias, inputs: window, outputs };
            let map = if pixels { Map::Pixels { bytes, border: BORDER } } else { Map::Features(features) };
            let mut out = vec![1.0; layer.positions() * padded(layer.outputs)];
            let mut scratch = vec![f32::NAN; scratch_len(layer, parallel.workers())];
            let output = Output { activation: Activation::None, accumulate: true, order: &|i| order[i] };
            convolve(&kernels, &map, layer, &linear, output, &mut out, &mut scratch, parallel).unwrap();
            out
        }
    }

    #[test]
    fn is_the_sum_over_windows_wherever_they_lie() {
        let window = |side, stride, border| Window { side, stride, border };
        for (window, from, inputs, outputs) in [
            (Window::HALVING, [8, 10], 3, 20),
            (Window::HALVING, [7, 5], 3, 16),
            (Window::HALVING, [1, 1], 3, 3),
            (Window::HALVING, [18, 18], 16, 5),
            (Window::HALVING, [2, 9], 7, 33),
            (window(4, 4, 1), [16, 20], 3, 20),
            (window(4, 4, 1), [17, 19], 5, 4),
            (window(2, 2, 0), [8, 7], 19, 16),
            (window(7, 4, 3), [9, 30], 3, 8),
            (window(5, 1, 4), [2, 3], 4, 3),
            (window(1, 3, 0), [7, 8], 3, 3),
        ] {
            let case = Case::with(window, from, inputs, outputs);
            let order: Vec<usize> = (0..case.layer.positions()).rev().collect();
            for pixels in [false, true].into_iter().take(if inputs == 3 { 2 } else { 1 }) {
                for kernels in Kernels::available() {
                    let out = case.run(kernels, pixels, &order, &Single);
                    for (row, &index) in out.chunks_exact(padded(outputs)).zip(&order) {
                        for (output, &value) in row[..outputs].iter().enumerate() {
                            let wanted = 1.0 + case.reference(pixels, index, output);
                            assert!(
                                (f64::from(value) - wanted).abs() < 1e-4,
                                "{window:?} {from:?} {index} {output}: {value} {wanted}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn threads_and_tiles_change_no_bit() {
        let case = Case::new([34, 38], 20, 24);
        let order: Vec<usize> = (0..case.layer.positions()).collect();
        for kernels in Kernels::available() {
            let expected = case.run(kernels, false, &order, &Single);
            for threads in 2..=4 {
                let found = case.run(kernels, false, &order, &Pool::new(threads));
                assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads}");
            }
        }
    }

    #[test]
    fn activates_like_the_trainer() {
        let mut case = Case::new([4, 4], 3, 16);
        case.weights.fill(0.0);
        let mut out = [0.0; 4 * 16];
        let layer = Linear { panels: Panels::F32(&case.weights), bias: &case.bias, inputs: 27, outputs: 16 };
        let output = Output { activation: Activation::Gelu, accumulate: false, order: &|i| i };
        let mut scratch = vec![0.0; scratch_len(&case.layer, 1)];
        let map = Map::Features(&case.features);
        convolve(&Kernels::generic(), &map, &case.layer, &layer, output, &mut out, &mut scratch, &Single).unwrap();
        for (value, x) in out.iter().zip(case.bias.iter().cycle()) {
            assert!((value - x * 0.5 * (1.0 + math::erf(x * 0.5f32.sqrt()))).abs() < 1e-6);
        }
    }

    #[test]
    fn little_scratch_is_an_error() {
        let case = Case::new([4, 4], 3, 16);
        let layer = Linear { panels: Panels::F32(&case.weights), bias: &case.bias, inputs: 27, outputs: 16 };
        let output = Output { activation: Activation::None, accumulate: false, order: &|i| i };
        let map = Map::Features(&case.features);
        let run = |scratch: &mut [f32]| {
            convolve(&Kernels::generic(), &map, &case.layer, &layer, output, &mut [0.0; 64], scratch, &Single)
        };
        assert!(matches!(run(&mut [0.0; 100]), Err(Error::Scratch { .. })));
    }
}
