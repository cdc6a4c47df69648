//! Everything a run can be told, as TOML. Each choice that a paper leaves open is a field.

mod check;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// One training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is learned.
    pub objective: Objective,
    /// All randomness of the run.
    pub seed: u64,
    /// Templates around class names; `{}` stands for the name.
    pub templates: Vec<String>,
    /// The image tower.
    pub vision: Vision,
    /// Random changes to training images.
    pub augment: Augment,
    /// Token merging while training; without it all tokens are kept.
    pub merging: Option<Merging>,
    /// The text tower; not used by `catlip`.
    #[serde(default)]
    pub text: Text,
    /// The contrastive losses; not used by `catlip`.
    #[serde(default)]
    pub contrast: Contrast,
    /// The labels of `catlip`.
    #[serde(default)]
    pub labels: Labels,
    /// Steps and the optimiser.
    pub train: Train,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Images and texts in one space by one contrast (Radford et al., arXiv 2103.00020).
    Clip,
    /// The same with a frequency stage, contrast in both domains, token-level alignment and guided merging; our reconstruction of
    /// Zhang et al., arXiv 2406.01460.
    Mlip,
    /// Multi-label classification of the captions' synsets (Mehta et al., arXiv 2404.15653).
    Catlip,
}

/// The image tower: a vision transformer whose first blocks may be frequency blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vision {
    /// Side of the square input in pixels.
    pub image: i64,
    /// Side of a patch in pixels.
    pub patch: i64,
    /// Widths of 3×3 convolutions of stride 2 that make the patches, the last one `width` (Xiao et al., arXiv 2106.14881); empty: one
    /// linear embedding of the pixels.
    #[serde(default)]
    pub stem: Vec<i64>,
    /// Width D of the tokens.
    pub width: i64,
    /// Attention heads.
    pub heads: i64,
    /// Hidden width of the MLPs.
    pub mlp: i64,
    /// Frequency blocks, before the spatial ones.
    pub frequency_blocks: i64,
    /// Blocks with attention.
    pub spatial_blocks: i64,
    /// Width of the shared space.
    pub embedding: i64,
    /// What is subtracted from each colour channel, in 0..1.
    pub mean: [f32; 3],
    /// What each colour channel is divided by then.
    pub std: [f32; 3],
    /// What the tower's embedding is.
    #[serde(default)]
    pub readout: Readout,
}

/// What the image tower gives out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readout {
    /// The spatial feature z_s alone: the frequency feature only supervises.
    #[default]
    Spatial,
    /// The sum of both domains' unit features.
    Joint,
}

/// Random changes to training images. All zero (and `min_scale = 1`): the image as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// The smallest share of the area that a random crop keeps.
    pub min_scale: f32,
    /// Crops are between this and its inverse in width over height.
    pub min_aspect: f32,
    /// How often the image is mirrored.
    pub flip: f32,
    /// Brightness changes by up to this factor either way.
    pub brightness: f32,
    /// Contrast likewise.
    pub contrast: f32,
    /// Saturation likewise.
    pub saturation: f32,
    /// Parameter of mixup's beta distribution (Zhang et al., arXiv 1710.09412); 0 is off.
    #[serde(default)]
    pub mixup: f32,
    /// Parameter of CutMix's beta distribution (Yun et al., arXiv 1905.04899); 0 is off. With mixup, each batch draws one of the two.
    #[serde(default)]
    pub cutmix: f32,
    /// The share of batches that are mixed at all, by mixup or CutMix.
    #[serde(default = "all")]
    pub mixed: f32,
}

/// Token merging while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merging {
    /// How pairs are found and joined.
    pub rule: Rule,
    /// How the merging spreads over the blocks.
    pub spread: Spread,
    /// Compression rates; each step draws one of them.
    pub rates: Vec<f64>,
    /// How strongly the guide stretches the distance of informative tokens; 0 is unguided.
    pub guide: f64,
    /// The share of the semantic part (likeness to both domains' summaries) in the guide; the rest is high-frequency energy.
    pub semantic: f64,
}

/// How pairs are found and joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Ward's criterion with softened sizes over keys and tokens.
    Ward,
    /// Cosine of the mean keys (Bolya et al., arXiv 2210.09461).
    Tome,
}

/// How the merging spreads over the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Growing shares for small rates, equal ones from 0.45 on.
    Auto,
    /// The same share of the tokens in each block.
    Geo,
    /// As many tokens in each block.
    Constant,
}

/// The text tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Text {
    /// Which one.
    pub tower: TextTower,
    /// Tokens kept of a text.
    pub tokens: usize,
    /// Width of an own transformer.
    pub width: i64,
    /// Its heads.
    pub heads: i64,
    /// Its blocks.
    pub blocks: i64,
    /// Token ids that it knows.
    pub vocabulary: i64,
}

