//! The model as the graph and the reference see it: a configuration and named, unfolded tensors.
//!
//! Whatever names and types a checkpoint uses, [`Source`] offers its tensors in f32, in PyTorch's orientation, under these names
//! (`tower` is `vision` or `text`, `i` counts blocks from 0):
//!
//! | name | shape |
//! |---|---|
//! | `vision.patch.weight`, `vision.patch.bias` (optional) | `[D, 3, P, P]`, `[D]`; not with a stem |
//! | `vision.stem.{i}.{weight,bias}` | `[C, C', S, S]`, `[C]` for the outputs `C` and the side `S` of a convolution of [`VisionConfig::stem`], `C'` the one before's outputs or 3 |
//! | `vision.class` | `[D]`, if there is a class token |
//! | `vision.position` | `[C + N, D]`, `C` class tokens (one or none), `N` patches in raster order of [`VisionConfig::image_size`] |
//! | `vision.pre_norm.{weight,bias}` | `[D]`, if [`VisionConfig::pre_norm`] says so |
//! | `vision.post_norm.{weight,bias}` | `[D]` |
//! | `vision.pool.probe` | `[D]`: the query of the head, before its projection; with [`Pooling::Attention`] |
//! | `vision.pool.{q,k,v,out,fc1,fc2}.{weight,bias}`, `vision.pool.norm2.{weight,bias}` | as in the blocks; with [`Pooling::Attention`] |
//! | `{tower}.pooler.{weight,bias}` | `[D, D]`, `[D]`; with [`Pooling::Pooler`] and [`TextPooling::Pooler`] |
//! | `vision.frequency.{i}.norm1.{weight,bias}`, `.norm2.{weight,bias}` | `[D]` |
//! | `vision.frequency.{i}.filter` | `[H (⌊W/2⌋ + 1), D, 2]`: real and imaginary parts, for orthonormal transforms of the H × W patches |
//! | `vision.frequency.{i}.{fc1,fc2}.{weight,bias}` | as in the blocks |
//! | `vision.frequency.norm.{weight,bias}` | `[D]`, with frequency blocks |
//! | `vision.frequency.projection.weight` | `[E, D]`, with the joint readout |
//! | `{tower}.blocks.{i}.norm1.{weight,bias}`, `.norm2.{weight,bias}` | `[D]` |
//! | `{tower}.blocks.{i}.{q,k,v,out}.{weight,bias}` | `[D, D]`, `[D]` |
//! | `{tower}.blocks.{i}.fc1.{weight,bias}` | `[M, D]`, `[M]` |
//! | `{tower}.blocks.{i}.fc2.{weight,bias}` | `[D, M]`, `[D]` |
//! | `{tower}.projection.{weight,bias}` | `[E, D]`, `[E]`; a text tower with post-norms may do without, and an image tower's [`Head`], E is D then |
//! | `text.token.weight`, `text.position` | `[V, D]`, `[S, D]` |
//! | `text.final_norm.{weight,bias}` | `[D]`, with pre-norms |
//! | `text.token_type`, `text.embed_norm.{weight,bias}` | `[D]`, added to each token and the norm after it, with post-norms |
//! | `classifier.{weight,bias}` | `[C, E]`, `[C]`: what a classifier has behind the image tower, for C classes |
//! | `logit_scale` (optional) | `[]`, its logarithm |
//!
//! A linear layer without a bias counts as one with zeros.

use std::fmt;

pub use edgelip_runtime::image::Preprocess as PreprocessConfig;

pub use edgelip_runtime::plan::{Convolution, Pooling, Window};
pub use edgelip_runtime::{Padding, Score};

use edgelip_runtime::plan::Merge;

use crate::error::Error;
use crate::schedule::Shape;

/// A dense f32 tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values: as many as the product of `shape`.
    pub data: Vec<f32>,
}

impl Tensor {
    /// Keeps the first `length` entries of the first axis.
    pub(crate) fn truncate(&mut self, length: usize) {
        if let Some(rows) = self.shape.first_mut().filter(|rows| **rows > length) {
            self.data.truncate(self.data.len() / *rows * length);
            *rows = length;
        }
    }
}

