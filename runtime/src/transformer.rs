//! A transformer block, as both towers use it. The attention scale lies in the weights, and so do gains and biases of norms that stand
//! in front of a layer.

use core::ops::Range;

use edgelip_kernels::{Activation, Attention, Kernels, LANES, Linear, Panels, Parallel, Rows, RowsMut, Step, padded};

use crate::Error;
use crate::model::{LinearShape, Loader, Precision, linear_name};
use crate::plan::MAX_BLOCKS;
use crate::post_norm::Norm;

/// The layers of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    qkv: Linear<'a>,
    out: Linear<'a>,
    fc1: Linear<'a>,
    fc2: Linear<'a>,
}

/// The blocks of a tower and what they have in common.
#[derive(Clone, Debug)]
pub(crate) struct Transformer<'a> {
    pub kernels: Kernels,
    pub width: usize,
    pub heads: usize,
    pub mlp: usize,
    pub activation: Activation,
    pub norm_eps: f32,
    pub count: usize,
    blocks: [Block<'a>; MAX_BLOCKS],
}

/// The buffers a block works in; all rows are `padded(width)` long but for `wide`.
pub(crate) struct Buffers<'s> {
    /// The tokens, `[tokens, width]`: what flows from block to block.
    pub tokens: &'s mut [f32],
    /// As many rows: normalised tokens, if norms stand in front, then what attention gives.
    pub rows: &'s mut [f32],
    /// Queries, keys and values `[tokens, 3·width]`, then the hidden layer `[tokens, mlp]`.
    pub wide: &'s mut [f32],
    /// One row.
    pub query: &'s mut [f32],
    /// Scratch of the operators.
    pub kernel: &'s mut [f32],
}

/// Which keys a query sees.
#[derive(Clone, Copy)]
pub(crate) enum Sight<'a> {
    /// All of them; with merged tokens, each weighted by its size, whose logarithm is given.
    All(Option<&'a [f32]>),
    /// Those up to its own position.
    Causal,
}

impl<'a> Transformer<'a> {
    /// Finds the layers of `count` blocks.
    pub(crate) fn load(
        loader: &mut Loader<'a>,
        kernels: Kernels,
        precision: Precision,
        (width, heads, mlp, count): (usize, usize, usize, usize),
        (activation, norm_eps): (Activation, f32),
    ) -> Result<Self, Error> {
        const EMPTY: Linear<'static> = Linear { panels: Panels::F32(&[]), bias: &[], inputs: 0, outputs: 0 };
        const BLOCK: Block<'static> = Block { qkv: EMPTY, out: EMPTY, fc1: EMPTY, fc2: EMPTY };
        let mut blocks = [BLOCK; MAX_BLOCKS];
        for (index, block) in blocks.iter_mut().enumerate().take(count) {
            let mut linear = |name, inputs, outputs, groups| {
                let shape = LinearShape { inputs, outputs, groups, precision, bias: true };
                loader.linear(Some(index as u16), name, shape)
            };
            *block = Block {
                qkv: linear(linear_name!("qkv"), width, width, 3)?,
                out: linear(linear_name!("out"), width, width, 1)?,
                fc1: linear(linear_name!("fc1"), width, mlp, 1)?,
                fc2: linear(linear_name!("fc2"), mlp, width, 1)?,
            };
        }
        Ok(Transformer { kernels, width, heads, mlp, activation, norm_eps, count, blocks })
    }

    /// `tokens += attention(norm(tokens))` for the rows in `queries`; keys and values come from all `count` tokens.
    /// Afterwards `wide` holds queries, keys and values, `[count, 3·width]`.
    pub(crate) fn attend(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        count: usize,
        queries: Range<usize>,
        sight: Sight<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let width = padded(self.width);
        self.kernels.layer_norm(
            Rows::new(buffers.tokens, count, width)?,
            self.width,
            self.norm_eps,
            RowsMut::new(buffers.rows, count, width)?,
            parallel,
        )?;
        parallel.finished(Step::Norm);
        self.mix(index, buffers, true, (count, queries), sight, parallel)
    }

    /// `tokens = norm(tokens + attention(tokens))` for all `count` tokens, which see each other.
    pub(crate) fn attend_then_norm(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        count: usize,
        norm: &Norm<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        self.mix(index, buffers, false, (count, 0..count), Sight::All(None), parallel)?;
        norm.apply(&self.kernels, buffers.tokens, (count, self.width), self.norm_eps)?;
        parallel.finished(Step::Norm);
        Ok(())
    }