impl Default for Text {
    fn default() -> Self {
        Text { tower: TextTower::default(), tokens: 24, width: 0, heads: 0, blocks: 0, vocabulary: 0 }
    }
}

/// Which text tower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextTower {
    /// all-MiniLM-L6-v2, frozen; its embeddings are computed once.
    #[default]
    Frozen,
    /// A small transformer that learns with the image tower.
    Trained,
}

/// The contrastive losses: `InfoNCE(z_s, t) + frequency · InfoNCE(z_f, t) + tokens · L_tok`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Weight a of the frequency feature's contrast.
    #[serde(default)]
    pub frequency: f64,
    /// Weight b of the token-level loss.
    #[serde(default)]
    pub tokens: f64,
    /// The logit scale at the start.
    pub scale: f64,
    /// The largest logit scale.
    pub max_scale: f64,
    /// Whether all images and texts of a class are each other's positives (Yang et al., arXiv 2204.03610), rather than only the pair.
    pub group: bool,
    /// Further class names, from all of the data, that each image is held against.
    #[serde(default)]
    pub bank_classes: usize,
    /// Further sentences likewise.
    #[serde(default)]
    pub bank_sentences: usize,
    /// Label smoothing on the images' side.
    #[serde(default)]
    pub smoothing: f64,
}

/// Synsets as labels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Labels of the vocabulary; 0 takes as many as the vocabulary has.
    #[serde(default)]
    pub count: i64,
    /// The probability that each label starts with, by the classifier's bias (Lin et al., arXiv 1708.02002).
    #[serde(default = "even")]
    pub prior: f64,
}

fn all() -> f32 {
    1.0
}

fn even() -> f64 {
    0.5
}

/// Steps and the optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Optimiser steps in all; the learning rate ends there.
    pub steps: u64,
    /// Images of one forward pass.
    pub batch: usize,
    /// Sides of images in pixels that batches take by turns in random order, each with as many images as have the pixels of `batch` images
    /// of `vision.image` (the multi-scale variable batch sampler of Mehta et al., arXiv 2404.15653, in its simplest form); empty: all
    /// batches are of `vision.image`. For towers without frequency blocks and runs without merging, whose filters and counts are of one
    /// grid; positions are interpolated.
    #[serde(default)]
    pub sides: Vec<i64>,
    /// Forward passes whose gradients are averaged in one step.
    pub accumulate: usize,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Learning rate at the end.
    pub final_rate: f64,
    /// How the learning rate gets there.
    #[serde(default)]
    pub schedule: Schedule,
    /// What turns gradients into changes.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Decay of the gradient's mean and of its square's; `muon` takes the first for its momentum.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay of matrices; biases, norms, filters and embeddings have none.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient.
    pub clip: f64,
    /// Decay of the averaged weights.
    pub ema: f64,
    /// Arithmetic of attention and MLPs; losses and norms are always f32.
    pub precision: Precision,
    /// Minutes between checkpoints.
    pub checkpoint_minutes: f64,
}

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine (Loshchilov and Hutter, arXiv 1608.03983).
    #[default]
    Cosine,
    /// At its peak until 70 % of the steps, then along a line: until then a run can be given another length at no loss
    /// (Hägele et al., arXiv 2405.18392).
    Trapezoid,
}

/// What turns gradients into changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// AdamW (Loshchilov and Hutter, arXiv 1711.05101).
    #[default]
    AdamW,
    /// Orthogonalised momentum for the matrices inside of the blocks (Jordan et al., "Muon", 2024; scaled as in arXiv 2502.16982), AdamW
    /// for all else.
    Muon,
}

/// Arithmetic of the matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16 operands, cast by hand.
    Bf16,
}

impl Train {
    /// Images of a batch whose images have this side: as many pixels as the usual batch, the last one whole.
    pub fn images_of_side(&self, side: i64, vision: &Vision) -> usize {
        self.batch * (vision.image * vision.image) as usize / (side * side) as usize
    }
}

impl Vision {
    /// Patches along one side of the image.
    pub fn grid(&self) -> i64 {
        self.image / self.patch
    }
}

impl Config {
    /// Reads and checks a TOML file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`], or [`Error::Config`] for values that contradict each other.
    pub fn read(path: &Path) -> Result<Config, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let config: Config = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            Error::malformed(path, format!("line {}: {}", before.matches('\n').count() + 1, error.message()))
        })?;
        config.check()?;
        Ok(config)
    }
}
