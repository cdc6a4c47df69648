//! A checkpoint as an ONNX model: what can be computed beforehand is folded, weights are packed into panels, and
//! merging is part of the graph. docs/file-format.md says what the files hold, docs/token-merging.md how tokens merge.
//!
//! Nothing is read from the checkpoint until the model is written: each initializer carries a closure that reads,
//! folds, packs and forgets its tensor, so that an export needs the memory of one layer.

mod attention;
mod builder;
mod embed;
mod fold;
mod frequency;
mod guide;
mod head;
mod linear;
mod merge;
mod metadata;
mod mlp;
mod norm;
mod pack;
mod post_norm;
mod smooth;
mod stem;
mod text;
mod token_embedding;
mod transformer;
mod vision;

#[cfg(test)]
mod bert_tests;
#[cfg(test)]
mod tests;

use std::fmt;

pub use edgelip_runtime::plan::Merge;

pub use crate::source::Guide;

pub use text::text;
pub use vision::vision;

/// How the weights of linear layers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, computed in 32 bits.
    F16,
    /// 8-bit integers with a scale for each output; inputs are quantised row by row as they come.
    I8,
}

impl Precision {
    /// The name in the file's metadata.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::I8 => "i8",
        }
    }

    /// The precision of layers that lose too much in integers: patch embedding, projection and token embedding.
    fn kept(self) -> Precision {
        match self {
            Precision::F32 => Precision::F32,
            Precision::F16 | Precision::I8 => Precision::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What to make of an image tower.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionOptions {
    /// How tokens are chosen for merging. A schedule that merges nothing gives the original model whatever this says.
    pub merge: Merge,
    /// Tokens merged in each block, one entry a block; empty for none.
    pub schedule: Vec<usize>,
    /// The compression rate as asked for; only noted in the metadata.
    pub compression: f64,
    /// What keeps informative tokens from merging.
    pub guide: Guide,
    /// How weights are stored.
    pub precision: Precision,
}

/// What to make of a text tower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// How weights are stored.
    pub precision: Precision,
    /// The whole `tokenizer.json`, kept in the metadata.
    pub tokenizer: String,
}
