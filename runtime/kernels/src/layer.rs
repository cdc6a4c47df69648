use crate::{LANES, Shape};

/// Weights of a linear layer in the model file's order: panels of 16 outputs, `K` inputs deep.
#[derive(Clone, Copy, Debug)]
pub enum Panels<'a> {
    /// `[outputs / 16, inputs, 16]`
    F32(&'a [f32]),
    /// `[outputs / 16, inputs, 16]`, IEEE half precision
    F16(&'a [u16]),
    /// Symmetric integers with a scale for each output.
    I8 {
        /// `[outputs / 16, ceil(inputs / 4), 16, 4]`, each within ±127
        weight: &'a [i8],
        /// `[outputs]`
        scale: &'a [f32],
        /// `[outputs]`, 128 times the sum of the output's weights
        zero: &'a [i32],
    },
}

/// A linear layer `y = x Wᵀ + b`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// `W [outputs, inputs]`
    pub panels: Panels<'a>,
    /// `[outputs]`, or empty for none
    pub bias: &'a [f32],
    /// Columns of `x` that are read.
    pub inputs: usize,
    /// Columns of `y` that are written, a multiple of [`LANES`].
    pub outputs: usize,
}

/// What is applied to the outputs of a linear layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `x · Φ(x)` with the exact normal distribution function, within `1.8e-7 |x|`.
    Gelu,
    /// `x · sigmoid(1.702 x)`, within `3e-7 |x|`.
    QuickGelu,
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, within `3e-7 |x|`.
    TanhGelu,
}

impl Linear<'_> {
    /// Most inputs an integer layer can have before its 32-bit sums could overflow.
    pub const MAX_INTEGER_INPUTS: usize = 1 << 16;

    /// Fails unless all lengths are those of `inputs` and `outputs`.
    pub fn check(&self) -> Result<(), Shape> {
        Shape::require(self.outputs.is_multiple_of(LANES), "a layer's outputs are no multiple of 16")?;
        Shape::require(
            self.bias.is_empty() || self.bias.len() == self.outputs,
            "a bias is not as long as its layer's outputs",
        )?;
        let weights = |len: usize, depth: usize| {
            Shape::require(
                self.outputs.checked_mul(depth) == Some(len),
                "a layer's weights are not outputs × inputs long",
            )
        };
        match self.panels {
            Panels::F32(panels) => weights(panels.len(), self.inputs),
            Panels::F16(panels) => weights(panels.len(), self.inputs),
            Panels::I8 { weight, scale, zero } => {
                Shape::require(self.inputs <= Self::MAX_INTEGER_INPUTS, "an integer layer has more than 65536 inputs")?;
                Shape::require(scale.len() == self.outputs, "the scales are not as many as their layer's outputs")?;
                Shape::require(zero.len() == self.outputs, "the zero points are not as many as their layer's outputs")?;
                weights(weight.len(), self.inputs.next_multiple_of(4))
            }
        }
    }
}
