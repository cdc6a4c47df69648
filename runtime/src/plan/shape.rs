//! What an image tower is made of.

use super::stem::{Stem, StemLayer};
use crate::{Error, Problem};

/// The most blocks a tower may have, frequency blocks among them.
pub const MAX_BLOCKS: usize = 48;

const MAX_TOKENS: usize = 1 << 14;
const MAX_WIDTH: usize = 1 << 13;
const MAX_HIDDEN: usize = 1 << 16;
const MAX_PATCH: usize = 1 << 8;
/// Longest side of the grid that the Fourier transform takes.
const MAX_FREQUENCY_SIDE: usize = 64;

/// What of the tokens behind the last block becomes the embedding. Only towers that read a class token have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The class token.
    #[default]
    Class,
    /// The hyperbolic tangent of a layer on the normed class token (BERT's pooler: Devlin et al., arXiv 1810.04805).
    Pooler,
    /// The mean of the patches, then the norm.
    Mean,
    /// The norm, then the mean of the patches.
    NormedMean,
    /// What a learned query reads from the normed patches, through an MLP (the head of SigLIP: Zhai et al., arXiv 2106.04560).
    Attention,
}

impl Pooling {
    /// Whether a class token is read, and no other.
    pub fn reads_class(self) -> bool {
        matches!(self, Pooling::Class | Pooling::Pooler)
    }
}

/// The shape of an image tower.
///
/// Made with `..VisionShape::default()` it has a patch embedding, no frequency blocks, no guide, and a class token that is projected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VisionShape {
    /// Input height and width in pixels.
    pub image: [usize; 2],
    /// Side of a patch in pixels.
    pub patch: usize,
    /// What makes the patches' tokens out of pixels.
    pub stem: Stem,
    /// Blocks in the frequency domain, before the transformer's.
    pub frequency_blocks: usize,
    /// Width of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Hidden width of the MLP.
    pub mlp: usize,
    /// Width of the embedding.
    pub embedding: usize,
    /// Whether merging is guided.
    pub guided: bool,
    /// What becomes the embedding.
    pub pooling: Pooling,
    /// Whether what is pooled is the embedding itself, without a projection.
    pub unprojected: bool,
}

impl VisionShape {
    /// Patches along height and width. What is too little for another one is not looked at.
    pub fn grid(&self) -> [usize; 2] {
        [self.image[0] / self.patch.max(1), self.image[1] / self.patch.max(1)]
    }

    /// Patches of an image.
    pub fn patches(&self) -> usize {
        self.grid()[0] * self.grid()[1]
    }

    /// Class tokens: one or none. It comes first and never merges.
    pub fn class_tokens(&self) -> usize {
        usize::from(self.pooling.reads_class())
    }

    /// Tokens before any merging.
    pub fn tokens(&self) -> usize {
        self.class_tokens() + self.patches()
    }

    /// The most tokens a merge can take from `tokens`: every second one but the class token.
    pub fn max_merged(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.class_tokens()) / 2
    }

    /// Values of a patch: rows, columns and three channels.
    pub fn patch_values(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads.max(1)
    }

    /// Input and output of each layer of the stem, first to last.
    pub fn stem_layers(&self) -> impl Iterator<Item = StemLayer> + use<> {
        self.stem.layers(self.image)
    }

    /// Complex coefficients of a channel in the frequency domain.
    pub fn coefficients(&self) -> usize {
        let [height, width] = self.grid();
        height * (width / 2 + 1)
    }

    /// Whether the parts fit each other and the runtime's limits.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond a limit, [`Error::Metadata`] for a contradiction.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |key| Err(Error::Metadata { key, problem: Problem::Invalid });
        let [height, width] = self.image;
        let whole = height % self.patch.max(1) == 0 && width % self.patch.max(1) == 0;
        if self.patch == 0 || height < self.patch || width < self.patch || !(whole || self.stem.is_empty()) {
            return invalid("edgelip.patch");
        }
        if self.heads == 0 || self.width == 0 || !self.width.is_multiple_of(self.heads) {
            return invalid("edgelip.heads");
        }
        if self.blocks == 0 {
            return invalid("edgelip.blocks");
        }
        if self.mlp == 0 {
            return invalid("edgelip.mlp");
        }
        if self.embedding == 0 || self.unprojected && self.embedding != self.width {
            return invalid("edgelip.embedding");
        }
        if !self.pooling.reads_class() && self.frequency_blocks > 0 {
            return invalid("edgelip.pooling");
        }
        if !self.stem.is_empty() {
            self.stem.check(self.image, self.grid(), self.width)?;
        }
        let tokens = self.grid()[0].checked_mul(self.grid()[1]).ok_or(Error::TooLarge)?;
        let transforms = self.frequency_blocks == 0 || self.grid().iter().all(|&side| side <= MAX_FREQUENCY_SIDE);
        if self.blocks.saturating_add(self.frequency_blocks) > MAX_BLOCKS
            || !transforms
            || tokens >= MAX_TOKENS
            || self.width.max(self.embedding) > MAX_WIDTH
            || self.mlp > MAX_HIDDEN
            || self.patch > MAX_PATCH
        {
            return Err(Error::TooLarge);
        }
        Ok(())
    }
}
