//! The two-layer perceptron of a transformer block.

use tch::Tensor;

use super::Linear;
use crate::config::Precision;
use crate::parameters::Parameters;

/// `W₂ gelu(W₁ x)`, with the exact GELU (Hendrycks and Gimpel, arXiv 1606.08415).
#[derive(Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    /// Parameters under `{name}.fc1` and `{name}.fc2`; `out_deviation` is the spread of the residual branch's last matrix.
    pub fn new(
        parameters: &Parameters,
        name: &str,
        [width, hidden]: [i64; 2],
        out_deviation: f32,
        precision: Precision,
    ) -> Self {
        Mlp {
            fc1: Linear::new(parameters, &format!("{name}.fc1"), [width, hidden], 0.02, precision),
            fc2: Linear::new(parameters, &format!("{name}.fc2"), [hidden, width], out_deviation, precision),
        }
    }

    /// The branch's output, without the residual.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.fc2.forward(&self.fc1.forward(x).gelu("none"))
    }
}
