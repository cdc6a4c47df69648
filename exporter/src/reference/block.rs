//! One pre-norm transformer block, the same in both towers of CLIP; its layers are BERT's too.

use ndarray::Array2;

use super::attention::{Mask, attention};
use super::layer::{Linear, Norm, activate};
use crate::Error;
use crate::source::{Activation, Source};

/// What a tower's blocks have in common.
#[derive(Clone, Copy)]
pub struct Shape {
    pub width: usize,
    pub heads: usize,
    pub mlp: usize,
    pub activation: Activation,
    pub eps: f32,
}

/// The first half of a block: what mixes the tokens.
pub struct Mixing {
    heads: usize,
    norm: Norm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
}

impl Mixing {
    /// Reads the block `name`, such as `vision.blocks.3`.
    pub fn read(source: &dyn Source, name: &str, shape: Shape) -> Result<Self, Error> {
        let square = |part: &str| Linear::read(source, &format!("{name}.{part}"), shape.width, shape.width);
        Ok(Self {
            heads: shape.heads,
            norm: Norm::read(source, &format!("{name}.norm1"), shape.width, shape.eps)?,
            q: square("q")?,
            k: square("k")?,
            v: square("v")?,
            out: square("out")?,
        })
    }

    /// The tokens after the attention residual, and the keys with their bias, both `[tokens, width]`.
    pub fn apply(&self, x: &Array2<f32>, mask: Mask) -> (Array2<f32>, Array2<f32>) {
        let normed = self.norm.apply(x);
        let keys = self.k.apply(&normed);
        let mixed = attention(&self.q.apply(&normed), &keys, &self.v.apply(&normed), self.heads, mask);
        (x + &self.out.apply(&mixed), keys)
    }
}

/// The second half of a block: what transforms each token.
pub struct Mlp {
    activation: Activation,
    norm: Norm,
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    /// Reads the block `name`, such as `vision.blocks.3`.
    pub fn read(source: &dyn Source, name: &str, shape: Shape) -> Result<Self, Error> {
        Ok(Self {
            activation: shape.activation,
            norm: Norm::read(source, &format!("{name}.norm2"), shape.width, shape.eps)?,
            fc1: Linear::read(source, &format!("{name}.fc1"), shape.mlp, shape.width)?,
            fc2: Linear::read(source, &format!("{name}.fc2"), shape.width, shape.mlp)?,
        })
    }

    /// The tokens `[tokens, width]` after the MLP residual.
    pub fn apply(&self, x: &Array2<f32>) -> Array2<f32> {
        let mut hidden = self.fc1.apply(&self.norm.apply(x));
        hidden.mapv_inplace(|value| activate(self.activation, value));
        x + &self.fc2.apply(&hidden)
    }
}
