//! BERT's blocks and pooler (Devlin et al., arXiv 1810.04805), and the mean of its tokens (Reimers and Gurevych, arXiv 1908.10084).

use ndarray::{Array2, Axis};

use super::attention::{Mask, attention};
use super::block::Shape;
use super::layer::{Linear, Norm, activate, normalized, read2};
use crate::Error;
use crate::source::{Source, TextConfig, TextPooling};

/// The l2-normalised embeddings `[texts, embedding]` of texts, by the embedded tokens `[tokens, width]` of each.
/// `observe` sees each text's tokens behind each norm: 0 is the embedding's, each block has two more.
///
/// # Errors
/// A tensor that can't be read or has a wrong shape, another pooling than the mean and the pooler.
pub fn embed(
    source: &dyn Source,
    config: &TextConfig,
    shape: Shape,
    mut batch: Vec<Array2<f32>>,
    observe: &mut dyn FnMut(usize, &Array2<f32>),
) -> Result<Array2<f32>, Error> {
    let pooler = match config.pooling {
        TextPooling::Mean => None,
        TextPooling::Pooler => Some(Linear::read(source, "text.pooler", shape.width, shape.width)?),
        other => return Err(Error::Reference(format!("post-norms with {} are not known", other.name()))),
    };
    let norm = Norm::read(source, "text.embed_norm", shape.width, shape.eps)?;
    for x in &mut batch {
        *x = norm.apply(x);
        observe(0, x);
    }
    for index in 0..config.blocks {
        let block = Block::read(source, &format!("text.blocks.{index}"), shape)?;
        for x in &mut batch {
            *x = block.attend(x);
            observe(2 * index + 1, x);
            *x = block.perceive(x);
            observe(2 * index + 2, x);
        }
    }
    let embedding = source.model().embedding;
    let projection = match source.has("text.projection.weight") {
        true => Some(read2(source, "text.projection.weight", [embedding, shape.width])?),
        false => None,
    };
    let mut embeddings = Array2::zeros((batch.len(), embedding));
    for (x, mut out) in batch.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let pooled = match &pooler {
            None => x.sum_axis(Axis(0)) / x.nrows() as f32,
            Some(pooler) => pooler.apply(&x.select(Axis(0), &[0])).row(0).mapv(f32::tanh),
        };
        let projected = projection.as_ref().map_or(pooled.clone(), |projection| projection.dot(&pooled));
        if projected.len() != embedding {
            return Err(Error::Reference(format!("tokens of width {} give no embedding of {embedding}", shape.width)));
        }
        out.assign(&normalized(projected.view()));
    }
    Ok(embeddings)
}

/// One block, its norms behind the sums.
struct Block {
    shape: Shape,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm1: Norm,
    fc1: Linear,
    fc2: Linear,
    norm2: Norm,
}

impl Block {
    fn read(source: &dyn Source, name: &str, shape: Shape) -> Result<Self, Error> {
        let linear = |part: &str, outputs, inputs| Linear::read(source, &format!("{name}.{part}"), outputs, inputs);
        let norm = |part: &str| Norm::read(source, &format!("{name}.{part}"), shape.width, shape.eps);
        Ok(Block {
            shape,
            q: linear("q", shape.width, shape.width)?,
            k: linear("k", shape.width, shape.width)?,
            v: linear("v", shape.width, shape.width)?,
            out: linear("out", shape.width, shape.width)?,
            norm1: norm("norm1")?,
            fc1: linear("fc1", shape.mlp, shape.width)?,
            fc2: linear("fc2", shape.width, shape.mlp)?,
            norm2: norm("norm2")?,
        })
    }

    /// Tokens `[tokens, width]` in and out.
    fn attend(&self, x: &Array2<f32>) -> Array2<f32> {
        let (q, k, v) = (self.q.apply(x), self.k.apply(x), self.v.apply(x));
        let mixed = attention(&q, &k, &v, self.shape.heads, Mask::default());
        self.norm1.apply(&(x + &self.out.apply(&mixed)))
    }

    /// Tokens `[tokens, width]` in and out.
    fn perceive(&self, x: &Array2<f32>) -> Array2<f32> {
        let mut hidden = self.fc1.apply(x);
        hidden.mapv_inplace(|value| activate(self.shape.activation, value));
        self.norm2.apply(&(x + &self.fc2.apply(&hidden)))
    }
}
