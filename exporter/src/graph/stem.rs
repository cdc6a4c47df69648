//! The convolutional stem, as products of gathered neighbourhoods with panels: one form for every precision, on any engine.

use std::rc::Rc;

use crate::source::{Activation, Convolution, VisionConfig, Window};

use super::builder::{Graph, Value};
use super::fold::{Folded, PixelFold, channels_last, floats};
use super::linear::{Input, LinearSpec, Load};
use super::transformer::Transformer;

impl<'a> Graph<'a> {
    /// `pixel_values` to patches `[N, patches, width]` in raster order; `first` folds the layer that takes pixels.
    pub fn stem(&mut self, transformer: &Transformer<'a>, config: &VisionConfig, first: &Rc<PixelFold<'a>>) -> Value {
        let mut grid = config.image_size;
        let mut x = Value::named("pixel_values");
        let mut inputs = 3;
        for (layer, &Convolution { outputs, window }) in config.stem.iter().enumerate() {
            let step = format!("stem.{layer}");
            let borders = grid.map(|cells| [window.border, beyond(window, cells)]);
            x = if layer == 0 {
                // Before the pixels are brought to `u8 / 256`, a border of zeros is one of zeros.
                let padded = self.bordered("pixels/padded", &x, 2, borders);
                let pixels = self.pixels(&padded, first.pixel());
                self.transpose("pixels/last", &pixels, &[0, 2, 3, 1])
            } else {
                let active = self.activation(&format!("{step}/activation"), &x, Activation::Gelu);
                let [rows, columns] = grid.map(|cells| cells as i64);
                let map = self.reshape(&format!("{step}/map"), &active, &[0, rows, columns, inputs as i64]);
                self.bordered(&format!("{step}/padded"), &map, 1, borders)
            };
            grid = grid.map(|cells| window.along(cells));
            let seen = self.neighbourhoods(&step, &x, window, grid);
            let (values, positions) = (window.side * window.side * inputs, grid[0] * grid[1]);
            let seen = self.reshape(&format!("{step}/seen"), &seen, &[0, positions as i64, values as i64]);
            let precision = if layer == 0 { first.precision } else { transformer.precision };
            let spec = LinearSpec {
                name: format!("vision.{step}"),
                inputs: values,
                outputs,
                precision,
                bias: true,
                groups: vec![load(transformer, first, layer, inputs, outputs)],
            };
            let weights = self.linear_layer(&step, spec);
            let input = if layer == 0 { Input::Float(seen) } else { self.linear_input(&step, &seen, precision) };
            x = self.linear(&step, &input, &weights);
            inputs = outputs;
        }
        x
    }

    /// Zeros around two neighbouring axes of four, as many before and behind each as `borders` says.
    fn bordered(&mut self, name: &str, map: &Value, axis: usize, borders: [[usize; 2]; 2]) -> Value {
        if borders == [[0; 2]; 2] {
            return map.clone();
        }
        let mut pads = [0; 8];
        for (index, [before, behind]) in borders.into_iter().enumerate() {
            pads[axis + index] = before as i64;
            pads[4 + axis + index] = behind as i64;
        }
        let pads = self.ints(&pads);
        self.node("Pad", name, &[map, &pads])
    }

    /// The windows `[N, rows, columns, side² C]` on a map `[N, …, …, C]` with its border, ordered (row, column, channel).
    fn neighbourhoods(&mut self, step: &str, map: &Value, window: Window, [rows, columns]: [usize; 2]) -> Value {
        let Window { side, stride, .. } = window;
        let (axes, steps) = (self.ints(&[1, 2]), self.ints(&[stride as i64; 2]));
        let cells = (0..side).flat_map(|row| (0..side).map(move |column| [row, column])).map(|[row, column]| {
            let start = self.ints(&[row as i64, column as i64]);
            let end =
                self.ints(&[(row + (rows - 1) * stride + 1) as i64, (column + (columns - 1) * stride + 1) as i64]);
            self.node("Slice", &format!("{step}/cell.{row}.{column}"), &[map, &start, &end, &axes, &steps])
        });
        let cells: Vec<Value> = cells.collect();
        self.concat(&format!("{step}/cells"), -1, &cells.iter().collect::<Vec<_>>())
    }
}

/// How far the last window along `cells` reaches beyond them.
fn beyond(window: Window, cells: usize) -> usize {
    let Window { side, stride, border } = window;
    (stride * (window.along(cells) - 1) + side).saturating_sub(border + cells)
}

fn load<'a>(
    transformer: &Transformer<'a>,
    first: &Rc<PixelFold<'a>>,
    layer: usize,
    inputs: usize,
    outputs: usize,
) -> Load<'a> {
    let (source, first) = (transformer.source, first.clone());
    Box::new(move || {
        let (weight, bias) = match layer {
            0 => (first.weight()?, first.bias()?),
            _ => {
                let name = format!("vision.stem.{layer}");
                let weight = channels_last(source, &format!("{name}.weight"), outputs, inputs)?;
                (weight, floats(source, &format!("{name}.bias"), outputs)?)
            }
        };
        Ok(Folded { weight, bias: bias.into_iter().map(|value| value as f32).collect() })
    })
}
