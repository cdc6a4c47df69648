//! From the last block's tokens to the embedding.

use edgelip_kernels::{Activation, Attention, Linear, Parallel, Part, Rows, RowsMut, Step, padded};

use super::merging::Carried;
use super::{Vision, edge};
use crate::Error;
use crate::model::{LinearShape, Loader, Precision, linear_name};
use crate::ops::tanh::tanh;
use crate::plan::{Pooling, VisionShape};
use crate::transformer::Buffers;

/// The layers behind the blocks.
#[derive(Clone, Debug)]
pub(super) struct Head<'a> {
    /// With [`Pooling::Attention`].
    reader: Option<Reader<'a>>,
    /// With [`Pooling::Pooler`]; the norm in front of it is folded in.
    pooler: Option<Linear<'a>>,
    /// With the norm in front of it folded in, if that is not in the pooler; none if what is pooled is the embedding.
    projection: Option<Linear<'a>>,
    /// Whether the embedding is scaled to length 1.
    pub unit: bool,
}

/// A learned query and what it reads the patches with.
#[derive(Clone, Debug)]
struct Reader<'a> {
    /// `[1, padded(width)]`, scaled.
    query: &'a [f32],
    /// Keys and values of normed patches.
    kv: Linear<'a>,
    out: Linear<'a>,
    fc1: Linear<'a>,
    fc2: Linear<'a>,
}

impl<'a> Head<'a> {
    pub(super) fn load(
        loader: &mut Loader<'a>,
        shape: &VisionShape,
        precision: Precision,
        unit: bool,
    ) -> Result<Self, Error> {
        let &VisionShape { width, mlp, .. } = shape;
        let layer = |inputs, outputs, groups| LinearShape { inputs, outputs, groups, precision, bias: true };
        let reader = match shape.pooling {
            Pooling::Attention => Some(Reader {
                query: loader.floats(None, "vision.pool.query", &[1, padded(width)])?,
                kv: loader.linear(None, linear_name!("vision.pool.kv"), layer(width, width, 2))?,
                out: loader.linear(None, linear_name!("vision.pool.out"), layer(width, width, 1))?,
                fc1: loader.linear(None, linear_name!("vision.pool.fc1"), layer(width, mlp, 1))?,
                fc2: loader.linear(None, linear_name!("vision.pool.fc2"), layer(mlp, width, 1))?,
            }),
            Pooling::Class | Pooling::Pooler | Pooling::Mean | Pooling::NormedMean => None,
        };
        let pooler = edge(precision, [width, width], true);
        let mut pooler = || loader.linear(None, linear_name!("vision.pooler"), pooler);
        let pooler = if shape.pooling == Pooling::Pooler { Some(pooler()?) } else { None };
        let projection = edge(precision, [width, shape.embedding], true);
        let mut projection = || loader.linear(None, linear_name!("vision.projection"), projection);
        Ok(Head { reader, pooler, projection: if shape.unprojected { None } else { Some(projection()?) }, unit })
    }
}

