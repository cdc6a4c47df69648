//! The convolutional stem, as products of gathered neighbourhoods with panels: one form for every precision, on any engine.

use std::rc::Rc;

use crate::source::{Activation, VisionConfig};

use super::builder::{Graph, Value};
use super::fold::{Folded, PixelFold, channels_last, floats};
use super::linear::{Input, LinearSpec, Load};
use super::transformer::Transformer;

/// Rows and columns of a kernel.
const KERNEL: i64 = 3;

impl<'a> Graph<'a> {
    /// `pixel_values` to patches `[N, patches, width]` in raster order; `first` folds the layer that takes pixels.
    pub fn stem(&mut self, transformer: &Transformer<'a>, config: &VisionConfig, first: &Rc<PixelFold<'a>>) -> Value {
        let [mut rows, mut columns] = config.image_size.map(|length| length as i64);
        // Before the pixels are brought to `u8 / 256`, a border of zeros is one of zeros. Sides are even: nothing below and to the right of
        // the image is ever seen.
        let border = self.ints(&[0, 0, 1, 1, 0, 0, 0, 0]);
        let padded = self.node("Pad", "pixels/padded", &[&Value::named("pixel_values"), &border]);
        let pixels = self.pixels(&padded, first.pixel());
        let mut x = self.transpose("pixels/last", &pixels, &[0, 2, 3, 1]);
        let mut inputs = 3;
        for (layer, &outputs) in config.stem.iter().enumerate() {
            let step = format!("stem.{layer}");
            if layer > 0 {
                x = self.activation(&format!("{step}/activation"), &x, Activation::Gelu);
                let map = self.reshape(&format!("{step}/map"), &x, &[0, rows, columns, inputs as i64]);
                let border = self.ints(&[0, 1, 1, 0, 0, 0, 0, 0]);
                x = self.node("Pad", &format!("{step}/padded"), &[&map, &border]);
            }
            let seen = self.neighbourhoods(&step, &x, [rows, columns]);
            [rows, columns] = [rows / 2, columns / 2];
            let seen =
                self.reshape(&format!("{step}/seen"), &seen, &[0, rows * columns, KERNEL * KERNEL * inputs as i64]);
            let precision = if layer == 0 { first.precision } else { transformer.precision };
            let spec = LinearSpec {
                name: format!("vision.{step}"),
                inputs: (KERNEL * KERNEL) as usize * inputs,
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

    /// The 3×3 cells around every second cell of a map `[N, rows + 1, columns + 1, C]`: `[N, rows / 2, columns / 2, 9 C]`, ordered (row,
    /// column, channel).
    fn neighbourhoods(&mut self, step: &str, map: &Value, [rows, columns]: [i64; 2]) -> Value {
        let (axes, steps) = (self.ints(&[1, 2]), self.ints(&[2, 2]));
        let cells = (0..KERNEL).flat_map(|row| (0..KERNEL).map(move |column| [row, column])).map(|[row, column]| {
            let start = self.ints(&[row, column]);
            let end = self.ints(&[row + rows - 1, column + columns - 1]);
            self.node("Slice", &format!("{step}/cell.{row}.{column}"), &[map, &start, &end, &axes, &steps])
        });
        let cells: Vec<Value> = cells.collect();
        self.concat(&format!("{step}/cells"), -1, &cells.iter().collect::<Vec<_>>())
    }
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
