//! The convolutional stem: convolutions with a border of zeros, and GELU between them.

use ndarray::{Array1, Array3, ArrayD};

use super::layer::{activate, read, read1};
use crate::Error;
use crate::source::{Activation, Convolution, Source, Window};

/// One convolution.
pub struct Layer {
    /// `[outputs, inputs, side, side]`.
    weight: ArrayD<f32>,
    bias: Array1<f32>,
    window: Window,
    activates: bool,
}

impl Layer {
    /// Reads the layers of a stem, first to last.
    pub fn read_all(source: &dyn Source, stem: &[Convolution]) -> Result<Vec<Self>, Error> {
        let mut inputs = 3;
        let layers = stem.iter().enumerate().map(|(layer, &Convolution { outputs, window })| {
            let name = format!("vision.stem.{layer}");
            let weight = read(source, &format!("{name}.weight"), &[outputs, inputs, window.side, window.side])?;
            inputs = outputs;
            let activates = layer + 1 < stem.len();
            Ok(Self { weight, bias: read1(source, &format!("{name}.bias"), outputs)?, window, activates })
        });
        layers.collect()
    }

    /// `[inputs, H, W]` to `[outputs, H', W']`, with as many windows as there are along each axis.
    pub fn apply(&self, x: &Array3<f32>) -> Array3<f32> {
        let (inputs, height, width) = x.dim();
        let Window { side, stride, border } = self.window;
        let mut out = Array3::zeros((self.bias.len(), self.window.along(height), self.window.along(width)));
        for ((output, row, column), value) in out.indexed_iter_mut() {
            let mut sum = self.bias[output];
            for (dy, dx) in (0..side).flat_map(|dy| (0..side).map(move |dx| (dy, dx))) {
                // Counted from the border's corner: indices stay whole numbers.
                let (y, x_) = (stride * row + dy, stride * column + dx);
                if (border..border + height).contains(&y) && (border..border + width).contains(&x_) {
                    sum += (0..inputs)
                        .map(|input| self.weight[[output, input, dy, dx]] * x[[input, y - border, x_ - border]])
                        .sum::<f32>();
                }
            }
            *value = if self.activates { activate(Activation::Gelu, sum) } else { sum };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::IxDyn;

    #[test]
    fn each_output_sees_the_three_by_three_around_every_second_pixel() {
        let weight = ArrayD::from_shape_fn(IxDyn(&[1, 1, 3, 3]), |i| 10f32.powi((3 * i[2] + i[3]) as i32));
        let window = Window::HALVING;
        let layer = Layer { weight, bias: Array1::from_vec(vec![0.5]), window, activates: false };
        let image = Array3::from_shape_fn((1, 4, 4), |(_, y, x)| f32::from((y, x) == (1, 1)));
        // Pixel (1, 1) is at the lower right of output (0, 0), below the middle … of its neighbours.
        assert_eq!(layer.apply(&image).into_raw_vec_and_offset().0, [100_000_000.5, 1_000_000.5, 100.5, 1.5]);
    }
}