/// A checkpoint whose tensors are known by the canonical names of this module.
pub trait Source {
    /// What the model is. Every tensor's shape agrees with it.
    fn model(&self) -> &ModelConfig;

    /// The tensor with a canonical name, read when asked for.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if there is none, [`Error::Io`] if the file can't be read.
    fn tensor(&self, name: &str) -> Result<Tensor, Error>;

    /// Whether [`Source::tensor`] knows the name.
    fn has(&self, name: &str) -> bool;
}

/// What a checkpoint is, whatever its layout.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The kind of model, as the file's metadata names it: `clip`, `siglip`, `mlip`, `vit`, `catlip`, `dual`, `bert`.
    pub family: String,
    /// Length of an embedding, the same for both towers.
    pub embedding: usize,
    /// The image tower, if the checkpoint has one.
    pub vision: Option<VisionConfig>,
    /// The text tower, if the checkpoint has one.
    pub text: Option<TextConfig>,
    /// What pixels go through before the image tower; there if `vision` is.
    pub preprocess: Option<PreprocessConfig>,
    /// Factor of the cosines in a logit, already exponentiated (CLIP learns its logarithm).
    pub logit_scale: f32,
    /// Added to each logit; 0 for CLIP.
    pub logit_bias: f32,
    /// Where the weights come from.
    pub provenance: Provenance,
}

impl ModelConfig {
    /// The image tower.
    ///
    /// # Errors
    /// [`Error::NoTower`] if the checkpoint has only a text tower.
    pub fn vision(&self) -> Result<&VisionConfig, Error> {
        self.vision.as_ref().ok_or(Error::NoTower("an image"))
    }

    /// The text tower.
    ///
    /// # Errors
    /// [`Error::NoTower`] if the checkpoint has only an image tower.
    pub fn text(&self) -> Result<&TextConfig, Error> {
        self.text.as_ref().ok_or(Error::NoTower("a text"))
    }

    /// What pixels go through before the image tower.
    ///
    /// # Errors
    /// [`Error::NoTower`] if the checkpoint has only a text tower.
    pub fn preprocess(&self) -> Result<&PreprocessConfig, Error> {
        self.preprocess.as_ref().ok_or(Error::NoTower("an image"))
    }
}

/// The image tower of a CLIP-like model.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// Height and width of the input in pixels, multiples of `patch`.
    pub image_size: [usize; 2],
    /// Side of a square patch in pixels.
    pub patch: usize,
    /// Width of a token.
    pub width: usize,
    /// Attention heads; they divide `width`.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Width of the hidden layer of the MLPs.
    pub mlp: usize,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Added to the variance in LayerNorms.
    pub norm_eps: f32,
    /// The convolutions that make the patches, exact GELU between them, the last one's outputs [`VisionConfig::width`]; empty for a patch
    /// embedding.
    pub stem: Vec<Convolution>,
    /// Blocks that mix the patches in the frequency domain, before the transformer's.
    pub frequency_blocks: usize,
    /// What the embedding is made of.
    pub readout: Readout,
    /// How tokens merge if nothing else is asked for.
    pub merging: Merging,
    /// Whether there is a LayerNorm before the blocks.
    pub pre_norm: bool,
    /// What becomes of the tokens behind the blocks.
    pub head: Head,
}

/// From the tokens behind the blocks to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What of the tokens is read.
    pub pooling: Pooling,
    /// Whether there is a projection behind it.
    pub projected: bool,
    /// Whether embeddings are scaled to length 1; a classifier's are not.
    pub unit: bool,
    /// How logits become scores.
    pub score: Score,
}

impl Default for Head {
    /// CLIP's.
    fn default() -> Self {
        Head { pooling: Pooling::Class, projected: true, unit: true, score: Score::Softmax }
    }
}

impl VisionConfig {
    /// Complex coefficients of each channel in the frequency domain: as many as two real transforms of the grid have.
    pub fn coefficients(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * (columns / 2 + 1)
    }

    /// Patches along the height and along the width.
    pub fn grid(&self) -> [usize; 2] {
        self.image_size.map(|side| side / self.patch)
    }

    /// Class tokens: one or none.
    pub fn class_tokens(&self) -> usize {
        usize::from(self.head.pooling.reads_class())
    }

