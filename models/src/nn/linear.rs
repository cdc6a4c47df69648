//! A matrix product with an optional bias.

use tch::Tensor;

use crate::config::Precision;
use crate::parameters::{Parameters, Start};

/// `x Wᵀ + b`, `W [out, in]`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    precision: Precision,
}

impl Linear {
    /// Parameters `{name}.weight` and `{name}.bias`.
    pub fn new(
        parameters: &Parameters,
        name: &str,
        [inputs, outputs]: [i64; 2],
        deviation: f32,
        precision: Precision,
    ) -> Self {
        let bias = parameters.vector(&format!("{name}.bias"), &[outputs], Start::Constant(0.0));
        Linear { bias: Some(bias), ..Linear::without_bias(parameters, name, [inputs, outputs], deviation, precision) }
    }

    /// Parameter `{name}.weight` alone.
    pub fn without_bias(
        parameters: &Parameters,
        name: &str,
        [inputs, outputs]: [i64; 2],
        deviation: f32,
        precision: Precision,
    ) -> Self {
        let weight = parameters.matrix(&format!("{name}.weight"), &[outputs, inputs], Start::Normal(deviation));
        Linear { weight, bias: None, precision }
    }

    /// The product, in the layer's precision.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let kind = self.precision.kind();
        x.to_kind(kind).linear(&self.weight.to_kind(kind), self.bias.as_ref().map(|bias| bias.to_kind(kind)))
    }
}
