//! Whether a configuration's values fit together.

use std::ops::RangeInclusive;

use super::{Config, Objective, Readout, Text, TextTower};
use crate::error::Error;

impl Config {
    /// Whether the values fit together.
    ///
    /// # Errors
    /// [`Error::Config`] names the first that does not.
    pub fn check(&self) -> Result<(), Error> {
        self.check_ranges()?;
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

    /// Whether each number is in its range.
    fn check_ranges(&self) -> Result<(), Error> {
        let Config { vision, augment, contrast, train, text, .. } = self;
        const ANY: RangeInclusive<f64> = 0.0..=f64::MAX;
        const POSITIVE: RangeInclusive<f64> = 1e-12..=f64::MAX;
        const COUNT: RangeInclusive<f64> = 1.0..=f64::MAX;
        const SHARE: RangeInclusive<f64> = 0.0..=1.0;
        const DECAY: RangeInclusive<f64> = 0.0..=1.0 - 1e-9;
        let contrastive = self.objective != Objective::Catlip;
        let scale = if contrastive { POSITIVE } else { ANY };
        let mut numbers = vec![
            ("vision.width", vision.width as f64, COUNT),
            ("vision.mlp", vision.mlp as f64, COUNT),
            ("vision.embedding", vision.embedding as f64, COUNT),
            ("augment.min_scale", augment.min_scale.into(), SHARE),
            ("augment.min_aspect", augment.min_aspect.into(), 0.01..=1.0),
            ("augment.flip", augment.flip.into(), SHARE),
            ("augment.brightness", augment.brightness.into(), SHARE),
            ("augment.contrast", augment.contrast.into(), SHARE),
            ("augment.saturation", augment.saturation.into(), SHARE),
            ("augment.mixup", augment.mixup.into(), ANY),
            ("augment.cutmix", augment.cutmix.into(), ANY),
            ("augment.mixed", augment.mixed.into(), SHARE),
            ("text.tokens", text.tokens as f64, if contrastive { COUNT } else { ANY }),
            ("contrast.frequency", contrast.frequency, ANY),
            ("contrast.tokens", contrast.tokens, ANY),
            ("contrast.scale", contrast.scale, scale.clone()),
            ("contrast.max_scale", contrast.max_scale, scale),
            ("contrast.smoothing", contrast.smoothing, SHARE),
            ("train.learning_rate", train.learning_rate, ANY),
            ("train.final_rate", train.final_rate, ANY),
            ("train.betas", train.betas[0], DECAY),
            ("train.betas", train.betas[1], DECAY),
            ("train.epsilon", train.epsilon, 1e-30..=f64::MAX),
            ("train.weight_decay", train.weight_decay, ANY),
            ("train.clip", train.clip, POSITIVE),
            ("train.ema", train.ema, SHARE),
            ("train.checkpoint_minutes", train.checkpoint_minutes, ANY),
        ];
        numbers.extend(vision.mean.map(|mean| ("vision.mean", mean.into(), -f64::MAX..=f64::MAX)));
        numbers.extend(vision.std.map(|std| ("vision.std", std.into(), POSITIVE)));
        if let Some(merging) = &self.merging {
            numbers.push(("merging.guide", merging.guide, ANY));
            numbers.push(("merging.semantic", merging.semantic, SHARE));
        }
        match numbers.iter().find(|(_, number, range)| !range.contains(number)) {
            Some((name, number, range)) => {
                let (low, high) = (range.start(), range.end());
                let most = if *high < f64::MAX { format!(" and at most {high}") } else { String::new() };
                Err(Error::Config(format!("{name} is {number}, and must be at least {low}{most}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shipped configuration with one line replaced.
    fn error(name: &str, line: &str, by: &str) -> String {
        let text = match name {
            "mlip" => include_str!("../../configs/mlip.toml"),
            _ => include_str!("../../configs/catlip.toml"),
        };
        assert!(text.contains(line), "{line}");
        let config: Config = toml::from_str(&text.replace(line, by)).unwrap();
        config.check().map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn shipped_configurations_are_good() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/configs");
        for file in std::fs::read_dir(folder).unwrap() {
            Config::read(&file.unwrap().path()).unwrap();
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        for (line, by, reason) in [
            ("mlp = 768", "mlp = -3", "vision.mlp is -3"),
            ("clip = 1.0", "clip = nan", "train.clip is NaN"),
            ("guide = 0.3", "guide = -1.0", "merging.guide is -1, and must be at least 0"),
            ("ema = 0.998", "ema = 5.0", "train.ema is 5, and must be at least 0 and at most 1"),
            ("std = [0.5, 0.5, 0.5]", "std = [0.5, 0.0, 0.5]", "vision.std is 0"),
            ("scale = 20.0\n", "scale = 0.0\n", "contrast.scale is 0"),
            ("tokens = 16", "tokens = 0", "text.tokens is 0"),
            ("rates = [0.2, 0.5, 0.6, 0.7]", "rates = [nan]", "merging.rates"),
        ] {
            let error = error("mlip", line, by);
            assert!(error.contains(reason), "{by}: {error}");
        }
        assert!(error("catlip", "prior = 0.01", "prior = 0.0").contains("labels.prior"));
    }

    #[test]
    fn texts_keep_their_tokens_where_nothing_is_said_of_the_tower() {
        let text = include_str!("../../configs/mlip.toml").replace("[text]\ntower = \"frozen\"\ntokens = 16\n", "");
        let config: Config = toml::from_str(&text).unwrap();
        assert!(!text.contains("[text]") && config.text.tokens == 24);
    }
}
