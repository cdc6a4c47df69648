//! A transformer block, as both towers use it, and the frequency block, which has a filter in attention's place. The attention scale lies
//! in the weights, and so do gains and biases of norms that stand in front of a layer.

use core::ops::Range;

use edgelip_kernels::{
    Activation, Attention, Kernels, LANES, Linear, Panels, Parallel, Part, Rows, RowsMut, Step, padded,
};

use crate::model::{LinearShape, Loader, Precision, linear_name};
use crate::plan::{MAX_BLOCKS, VisionShape};
use crate::post_norm::Norm;
use crate::{Error, Problem};

/// The layers of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    mixing: Mixing<'a>,
    fc1: Linear<'a>,
    fc2: Linear<'a>,
}

/// What lets tokens know of each other.
#[derive(Clone, Copy, Debug)]
enum Mixing<'a> {
    Attention {
        qkv: Linear<'a>,
        out: Linear<'a>,
    },
    /// The global filter (Rao et al., "Global Filter Networks for Image Classification", NeurIPS 2021).
    Filter {
        /// `[padded(width) / 16, coefficients, 2, 16]`
        filter: &'a [f32],
        bias: &'a [f32],
    },
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
    /// How many blocks have filters. They come first.
    pub filters: usize,
    /// How many blocks there are.
    pub count: usize,
    blocks: [Block<'a>; MAX_BLOCKS],
}

