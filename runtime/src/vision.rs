//! The image tower: pixels to embedding.
//!
//! Patches and class token; blocks in the frequency domain, on the patches; transformer blocks on all tokens, which merge between
//! attention and MLP; the head, which projects the class token or what it pools from the patches, and with the joint readout the patches' mean
//! in the frequency domain. Without a frequency stage it is CLIP's vision transformer (Radford et al., arXiv 2103.00020) or SigLIP's (Zhai et
//! al., arXiv 2303.15343), with one this project's reconstruction of MLIP (arXiv 2406.01460).

mod embedding;
mod frequency;
mod head;
mod merging;
mod order;
mod settings;

use edgelip_kernels::{Kernels, Parallel, Step};

use crate::image::Preprocess;
use crate::model::{Guide, LinearShape, Loader, Metadata, Precision, Readout, Score, preprocess};
use crate::onnx::File;
use crate::plan::{Plan, VisionShape};
use crate::scratch::Arena;
use crate::transformer::{Buffers, Sight, Transformer};
use crate::{Error, Labels};
use embedding::Embedding;
use frequency::Feature;
use head::Head;
use merging::Carried;
use order::Order;
use settings::Settings;

/// An image tower, executed where its file lies.
#[derive(Clone, Debug)]
pub struct Vision<'a> {
    file: File<'a>,
    plan: Plan,
    precision: Precision,
    guide: Option<Guide>,
    readout: Readout,
    preprocess: Preprocess,
    embedding: Embedding<'a>,
    order: Order<'a>,
    feature: Option<Feature<'a>>,
    transformer: Transformer<'a>,
    head: Head<'a>,
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
        let Settings { plan, guide, readout, pre_norm, unit } = Settings::read(&metadata)?;
        let shape = *plan.shape();
        let precision = metadata.precision()?;

        let mut loader = Loader::new(&file, "vision.");
        let embedding = Embedding::load(&mut loader, &shape, precision, pre_norm)?;
        let order = Order::load(&mut loader, &plan)?;
        let feature = Feature::load(&mut loader, &plan, precision, readout)?;
        let mut vision = Vision {
            plan,
            precision,
            guide,
            readout,
            preprocess: preprocess(&metadata, shape.image)?,
            embedding,
            order,
            feature,
            transformer: Transformer::empty(
                precision.kernels(kernels),
                &shape,
                (metadata.activation()?, metadata.norm_eps()?),
            ),
            head: Head::load(&mut loader, &shape, precision, unit)?,
            labels: Labels::find(&file, &mut loader, shape.embedding)?,
            logit_scale: metadata.float("edgelip.logit_scale")?,
            logit_bias: metadata.float("edgelip.logit_bias")?,
            score: metadata.word("edgelip.score", &[("softmax", Score::Softmax), ("sigmoid", Score::Sigmoid)])?,
            file,
        };
        vision.transformer.fill(&mut loader, precision, &shape)?;
        vision.scratch_len(1)?;
        Ok(vision)
    }

    /// The embedding of an image, l2-normalised if [`Vision::unit`] says so.
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
        self.run(pixels, scratch, parallel, embedding, None)
    }

    /// As [`embed`](Self::embed), to the last bit, and tells which patches were merged into which token.
    ///
    /// `tokens` are `[rows, columns]` of [`VisionShape::grid`]: for each patch the token it ended in. Tokens are counted from 0 in the order
    /// in which they leave the last block, a class token left out. Without merging each patch is a token of its own.
    ///
    /// # Errors
    /// As [`embed`](Self::embed); [`Error::Length`] if there is not one of `tokens` for each patch.
    pub fn embed_traced(
        &self,
        pixels: &[u8],
        scratch: &mut [f32],
        parallel: &dyn Parallel,
        embedding: &mut [f32],
        tokens: &mut [u16],
    ) -> Result<(), Error> {
        let [rows, columns] = self.plan.shape().grid();
        expect("tokens of patches", tokens.len(), rows * columns)?;
        self.place(tokens);
        self.run(pixels, scratch, parallel, embedding, Some(&mut *tokens))?;
        let class = self.plan.tokens().saturating_sub(tokens.len()) as u16;
        tokens.iter_mut().for_each(|token| *token = token.saturating_sub(class));
        Ok(())
    }

    fn run(
        &self,
        pixels: &[u8],
        scratch: &mut [f32],
        parallel: &dyn Parallel,
        embedding: &mut [f32],
        patches: Option<&mut [u16]>,
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
        let (twiddles, feature) = (arena.take(lengths.twiddles)?, arena.take(lengths.feature)?);
        let mut carried = Carried::new(&mut arena, &lengths)?;
        carried.patches = patches;

        self.embed_patches(pixels, &mut buffers, parallel)?;
        parallel.finished(Step::Embed);
        self.filter(&mut buffers, twiddles, feature, parallel)?;
        self.arrange(&mut buffers, &mut carried, parallel);
        for (index, block) in self.plan.blocks().enumerate() {
            let index = self.transformer.filters + index;
            let sight = Sight::All(carried.log_sizes(block.tokens));
            self.transformer.attend(index, &mut buffers, block.tokens, 0..block.queries, sight, parallel)?;
            if block.merged > 0 {
                self.merge(&mut buffers, &mut carried, &block, feature, parallel)?;
            }
            let rows = block.tokens_out.min(block.queries);
            self.transformer.mlp(index, &mut buffers, 0..rows, parallel)?;
            parallel.finished(Step::Block);
        }
        self.read_out(&mut buffers, &carried, embedding, parallel)?;
        self.join_domains(&mut buffers, feature, embedding, parallel)
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

    /// What keeps informative tokens from merging, if anything does.
    pub fn guide(&self) -> Option<Guide> {
        self.guide
    }

    /// What the embedding is made of.
    pub fn readout(&self) -> Readout {
        self.readout
    }

    /// Whether embeddings are l2-normalised. A classifier's are not: its logits depend on their length.
    pub fn unit(&self) -> bool {
        self.head.unit
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

/// A layer at an edge of the tower, whose weights are never integers.
fn edge(precision: Precision, [inputs, outputs]: [usize; 2], bias: bool) -> LinearShape {
    let precision = if precision == Precision::F32 { Precision::F32 } else { Precision::F16 };
    LinearShape { inputs, outputs, groups: 1, precision, bias }
}

pub(crate) fn expect(what: &'static str, length: usize, expected: usize) -> Result<(), Error> {
    if length == expected { Ok(()) } else { Err(Error::Length { what, expected }) }
}