    /// Tokens before any merging: the patches and the class token.
    pub fn tokens(&self) -> usize {
        let [rows, columns] = self.grid();
        self.class_tokens() + rows * columns
    }
}

/// What an image's embedding is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// The class token after the blocks.
    Spatial,
    /// That, and the mean of the patches after the frequency stage: the sum of both at unit length.
    Joint,
}

impl Readout {
    /// The name in configurations and in the file's metadata.
    pub fn name(self) -> &'static str {
        match self {
            Readout::Spatial => "spatial",
            Readout::Joint => "joint",
        }
    }
}

/// How a checkpoint wants its tokens to merge; it was trained so, or it knows nothing of merging.
#[derive(Debug, Clone, PartialEq)]
pub struct Merging {
    /// How tokens are chosen.
    pub rule: Merge,
    /// How merging is spread over the blocks.
    pub spread: Shape,
    /// What keeps informative tokens apart.
    pub guide: Guide,
}

impl Default for Merging {
    fn default() -> Self {
        Merging { rule: Merge::Ward, spread: Shape::Auto, guide: Guide::default() }
    }
}

/// What keeps informative tokens from merging; docs/token-merging.md has the formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guide {
    /// How strongly it stretches distances; 0 is unguided.
    pub strength: f32,
    /// The share of likeness to what the image shows as a whole, from 0 to 1; the rest is high-frequency energy.
    pub semantic: f32,
}

impl Default for Guide {
    fn default() -> Self {
        Guide { strength: 0.0, semantic: 0.5 }
    }
}

/// A text tower: CLIP's, BERT's or SigLIP's.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Longest sequence in tokens, start and end token included.
    pub context: usize,
    /// Number of token ids.
    pub vocabulary: usize,
    /// Width of a token.
    pub width: usize,
    /// Attention heads; they divide `width`.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Width of the hidden layer of the MLPs.
    pub mlp: usize,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Added to the variance in LayerNorms.
    pub norm_eps: f32,
    /// Where LayerNorms stand.
    pub norm: NormPlace,
    /// Id of the token that ends a text.
    pub eot: u32,
    /// What the text's embedding is read from.
    pub pooling: TextPooling,
}

/// Where the LayerNorms of a text tower stand, and with that what its attention sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlace {
    /// Before attention and MLP of each block, and before the projection; attention is causal, CLIP's, or sees all tokens, SigLIP's with
    /// [`TextPooling::Last`].
    Pre,
    /// Behind the residual sums of each block, and behind the token embedding; attention sees all tokens: BERT's.
    Post,
}

impl NormPlace {
    /// The name in the file's metadata.
    pub fn name(self) -> &'static str {
        match self {
            NormPlace::Pre => "pre",
            NormPlace::Post => "post",
        }
    }
}

/// Activation of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)`, by the error function.
    Gelu,
    /// `x · sigmoid(1.702 x)`.
    QuickGelu,
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    TanhGelu,
}

impl Activation {
    /// The name in configurations and in the file's metadata.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Gelu => "gelu",
            Activation::QuickGelu => "quick_gelu",
            Activation::TanhGelu => "gelu_tanh",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What of the text tower's output stands for the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPooling {
    /// The first token equal to [`TextConfig::eot`].
    EotFirst,
    /// The token with the largest id.
    EotArgmax,
    /// The mean of all tokens.
    Mean,
    /// The hyperbolic tangent of a layer on the first token: BERT's own.
    Pooler,
    /// The last token of the context, which shorter texts are padded to; attention sees the padding.
    Last(Padding),
}

impl TextPooling {
    /// The name in the file's metadata.
    pub fn name(self) -> &'static str {
        match self {
            TextPooling::EotFirst => "eot_first",
            TextPooling::EotArgmax => "eot_argmax",
            TextPooling::Mean => "mean",
            TextPooling::Pooler => "pooler",
            TextPooling::Last(_) => "last",
        }
    }
}

/// Where weights come from; goes into the file's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Name of the checkpoint.
    pub source: Option<String>,
    /// SHA-256 of the weight files, in hexadecimal.
    pub sha256: Option<String>,
    /// Licence of the weights.
    pub licence: Option<String>,
}
