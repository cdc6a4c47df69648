//! From the last block's tokens to the embedding.

use ndarray::{Array1, Array2, Axis, Slice};

use super::attention::{Mask, attention};
use super::block::{Mlp, Shape};
use super::layer::{Linear, Norm, normalized, read1};
use super::merge::Tokens;
use crate::Error;
use crate::source::{Pooling, Source, VisionConfig};

/// The embeddings `[images, embedding]`.
pub fn read_out(
    source: &dyn Source,
    config: &VisionConfig,
    shape: Shape,
    batch: &[Tokens],
) -> Result<Array2<f32>, Error> {
    let (head, embedding) = (config.head, source.model().embedding);
    let norm = Norm::read(source, "vision.post_norm", config.width, config.norm_eps)?;
    let reader = match head.pooling {
        Pooling::Attention => Some(Reader::read(source, config, shape)?),
        Pooling::Class | Pooling::Pooler | Pooling::Mean | Pooling::NormedMean => None,
    };
    let pooler = match head.pooling {
        Pooling::Pooler => Some(Linear::read(source, "vision.pooler", config.width, config.width)?),
        _ => None,
    };
    let projection = match head.projected {
        true => Some(Linear::read(source, "vision.projection", embedding, config.width)?),
        false => None,
    };
    let mut embeddings = Array2::zeros((batch.len(), embedding));
    for (tokens, mut out) in batch.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let mut pooled = match (head.pooling, &reader) {
            (Pooling::Mean, _) => norm.apply(&mean(&tokens.x, &tokens.sizes)),
            (Pooling::NormedMean, _) => mean(&norm.apply(&tokens.x), &tokens.sizes),
            (Pooling::Attention, Some(reader)) => reader.apply(&norm.apply(&tokens.x), &tokens.sizes),
            (Pooling::Class | Pooling::Pooler | Pooling::Attention, _) => {
                norm.apply(&tokens.x.slice_axis(Axis(0), Slice::from(..1)).to_owned())
            }
        };
        if let Some(pooler) = &pooler {
            pooled = pooler.apply(&pooled).mapv(f32::tanh);
        }
        if let Some(projection) = &projection {
            pooled = projection.apply(&pooled);
        }
        let row = pooled.row(0);
        out.assign(&if head.unit { normalized(row) } else { row.to_owned() });
    }
    Ok(embeddings)
}

/// The mean of rows `[tokens, width]` that stand for so many patches: `[1, width]`.
fn mean(x: &Array2<f32>, sizes: &[f32]) -> Array2<f32> {
    let sizes = Array1::from_vec(sizes.to_vec());
    (sizes.dot(x) / sizes.sum()).insert_axis(Axis(0))
}

/// A query that reads from all tokens, and its MLP.
struct Reader {
    heads: usize,
    probe: Array2<f32>,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    mlp: Mlp,
}

impl Reader {
    fn read(source: &dyn Source, config: &VisionConfig, shape: Shape) -> Result<Self, Error> {
        let square = |part: &str| Linear::read(source, &format!("vision.pool.{part}"), config.width, config.width);
        Ok(Self {
            heads: config.heads,
            probe: read1(source, "vision.pool.probe", config.width)?.insert_axis(Axis(0)),
            q: square("q")?,
            k: square("k")?,
            v: square("v")?,
            out: square("out")?,
            mlp: Mlp::read(source, "vision.pool", shape)?,
        })
    }

    /// `[1, width]` of `[tokens, width]`.
    fn apply(&self, x: &Array2<f32>, sizes: &[f32]) -> Array2<f32> {
        let mask = Mask { sizes: Some(sizes), causal: false };
        let read = attention(&self.q.apply(&self.probe), &self.k.apply(x), &self.v.apply(x), self.heads, mask);
        self.mlp.apply(&self.out.apply(&read))
    }
}
