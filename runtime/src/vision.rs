//! The image tower: pixels to embedding.

use edgelip_kernels::{Activation, Kernels, Linear, Parallel, Rows, RowsMut, Step, math, padded};

use crate::image::Preprocess;
use crate::model::{LinearShape, Loader, Metadata, Precision, Score, invalid, linear_name, preprocess};
use crate::onnx::{DataType, File};
use crate::ops::{merge, patches};
use crate::plan::{MAX_BLOCKS, Merge, Plan, VisionShape};
use crate::scratch::Arena;
use crate::transformer::{Buffers, Sight, Transformer};
use crate::{Error, Labels, Problem};

/// An image tower, executed where its file lies.
#[derive(Clone, Debug)]
pub struct Vision<'a> {
    file: File<'a>,
    plan: Plan,
    precision: Precision,
    preprocess: Preprocess,
    patch: Linear<'a>,
    position: &'a [f32],
    class: &'a [f32],
    pre_norm: [&'a [f32]; 2],
    /// Raster index of the patch at each position, as little-endian i64; empty if ascending.
    order: &'a [u8],
    transformer: Transformer<'a>,
    projection: Linear<'a>,
    labels: Option<Labels<'a>>,
    logit_scale: f32,
    logit_bias: f32,
    score: Score,
}

impl<'a> Vision<'a> {
    /// Opens an image tower and checks all of it, so that later calls can only fail for their own arguments.
    ///
    /// # Errors
    /// What is missing or does not fit, by name.
    pub fn open(bytes: &'a [u8], kernels: Kernels) -> Result<Self, Error> {
        let file = File::parse(bytes)?;
        let metadata = Metadata(&file);
        metadata.check("vision")?;
        let plan = plan(&metadata)?;
        let shape = *plan.shape();
        let precision = metadata.precision()?;
        let half = if precision == Precision::F32 { Precision::F32 } else { Precision::F16 };
        let edge = |inputs, outputs, bias| LinearShape { inputs, outputs, groups: 1, precision: half, bias };
        let width = padded(shape.width);
        let patches = plan.tokens() - 1;

        let mut loader = Loader::new(&file, "vision.blocks.");
        let patch =
            loader.linear(None, linear_name!("vision.patch"), edge(shape.patch_values(), shape.width, false))?;
        let position = loader.floats(None, "vision.position", &[patches, width])?;
        let class = loader.floats(None, "vision.class", &[1, width])?;
        let pre_norm = [
            loader.floats(None, "vision.pre_norm.weight", &[width])?,
            loader.floats(None, "vision.pre_norm.bias", &[width])?,
        ];
        let order = order(&mut loader, &plan)?;
        let transformer = Transformer::load(
            &mut loader,
            kernels,
            precision,
            (shape.width, shape.heads, shape.mlp, shape.blocks),
            (metadata.activation()?, metadata.norm_eps()?),
        )?;
        let projection =
            loader.linear(None, linear_name!("vision.projection"), edge(shape.width, shape.embedding, true))?;
        let labels = Labels::find(&file, &mut loader, shape.embedding)?;
        plan.scratch_len(1)?;
        Ok(Vision {
            plan,
            precision,
            preprocess: preprocess(&metadata, shape.image)?,
            patch,
            position,
            class,
            pre_norm,
            order,
            transformer,
            projection,
            labels,
            logit_scale: metadata.float("edgelip.logit_scale")?,
            logit_bias: metadata.float("edgelip.logit_bias")?,
            score: metadata.word("edgelip.score", &[("softmax", Score::Softmax), ("sigmoid", Score::Sigmoid)])?,
            file,
        })
    }

    /// The embedding of an image, l2-normalised.
    ///
    /// `pixels` are `[H, W, 3]` after resize and crop ([`Preprocess::apply`]); `scratch` holds at least
    /// [`Vision::scratch_len`] floats, whatever their values; `embedding` is `[E]`. The result's bits do not depend on `parallel`.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Scratch`] if a slice has another length.
    pub fn embed(
        &self,
        pixels: &[u8],
        scratch: &mut [f32],
        parallel: &dyn Parallel,
        embedding: &mut [f32],
    ) -> Result<(), Error> {
        let shape = self.plan.shape();
        expect("pixels", pixels.len(), shape.image[0] * shape.image[1] * 3)?;
        expect("embedding", embedding.len(), shape.embedding)?;
        let lengths = self.plan.buffers(parallel.workers());
        let mut arena = Arena::new(scratch, self.plan.scratch_len(parallel.workers())?)?;
        let mut buffers = Buffers {
            tokens: arena.take(lengths.tokens)?,
            rows: arena.take(lengths.rows)?,
            wide: arena.take(lengths.wide)?,
            query: arena.take(lengths.query)?,
            kernel: arena.take(lengths.kernel)?,
        };
        let (sizes, log_sizes) = (arena.take(lengths.sizes)?, arena.take(lengths.sizes)?);

        self.embed_patches(pixels, &mut buffers, parallel)?;
        parallel.finished(Step::Embed);
        sizes.fill(1.0);
        let mut merged_before = false;
        for (index, block) in self.plan.blocks().enumerate() {
            let sight = Sight::All(merged_before.then_some(&log_sizes[..block.tokens]));
            self.transformer.attend(index, &mut buffers, block.tokens, 0..block.queries, sight, parallel)?;
            if block.merged > 0 {
                self.merge(&mut buffers, sizes, block.tokens, block.merged, parallel)?;
                log_sizes.iter_mut().zip(sizes.iter()).for_each(|(log, &size)| *log = math::ln(size));
                merged_before = true;
            }
            let rows = block.tokens_out.min(block.queries);
            self.transformer.mlp(index, &mut buffers, 0..rows, parallel)?;
            parallel.finished(Step::Block);
        }
        self.transformer.project(&self.projection, &mut buffers, 0, embedding, parallel)
    }