    /// `tokens += attention(input)`, the input being `rows` if they are the `normed` tokens, else the tokens themselves.
    fn mix(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        normed: bool,
        (count, queries): (usize, Range<usize>),
        sight: Sight<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, block, width) = (&self.kernels, &self.blocks[index], padded(self.width));
        let source: &[f32] = if normed { buffers.rows } else { buffers.tokens };
        let input = Rows::new(source, count, width)?;
        let all = queries.len() == count;
        if all {
            let qkv = RowsMut::new(buffers.wide, count, 3 * width)?;
            kernels.linear(input, &block.qkv, Activation::None, false, qkv, buffers.kernel, parallel)?;
        } else {
            let key_value = outputs(&block.qkv, width..3 * width);
            let kv = RowsMut::new(buffers.wide, count, 2 * width)?;
            kernels.linear(input, &key_value, Activation::None, false, kv, buffers.kernel, parallel)?;
            let row = Rows::new(&source[queries.start * width..], queries.len(), width)?;
            let q = RowsMut::new(buffers.query, queries.len(), width)?;
            kernels.linear(
                row,
                &outputs(&block.qkv, 0..width),
                Activation::None,
                false,
                q,
                buffers.kernel,
                parallel,
            )?;
        }
        parallel.finished(Step::Qkv);
        let stride = if all { 3 * width } else { 2 * width };
        let wide = Rows::new(buffers.wide, count, stride)?;
        let (log_sizes, causal_from) = match sight {
            Sight::All(log_sizes) => (log_sizes, None),
            Sight::Causal => (None, Some(queries.start)),
        };
        let attention = Attention {
            q: if all { wide } else { Rows::new(buffers.query, queries.len(), width)? },
            q_column: 0,
            k: wide,
            k_column: stride - 2 * width,
            v: wide,
            v_column: stride - width,
            heads: self.heads,
            head_dim: self.width / self.heads,
            log_sizes,
            causal_from,
        };
        let attended = RowsMut::new(buffers.rows, queries.len(), width)?;
        kernels.attention(&attention, attended, buffers.kernel, parallel)?;
        parallel.finished(Step::Attention);
        let tokens = &mut buffers.tokens[queries.start * width..];
        kernels.linear(
            Rows::new(buffers.rows, queries.len(), width)?,
            &block.out,
            Activation::None,
            true,
            RowsMut::new(tokens, queries.len(), width)?,
            buffers.kernel,
            parallel,
        )?;
        parallel.finished(Step::Out);
        Ok(())
    }

    /// `tokens += mlp(norm(tokens))` for the given rows.
    pub(crate) fn mlp(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        rows: Range<usize>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (count, width) = (rows.len(), padded(self.width));
        let tokens = &buffers.tokens[rows.start * width..];
        let normed = RowsMut::new(buffers.rows, count, width)?;
        self.kernels.layer_norm(Rows::new(tokens, count, width)?, self.width, self.norm_eps, normed, parallel)?;
        parallel.finished(Step::Norm);
        self.perceive(index, buffers, true, rows, parallel)
    }

    /// `tokens = norm(tokens + mlp(tokens))` for all `count` tokens.
    pub(crate) fn mlp_then_norm(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        count: usize,
        norm: &Norm<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        self.perceive(index, buffers, false, 0..count, parallel)?;
        norm.apply(&self.kernels, buffers.tokens, (count, self.width), self.norm_eps)?;
        parallel.finished(Step::Norm);
        Ok(())
    }

    /// `tokens += mlp(input)` for the given tokens; the input lies in `rows` if it is `normed`, else it is those tokens.
    fn perceive(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        normed: bool,
        rows: Range<usize>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, block, width, mlp) = (&self.kernels, &self.blocks[index], padded(self.width), padded(self.mlp));
        let count = rows.len();
        let tokens = &mut buffers.tokens[rows.start * width..];
        let input: &[f32] = if normed { buffers.rows } else { tokens };
        kernels.linear(
            Rows::new(input, count, width)?,
            &block.fc1,
            self.activation,
            false,
            RowsMut::new(buffers.wide, count, mlp)?,
            buffers.kernel,
            parallel,
        )?;
        parallel.finished(Step::Fc1);
        kernels.linear(
            Rows::new(buffers.wide, count, mlp)?,
            &block.fc2,
            Activation::None,
            true,
            RowsMut::new(tokens, count, width)?,
            buffers.kernel,
            parallel,
        )?;
        parallel.finished(Step::Fc2);
        Ok(())
    }

    /// The projection of one token's norm, scaled to length 1.
    pub(crate) fn project(
        &self,
        projection: &Linear<'_>,
        buffers: &mut Buffers<'_>,
        row: usize,
        embedding: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, width) = (&self.kernels, padded(self.width));
        let token = Rows::new(&buffers.tokens[row * width..], 1, width)?;
        kernels.layer_norm(token, self.width, self.norm_eps, RowsMut::new(buffers.rows, 1, width)?, parallel)?;
        let normed = Rows::new(buffers.rows, 1, width)?;
        let projected = RowsMut::new(buffers.query, 1, projection.outputs)?;
        kernels.linear(normed, projection, Activation::None, false, projected, buffers.kernel, parallel)?;
        kernels.normalize(&buffers.query[..embedding.len()], embedding);
        parallel.finished(Step::Project);
        Ok(())
    }
}

/// The part of a layer that gives the outputs in `range`, whose ends are multiples of [`LANES`].
fn outputs<'a>(layer: &Linear<'a>, range: Range<usize>) -> Linear<'a> {
    let floats = |inputs: usize| range.start / LANES * inputs * LANES..range.end / LANES * inputs * LANES;
    let panels = match layer.panels {
        Panels::F32(panels) => Panels::F32(&panels[floats(layer.inputs)]),
        Panels::F16(panels) => Panels::F16(&panels[floats(layer.inputs)]),
        Panels::I8 { weight, scale, zero } => Panels::I8 {
            weight: &weight[floats(layer.inputs.next_multiple_of(4))],
            scale: &scale[range.clone()],
            zero: &zero[range.clone()],
        },
    };
    Linear { panels, bias: &layer.bias[range.clone()], inputs: layer.inputs, outputs: range.len() }
}
