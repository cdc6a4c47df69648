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
    /// Parameters `{name}.weight` and `{name}.bias` of a layer inside of a block.
    pub fn new(
        parameters: &Parameters,
        name: &str,
        [inputs, outputs]: [i64; 2],
        deviation: f32,
        precision: Precision,
    ) -> Self {
        Linear::stacked(parameters, name, [inputs, outputs], 1, deviation, precision)
    }

    /// The same for `layers` layers with the same input: their outputs side by side, `outputs` in all.
    pub fn stacked(
        parameters: &Parameters,
        name: &str,
        [inputs, outputs]: [i64; 2],
        layers: i64,
        deviation: f32,
        precision: Precision,
    ) -> Self {
        let start = Start::Normal(deviation);
        let bias = parameters.vector(&format!("{name}.bias"), &[outputs], Start::Constant(0.0));
        let weight = parameters.hidden(&format!("{name}.weight"), &[outputs, inputs], layers, start);
        Linear { weight, bias: Some(bias), precision }
    }

    /// Parameter `{name}.weight` alone: a layer at the network's edge.
    pub fn without_bias(
        parameters: &Parameters,
        name: &str,
        [inputs, outputs]: [i64; 2],
        deviation: f32,
        precision: Precision,
    ) -> Self {
        let weight = parameters.edge(&format!("{name}.weight"), &[outputs, inputs], Start::Normal(deviation));
        Linear { weight, bias: None, precision }
    }

    /// The product, in the layer's precision.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let kind = self.precision.kind();
        x.to_kind(kind).linear(&self.weight.to_kind(kind), self.bias.as_ref().map(|bias| bias.to_kind(kind)))
    }
}