impl Vision<'_> {
    /// The embedding `[E]` of the tokens that the last block leaves.
    pub(super) fn read_out(
        &self,
        buffers: &mut Buffers<'_>,
        carried: &Carried<'_>,
        embedding: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (transformer, shape) = (&self.transformer, self.plan.shape());
        let (kernels, width) = (&transformer.kernels, padded(shape.width));
        let count = self.plan.block(shape.blocks - 1).tokens_out;
        // What is pooled goes to the first token's place.
        if let Some(reader) = &self.head.reader {
            self.pool_by_attention(reader, buffers, (count, carried.log_sizes(count)), parallel)?;
        }
        if shape.pooling == Pooling::NormedMean {
            let normed = RowsMut::new(buffers.rows, count, width)?;
            let tokens = Rows::new(buffers.tokens, count, width)?;
            kernels.layer_norm(tokens, shape.width, transformer.norm_eps, normed, parallel)?;
            core::mem::swap(&mut buffers.tokens, &mut buffers.rows);
        }
        if matches!(shape.pooling, Pooling::Mean | Pooling::NormedMean) {
            let sum = buffers.query.part_mut(..width);
            sum.fill(0.0);
            for (&size, token) in carried.sizes(count).iter().zip(buffers.tokens.pieces(width)) {
                kernels.scaled_add(sum, size, token);
            }
            kernels.scaled(buffers.tokens.part_mut(..width), 1.0 / shape.patches() as f32, sum);
        }
        let pooled = match shape.pooling {
            Pooling::Class | Pooling::Pooler | Pooling::Mean => {
                let normed = RowsMut::new(buffers.rows, 1, width)?;
                let token = Rows::new(buffers.tokens, 1, width)?;
                kernels.layer_norm(token, shape.width, transformer.norm_eps, normed, parallel)?;
                match &self.head.pooler {
                    Some(pooler) => {
                        let (normed, pooled) =
                            (Rows::new(buffers.rows, 1, width)?, RowsMut::new(buffers.tokens, 1, width)?);
                        kernels.linear(normed, pooler, Activation::None, false, pooled, buffers.kernel, parallel)?;
                        tanh(buffers.tokens.part_mut(..width));
                        &*buffers.tokens
                    }
                    None => &*buffers.rows,
                }
            }
            Pooling::NormedMean | Pooling::Attention => &*buffers.tokens,
        };
        let out = match &self.head.projection {
            Some(projection) => {
                let (pooled, projected) =
                    (Rows::new(pooled, 1, width)?, RowsMut::new(buffers.query, 1, projection.outputs)?);
                kernels.linear(pooled, projection, Activation::None, false, projected, buffers.kernel, parallel)?;
                buffers.query.part(..embedding.len())
            }
            None => pooled.part(..embedding.len()),
        };
        match self.head.unit {
            true => _ = kernels.normalize(out, embedding),
            false => embedding.copy_from(out),
        }
        parallel.finished(Step::Project);
        Ok(())
    }

    /// What the query reads from `count` tokens, a merged one weighted by its size, through the head's MLP.
    fn pool_by_attention(
        &self,
        reader: &Reader<'_>,
        buffers: &mut Buffers<'_>,
        (count, log_sizes): (usize, Option<&[f32]>),
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (transformer, shape) = (&self.transformer, self.plan.shape());
        let (kernels, width) = (&transformer.kernels, padded(shape.width));
        let tokens = Rows::new(buffers.tokens, count, width)?;
        let normed = RowsMut::new(buffers.rows, count, width)?;
        kernels.layer_norm(tokens, shape.width, transformer.norm_eps, normed, parallel)?;
        parallel.finished(Step::Norm);
        let (normed, kv) = (Rows::new(buffers.rows, count, width)?, RowsMut::new(buffers.wide, count, 2 * width)?);
        kernels.linear(normed, &reader.kv, Activation::None, false, kv, buffers.kernel, parallel)?;
        parallel.finished(Step::Qkv);
        let wide = Rows::new(buffers.wide, count, 2 * width)?;
        let attention = Attention {
            q: Rows::new(reader.query, 1, width)?,
            q_column: 0,
            k: wide,
            k_column: 0,
            v: wide,
            v_column: width,
            heads: shape.heads,
            head_dim: shape.head_dim(),
            log_sizes,
            causal_from: None,
        };
        kernels.attention(&attention, RowsMut::new(buffers.rows, 1, width)?, buffers.kernel, parallel)?;
        parallel.finished(Step::Attention);
        let (read, pooled) = (Rows::new(buffers.rows, 1, width)?, RowsMut::new(buffers.tokens, 1, width)?);
        kernels.linear(read, &reader.out, Activation::None, false, pooled, buffers.kernel, parallel)?;
        parallel.finished(Step::Out);
        transformer.mlp_of([&reader.fc1, &reader.fc2], buffers, 0..1, parallel)
    }
}