/// The buffers a block works in; all rows are `padded(width)` long but for `wide`.
pub(crate) struct Buffers<'s> {
    /// The tokens, `[tokens, width]`: what flows from block to block.
    pub tokens: &'s mut [f32],
    /// As many rows: normalised tokens, if norms stand in front or channels are evened out, then what attention gives.
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
    /// A tower's blocks, their layers found in the file.
    pub(crate) fn load(
        loader: &mut Loader<'a>,
        kernels: Kernels,
        precision: Precision,
        shape: &VisionShape,
        sums: (Activation, f32),
    ) -> Result<Self, Error> {
        let mut transformer = Self::empty(kernels, shape, sums);
        transformer.fill(loader, precision, shape)?;
        Ok(transformer)
    }

    /// As many blocks as the shape says, without layers.
    #[inline(always)]
    pub(crate) fn empty(kernels: Kernels, shape: &VisionShape, (activation, norm_eps): (Activation, f32)) -> Self {
        const EMPTY: Linear<'static> = Linear { panels: Panels::F32(&[]), bias: &[], inputs: 0, outputs: 0 };
        const BLOCK: Block<'static> =
            Block { mixing: Mixing::Filter { filter: &[], bias: &[] }, fc1: EMPTY, fc2: EMPTY };
        let &VisionShape { width, heads, mlp, frequency_blocks: filters, .. } = shape;
        let count = filters + shape.blocks;
        Transformer { kernels, width, heads, mlp, activation, norm_eps, filters, count, blocks: [BLOCK; MAX_BLOCKS] }
    }

    /// Finds the blocks' layers and puts them where the blocks already lie: a board's stack has no room for copies of so many.
    pub(crate) fn fill(
        &mut self,
        loader: &mut Loader<'a>,
        precision: Precision,
        shape: &VisionShape,
    ) -> Result<(), Error> {
        let Transformer { width, mlp, .. } = *self;
        let (of_frequency, of_space) = self.blocks.split_at_mut_checked(self.filters).ok_or(Error::TooLarge)?;
        let layer = |inputs, outputs, groups| LinearShape { inputs, outputs, groups, precision, bias: true };
        for (index, block) in of_frequency.iter_mut().enumerate() {
            let index = Some(index as u16);
            let panels = [padded(width) / LANES, shape.coefficients(), 2, LANES];
            *block = Block {
                mixing: Mixing::Filter {
                    filter: loader.floats(index, "frequency.filter", &panels)?,
                    bias: loader.floats(index, "frequency.bias", &[padded(width)])?,
                },
                fc1: loader.linear(index, linear_name!("frequency.fc1"), layer(width, mlp, 1))?,
                fc2: loader.linear(index, linear_name!("frequency.fc2"), layer(mlp, width, 1))?,
            };
        }
        for (index, block) in of_space.iter_mut().enumerate().take(shape.blocks) {
            let index = Some(index as u16);
            *block = Block {
                mixing: Mixing::Attention {
                    qkv: loader.linear(index, linear_name!("qkv"), layer(width, width, 3))?,
                    out: loader.linear(index, linear_name!("out"), layer(width, width, 1))?,
                },
                fc1: loader.linear(index, linear_name!("fc1"), layer(width, mlp, 1))?,
                fc2: loader.linear(index, linear_name!("fc2"), layer(mlp, width, 1))?,
            };
        }
        Ok(())
    }

    fn block(&self, index: usize) -> Result<&Block<'a>, Error> {
        self.blocks.get(index).ok_or(missing("fc1.weight", index))
    }

    /// `tokens += filter(norm(tokens))` for the tokens from `first` on, a grid in raster order.
    pub(crate) fn filter(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        (first, grid): (usize, [usize; 2]),
        twiddles: &[f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, width, count) = (&self.kernels, padded(self.width), grid[0] * grid[1]);
        let Some(&Block { mixing: Mixing::Filter { filter, bias }, .. }) = self.blocks.get(index) else {
            return Err(missing("frequency.filter", index));
        };
        let tokens = buffers.tokens.part_mut(first * width..);
        let normed = RowsMut::new(buffers.rows, count, width)?;
        kernels.layer_norm(Rows::new(tokens, count, width)?, self.width, self.norm_eps, normed, parallel)?;
        parallel.finished(Step::Norm);
        let (normed, tokens) = (Rows::new(buffers.rows, count, width)?, RowsMut::new(tokens, count, width)?);
        kernels.global_filter(normed, grid, filter, bias, twiddles, tokens, buffers.kernel, parallel)?;
        parallel.finished(Step::Filter);
        Ok(())
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

    /// `tokens = norm(tokens + attention(tokens))` for all `count` tokens, which see each other and come from the norm `before`.
    pub(crate) fn attend_then_norm(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        count: usize,
        [before, norm]: [&Norm<'_>; 2],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let even = before.smooth(buffers.tokens, buffers.rows, (count, self.width));
        self.mix(index, buffers, even, (count, 0..count), Sight::All(None), parallel)?;
        norm.apply(&self.kernels, buffers.tokens, (count, self.width), self.norm_eps)?;
        parallel.finished(Step::Norm);
        Ok(())
    }

    /// `tokens += attention(input)`, the input lying in `rows` if it was `prepared` there, else being the tokens themselves.
    fn mix(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        prepared: bool,
        (count, queries): (usize, Range<usize>),
        sight: Sight<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, width) = (&self.kernels, padded(self.width));
        let Some(Block { mixing: Mixing::Attention { qkv: of_inputs, out }, .. }) = self.blocks.get(index) else {
            return Err(missing("qkv.weight", index));
        };
        let source: &[f32] = if prepared { buffers.rows } else { buffers.tokens };
        let input = Rows::new(source, count, width)?;
        let all = queries.len() == count;
        if all {
            let qkv = RowsMut::new(buffers.wide, count, 3 * width)?;
            kernels.linear(input, of_inputs, Activation::None, false, qkv, buffers.kernel, parallel)?;
        } else {
            let key_value = outputs(of_inputs, width..3 * width);
            let kv = RowsMut::new(buffers.wide, count, 2 * width)?;
            kernels.linear(input, &key_value, Activation::None, false, kv, buffers.kernel, parallel)?;
            let row = Rows::new(source.part(queries.start * width..), queries.len(), width)?;
            let q = RowsMut::new(buffers.query, queries.len(), width)?;
            kernels.linear(row, &outputs(of_inputs, 0..width), Activation::None, false, q, buffers.kernel, parallel)?;
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
            head_dim: self.width / self.heads.max(1),
            log_sizes,
            causal_from,
        };
        let attended = RowsMut::new(buffers.rows, queries.len(), width)?;
        kernels.attention(&attention, attended, buffers.kernel, parallel)?;
        parallel.finished(Step::Attention);
        let tokens = buffers.tokens.part_mut(queries.start * width..);
        kernels.linear(
            Rows::new(buffers.rows, queries.len(), width)?,
            out,
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
        let Block { fc1, fc2, .. } = self.block(index)?;
        self.mlp_of([fc1, fc2], buffers, rows, parallel)
    }

    /// As [`Transformer::mlp`], by layers that are no block's.
    pub(crate) fn mlp_of(
        &self,
        layers: [&Linear<'_>; 2],
        buffers: &mut Buffers<'_>,
        rows: Range<usize>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (count, width) = (rows.len(), padded(self.width));
        let tokens = buffers.tokens.part(rows.start * width..);
        let normed = RowsMut::new(buffers.rows, count, width)?;
        self.kernels.layer_norm(Rows::new(tokens, count, width)?, self.width, self.norm_eps, normed, parallel)?;
        parallel.finished(Step::Norm);
        self.perceive(layers, buffers, true, rows, parallel)
    }

    /// `tokens = norm(tokens + mlp(tokens))` for all `count` tokens, which come from the norm `before`.
    pub(crate) fn mlp_then_norm(
        &self,
        index: usize,
        buffers: &mut Buffers<'_>,
        count: usize,
        [before, norm]: [&Norm<'_>; 2],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let even = before.smooth(buffers.tokens, buffers.rows, (count, self.width));
        let Block { fc1, fc2, .. } = self.block(index)?;
        self.perceive([fc1, fc2], buffers, even, 0..count, parallel)?;
        norm.apply(&self.kernels, buffers.tokens, (count, self.width), self.norm_eps)?;
        parallel.finished(Step::Norm);
        Ok(())
    }

    /// `tokens += mlp(input)` for the given tokens; the input lying in `rows` if it was `prepared` there, else being those tokens.
    fn perceive(
        &self,
        [fc1, fc2]: [&Linear<'_>; 2],
        buffers: &mut Buffers<'_>,
        prepared: bool,
        rows: Range<usize>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, width, mlp) = (&self.kernels, padded(self.width), padded(self.mlp));
        let count = rows.len();
        let tokens = buffers.tokens.part_mut(rows.start * width..);
        let input: &[f32] = if prepared { buffers.rows } else { tokens };
        kernels.linear(
            Rows::new(input, count, width)?,
            fc1,
            self.activation,
            false,
            RowsMut::new(buffers.wide, count, mlp)?,
            buffers.kernel,
            parallel,
        )?;
        parallel.finished(Step::Fc1);
        kernels.linear(
            Rows::new(buffers.wide, count, mlp)?,
            fc2,
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
        let token = Rows::new(buffers.tokens.part(row * width..), 1, width)?;
        kernels.layer_norm(token, self.width, self.norm_eps, RowsMut::new(buffers.rows, 1, width)?, parallel)?;
        let normed = Rows::new(buffers.rows, 1, width)?;
        let projected = RowsMut::new(buffers.query, 1, projection.outputs)?;
        kernels.linear(normed, projection, Activation::None, false, projected, buffers.kernel, parallel)?;
        kernels.normalize(buffers.query.part(..embedding.len()), embedding);
        parallel.finished(Step::Project);
        Ok(())
    }
}

fn missing(name: &'static str, block: usize) -> Error {
    Error::Tensor { name, block: Some(block as u16), problem: Problem::Missing }
}

/// The part of a layer that gives the outputs in `range`, whose ends are multiples of [`LANES`].
fn outputs<'a>(layer: &Linear<'a>, range: Range<usize>) -> Linear<'a> {
    let floats = |inputs: usize| range.start / LANES * inputs * LANES..range.end / LANES * inputs * LANES;
    let panels = match layer.panels {
        Panels::F32(panels) => Panels::F32(panels.part(floats(layer.inputs))),
        Panels::F16(panels) => Panels::F16(panels.part(floats(layer.inputs))),
        Panels::I8 { weight, scale, zero } => Panels::I8 {
            weight: weight.part(floats(layer.inputs.next_multiple_of(4))),
            scale: scale.part(range.clone()),
            zero: zero.part(range.clone()),
        },
    };
    Linear { panels, bias: layer.bias.part(range.clone()), inputs: layer.inputs, outputs: range.len() }
}
