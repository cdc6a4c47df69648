//! Whether a configuration's values fit together.

use super::{Config, Objective, Readout, Text, TextTower};
use crate::error::Error;

impl Config {
    /// Whether the values fit together.
    ///
    /// # Errors
    /// [`Error::Config`] names the first that does not.
    pub fn check(&self) -> Result<(), Error> {
        let Config { vision, contrast, train, .. } = self;
        let wrong = |reason: &str| Err(Error::Config(reason.into()));
        if vision.patch < 1 || vision.image < vision.patch || vision.image % vision.patch != 0 {
            return wrong("vision.image must be a multiple of vision.patch");
        }
        let stem = &vision.stem;
        if !stem.is_empty()
            && (stem.len() > 5
                || stem.iter().any(|&width| width < 1)
                || stem.last() != Some(&vision.width)
                || vision.patch != 1 << stem.len())
        {
            return wrong(
                "vision.stem must end at vision.width, and vision.patch must be 2 to the power of its length",
            );
        }
        if vision.heads < 1 || vision.width % vision.heads != 0 {
            return wrong("vision.width must be a multiple of vision.heads");
        }
        if vision.spatial_blocks < 1 || vision.frequency_blocks < 0 {
            return wrong("vision needs at least one spatial block");
        }
        if vision.frequency_blocks == 0 && (contrast.frequency > 0.0 || vision.readout == Readout::Joint) {
            return wrong("the frequency contrast and the joint readout need vision.frequency_blocks");
        }
        let Text { tower, width, heads, blocks, vocabulary, tokens } = self.text;
        if tower == TextTower::Trained
            && (width < 1 || heads < 1 || width % heads != 0 || blocks < 1 || vocabulary < 1 || tokens < 1)
        {
            return wrong(
                "a trained text tower needs text.width, a multiple of text.heads, text.blocks, text.vocabulary and text.tokens",
            );
        }
        if self.objective != Objective::Catlip && contrast.scale <= 0.0 {
            return wrong("contrast.scale must be positive");
        }
        if train.batch < 2 || train.accumulate < 1 || train.steps < 1 {
            return wrong("train.batch must be at least 2, train.accumulate and train.steps at least 1");
        }
        if train.sides.iter().any(|&side| side < vision.patch || side % vision.patch != 0) {
            return wrong("train.sides must be multiples of vision.patch");
        }
        if !train.sides.is_empty() && (vision.frequency_blocks > 0 || self.merging.is_some()) {
            return wrong("train.sides need a tower without vision.frequency_blocks and a run without merging");
        }
        if train.sides.iter().any(|&side| train.images_of_side(side, vision) < 2) {
            return wrong("train.sides: the largest leaves less than two images in a batch");
        }
        if self.templates.is_empty() || self.templates.iter().any(|template| !template.contains("{}")) {
            return wrong("each of templates needs a {} where the name goes, and there must be one");
        }
        if self.merging.as_ref().is_some_and(|m| m.rates.is_empty() || m.rates.iter().any(|r| !(0.0..1.0).contains(r)))
        {
            return wrong("merging.rates must be numbers from 0 to below 1");
        }
        if self.objective == Objective::Catlip && !(self.labels.prior > 0.0 && self.labels.prior < 1.0) {
            return wrong("labels.prior must be between 0 and 1");
        }
        Ok(())
    }
}