    /// Patches to tokens; the class token comes first and needs no computing.
    fn embed_patches(&self, pixels: &[u8], buffers: &mut Buffers<'_>, parallel: &dyn Parallel) -> Result<(), Error> {
        let (shape, kernels) = (self.plan.shape(), &self.transformer.kernels);
        let (count, width) = (self.plan.tokens() - 1, padded(shape.width));
        let order = (0..count).map(|i| match self.order.get(8 * i..8 * i + 4) {
            Some(index) => u32::from_le_bytes([index[0], index[1], index[2], index[3]]) as usize,
            None => i,
        });
        patches::patches(pixels, shape, order, buffers.wide);
        let (class, tokens) = buffers.tokens.split_at_mut(width);
        class.copy_from_slice(self.class);
        tokens[..self.position.len()].copy_from_slice(self.position);
        let values = Rows::new(buffers.wide, count, padded(shape.patch_values()))?;
        let rows = RowsMut::new(tokens, count, width)?;
        kernels.linear(values, &self.patch, Activation::None, true, rows, buffers.kernel, parallel)?;
        let rows = RowsMut::new(tokens, count, width)?;
        let [gain, bias] = self.pre_norm;
        kernels.layer_norm_affine(rows, shape.width, self.transformer.norm_eps, gain, bias)?;
        Ok(())
    }

    fn merge<'s>(
        &self,
        buffers: &mut Buffers<'s>,
        sizes: &mut [f32],
        count: usize,
        r: usize,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (shape, width) = (self.plan.shape(), padded(self.plan.shape().width));
        let tokens = merge::Tokens {
            rows: buffers.tokens,
            merged: buffers.rows,
            keys: Rows::new(buffers.wide, count, 3 * width)?,
            key_column: width,
            sizes,
            guide: None,
            count,
        };
        let (kernels, rule) = (&self.transformer.kernels, self.plan.merge());
        merge::merge(kernels, rule, shape, tokens, r, buffers.kernel, parallel)?;
        core::mem::swap(&mut buffers.tokens, &mut buffers.rows);
        Ok(())
    }

    /// What the tower does, block by block.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The tower's shape.
    pub fn shape(&self) -> &VisionShape {
        self.plan.shape()
    }

    /// How the weights are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The kernels that will run it.
    pub fn kernels(&self) -> &Kernels {
        &self.transformer.kernels
    }

    /// Length of the scratch slice in `f32`s when `workers` threads are lent.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it exceeds the address space.
    pub fn scratch_len(&self, workers: usize) -> Result<usize, Error> {
        self.plan.scratch_len(workers)
    }

    /// How an image becomes the tower's input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The label bank, if the file has one.
    pub fn labels(&self) -> Option<Labels<'a>> {
        self.labels
    }

    /// Factor from cosines to logits.
    pub fn logit_scale(&self) -> f32 {
        self.logit_scale
    }

    /// What is added to the scaled cosines.
    pub fn logit_bias(&self) -> f32 {
        self.logit_bias
    }

    /// How logits become scores.
    pub fn score(&self) -> Score {
        self.score
    }

    /// The file it lies in.
    pub fn file(&self) -> &File<'a> {
        &self.file
    }
}

fn plan(metadata: &Metadata<'_, '_>) -> Result<Plan, Error> {
    metadata.word("edgelip.pooling", &[("class", ())])?;
    let shape = VisionShape {
        image: metadata.array("edgelip.image")?,
        patch: metadata.number("edgelip.patch")?,
        width: metadata.number("edgelip.width")?,
        heads: metadata.number("edgelip.heads")?,
        blocks: metadata.number("edgelip.blocks")?,
        mlp: metadata.number("edgelip.mlp")?,
        embedding: metadata.number("edgelip.embedding")?,
        ..VisionShape::default()
    };
    let rules = [("none", Merge::None), ("ward", Merge::Ward), ("tome", Merge::Tome)];
    let mut schedule = [0; MAX_BLOCKS];
    let blocks = metadata.list("edgelip.schedule", &mut schedule)?;
    if blocks != shape.blocks {
        return Err(invalid("edgelip.schedule"));
    }
    Plan::new(&shape, metadata.word("edgelip.merge", &rules)?, &schedule[..blocks])
}

/// The patches' order in the file: a permutation.
fn order<'a>(loader: &mut Loader<'a>, plan: &Plan) -> Result<&'a [u8], Error> {
    let (name, patches) = ("vision.order", plan.tokens() - 1);
    let bytes = match loader.bytes(None, name, DataType::I64, &[patches]) {
        // Ward's positions follow a snake through the grid: without the order the patches would silently be mixed up.
        Err(Error::Tensor { problem: Problem::Missing, .. })
            if plan.merge() != Merge::Ward || plan.shape().grid()[1] == 1 =>
        {
            return Ok(&[]);
        }
        bytes => bytes?,
    };
    let in_range =
        |index: &[u8]| index.try_into().is_ok_and(|index| (0..patches as i64).contains(&i64::from_le_bytes(index)));
    if bytes.chunks_exact(8).all(in_range) {
        Ok(bytes)
    } else {
        Err(Error::Tensor { name, block: None, problem: Problem::Invalid })
    }
}

pub(crate) fn expect(what: &'static str, length: usize, expected: usize) -> Result<(), Error> {
    if length == expected { Ok(()) } else { Err(Error::Length { what, expected }) }
}
