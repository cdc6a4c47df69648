//! Layer normalisation (Ba, Kiros and Hinton, arXiv 1607.06450).

use tch::Tensor;

use crate::parameters::{Parameters, Start};

/// Added to the variance.
pub const EPSILON: f64 = 1e-5;

/// LayerNorm over the last dimension, in f32.
#[derive(Debug)]
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    /// Parameters `{name}.weight` and `{name}.bias`.
    pub fn new(parameters: &Parameters, name: &str, width: i64) -> Self {
        Norm {
            weight: parameters.vector(&format!("{name}.weight"), &[width], Start::Constant(1.0)),
            bias: parameters.vector(&format!("{name}.bias"), &[width], Start::Constant(0.0)),
        }
    }

    /// The normalised tokens.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPSILON, false)
    }
}
