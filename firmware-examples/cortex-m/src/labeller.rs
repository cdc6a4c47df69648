//! One photo through one model: resize, embed, score. Owns no memory but what it is lent.

use edgelip_runtime::Part;
use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Error, Score, Single, Vision, classify};

/// The most labels a model may have here; the scores of one photo lie on the stack.
pub const MAX_LABELS: usize = 32;
/// The longest embedding.
pub const MAX_EMBEDDING: usize = 384;
/// Bytes of the largest input a model may have: 64×64 RGB.
pub const MAX_PIXELS: usize = 64 * 64 * 3;

/// Memory that every photo is labelled in, one after the other.
pub struct Arena<'a> {
    /// Resizing and all operators work in it.
    pub scratch: &'a mut [f32],
    /// The photo as the model sees it.
    pub pixels: &'a mut [u8; MAX_PIXELS],
    /// What the model makes of it.
    pub embedding: &'a mut [f32; MAX_EMBEDDING],
}

/// Scores of all labels, in the model's order.
pub struct Labelled {
    scores: [f32; MAX_LABELS],
    labels: usize,
}

impl Labelled {
    /// One score a label.
    pub fn scores(&self) -> &[f32] {
        self.scores.part(..self.labels)
    }
}

/// Labels a photo.
///
/// # Errors
/// What the runtime says: of a damaged model, of an arena too small. [`Error::TooLarge`] for more labels, pixels or
/// dimensions than this firmware has room for, and for a model without labels.
pub fn label(vision: &Vision<'_>, photo: Rgb<'_>, arena: &mut Arena<'_>) -> Result<Labelled, Error> {
    let [height, width] = vision.shape().image;
    let pixels = arena.pixels.get_mut(..height * width * 3).ok_or(Error::TooLarge)?;
    vision.preprocess().apply(vision.kernels(), photo, arena.scratch, pixels)?;

    let embedding = arena.embedding.get_mut(..vision.shape().embedding).ok_or(Error::TooLarge)?;
    vision.embed(pixels, arena.scratch, &Single, embedding)?;

    let bank = vision.labels().ok_or(Error::TooLarge)?;
    let mut labelled = Labelled { scores: [0.0; MAX_LABELS], labels: bank.len() };
    let scores = labelled.scores.get_mut(..bank.len()).ok_or(Error::TooLarge)?;
    classify::logits(vision.kernels(), embedding, &bank, vision.logit_scale(), vision.logit_bias(), scores)?;
    match vision.score() {
        Score::Softmax => classify::softmax(scores),
        Score::Sigmoid => classify::sigmoid(scores),
    }
    Ok(labelled)
}
