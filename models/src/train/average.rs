//! The weights' exponential moving average (Polyak and Juditsky, 1992): what is evaluated and shipped.

use tch::Tensor;

use crate::parameters::Parameter;

/// Averaged weights.
#[derive(Debug)]
pub struct Average {
    /// One for each parameter.
    pub tensors: Vec<Tensor>,
}

impl Average {
    /// Starts at the weights themselves.
    pub fn new(parameters: &[Parameter]) -> Self {
        Average { tensors: parameters.iter().map(|parameter| parameter.tensor.detach().copy()).collect() }
    }

    /// Moves towards the weights; early steps, whose weights are soon outdated, are forgotten faster.
    pub fn update(&mut self, parameters: &[Parameter], decay: f64, step: u64) {
        let decay = decay.min((1.0 + step as f64) / (10.0 + step as f64));
        tch::no_grad(|| {
            for (average, parameter) in self.tensors.iter_mut().zip(parameters) {
                let _ = average.lerp_(&parameter.tensor, 1.0 - decay);
            }
        });
    }
}
