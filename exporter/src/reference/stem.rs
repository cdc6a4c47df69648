//! The convolutional stem: 3×3 convolutions of stride 2 with a border of one zero, and GELU between them.

use ndarray::{Array1, Array3, ArrayD};

use super::layer::{activate, read, read1};
use crate::Error;
use crate::source::{Activation, Source};

/// One convolution.
pub struct Convolution {
    /// `[outputs, inputs, 3, 3]`.
    weight: ArrayD<f32>,
    bias: Array1<f32>,
    activates: bool,
}

impl Convolution {
    /// Reads the layers of a stem with these widths, first to last.
    pub fn read_all(source: &dyn Source, widths: &[usize]) -> Result<Vec<Self>, Error> {
        let mut inputs = 3;
        let layers = widths.iter().enumerate().map(|(layer, &outputs)| {
            let name = format!("vision.stem.{layer}");
            let weight = read(source, &format!("{name}.weight"), &[outputs, inputs, 3, 3])?;
            inputs = outputs;
            let activates = layer + 1 < widths.len();
            Ok(Self { weight, bias: read1(source, &format!("{name}.bias"), outputs)?, activates })
        });
        layers.collect()
    }

    /// `[inputs, H, W]` to `[outputs, H / 2, W / 2]`.
    pub fn apply(&self, x: &Array3<f32>) -> Array3<f32> {
        let (inputs, height, width) = x.dim();
        let mut out = Array3::zeros((self.bias.len(), height.div_ceil(2), width.div_ceil(2)));
        for ((output, row, column), value) in out.indexed_iter_mut() {
            let mut sum = self.bias[output];
            for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                // One further up and left than the kernel's corner: indices stay whole numbers.
                let (y, x_) = (2 * row + dy, 2 * column + dx);
                if (1..=height).contains(&y) && (1..=width).contains(&x_) {
                    sum += (0..inputs)
                        .map(|input| self.weight[[output, input, dy, dx]] * x[[input, y - 1, x_ - 1]])
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
        let layer = Convolution { weight, bias: Array1::from_vec(vec![0.5]), activates: false };
        let image = Array3::from_shape_fn((1, 4, 4), |(_, y, x)| f32::from((y, x) == (1, 1)));
        // Pixel (1, 1) is at the lower right of output (0, 0), below the middle … of its neighbours.
        assert_eq!(layer.apply(&image).into_raw_vec_and_offset().0, [100_000_000.5, 1_000_000.5, 100.5, 1.5]);
    }
}
