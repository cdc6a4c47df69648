//! Patches by convolutions: vision transformers learn faster behind a few of them (Xiao et al., "Early Convolutions Help Transformers See
//! Better", arXiv 2106.14881).

use tch::Tensor;

use crate::config::Precision;
use crate::parameters::{Parameters, Start};

/// 3×3 convolutions of stride 2 with the exact GELU between them.
#[derive(Debug)]
pub struct Stem {
    layers: Vec<[Tensor; 2]>,
    precision: Precision,
}

impl Stem {
    /// Parameters `{name}.{i}.weight [out, in, 3, 3]` and `{name}.{i}.bias`.
    pub fn new(parameters: &Parameters, name: &str, widths: &[i64], precision: Precision) -> Self {
        let inputs = [3].iter().chain(widths);
        let layers = inputs.zip(widths).enumerate().map(|(i, (&inputs, &outputs))| {
            // Kept at the input's spread by each layer (He et al., arXiv 1502.01852).
            let start = Start::Normal((2.0 / (9 * inputs) as f32).sqrt());
            [
                parameters.hidden(&format!("{name}.{i}.weight"), &[outputs, inputs, 3, 3], 1, start),
                parameters.vector(&format!("{name}.{i}.bias"), &[outputs], Start::Constant(0.0)),
            ]
        });
        Stem { layers: layers.collect(), precision }
    }

    /// Patches `[B, HW, D]` of images `[B, 3, S, S]`.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        let kind = self.precision.kind();
        let mut x = images.to_kind(kind);
        for (i, [weight, bias]) in self.layers.iter().enumerate() {
            if i > 0 {
                x = x.gelu("none");
            }
            x = x.conv2d(&weight.to_kind(kind), Some(bias.to_kind(kind)), [2, 2], [1, 1], [1, 1], 1);
        }
        x.flatten(2, 3).transpose(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_patch_sees_its_own_corner_of_the_image() {
        let parameters = Parameters::new(1, Device::Cpu);
        let stem = Stem::new(&parameters, "stem", &[4, 6], Precision::F32);
        let image = Tensor::zeros([1, 3, 16, 16], (Kind::Float, Device::Cpu));
        let before = stem.forward(&image);
        assert_eq!(before.size(), [1, 16, 6]);
        let _ = image.narrow(2, 13, 3).narrow(3, 13, 3).fill_(1.0);
        let change = (stem.forward(&image) - before).abs().amax([2], false);
        let changed: Vec<bool> = (0..16).map(|i| change.double_value(&[0, i]) > 0.0).collect();
        assert_eq!(changed, (0..16).map(|i| i == 15).collect::<Vec<_>>());
    }
}
