//! The weights' exponential moving average (Polyak and Juditsky, 1992): what is evaluated and shipped.

use tch::Tensor;

use super::Flat;

/// Averaged weights.
#[derive(Debug)]
pub struct Average {
    /// Laid out like the parameters.
    pub values: Tensor,
}

impl Average {
    /// Starts at the weights themselves.
    pub fn new(flat: &Flat) -> Self {
        Average { values: flat.values.copy() }
    }

    /// Moves towards the weights; early steps, whose weights are soon outdated, are forgotten faster.
    pub fn update(&mut self, flat: &Flat, decay: f64, step: u64) {
        let decay = decay.min((1.0 + step as f64) / (10.0 + step as f64));
        tch::no_grad(|| {
            let _ = self.values.lerp_(&flat.values, 1.0 - decay);
        });
    }
}
