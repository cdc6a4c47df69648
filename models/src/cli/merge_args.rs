//! How tokens merge at a rate, when a trained model is used.

use anyhow::{Result, bail};
use clap::Args;
use edgelip_models::config::{Config, Rule, Spread};
use edgelip_models::merging::{Choice, plan};
use edgelip_models::vision::Merge;

/// What may differ from the model's training.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Merging rule, instead of the one the model was trained with (or ward)
    #[arg(long, value_parser = ["ward", "tome"])]
    rule: Option<String>,
    /// Strength of the guide, instead of the one the model was trained with (or 0)
    #[arg(long)]
    guide: Option<f64>,
}

impl MergeArgs {
    /// The merging at a compression rate, none at 0, and the share of multiply-adds it saves.
    pub fn at(&self, config: &Config, rate: f64) -> Result<(Option<Merge>, f64)> {
        let trained = config.merging.as_ref();
        let rule = match self.rule.as_deref() {
            Some("tome") => Rule::Tome,
            Some(_) => Rule::Ward,
            None => trained.map_or(Rule::Ward, |merging| merging.rule),
        };
        let spread = trained.map_or(Spread::Auto, |merging| merging.spread);
        let guide = self.guide.unwrap_or(trained.map_or(0.0, |merging| merging.guide));
        if !guide.is_finite() || guide < 0.0 {
            bail!("--guide {guide} is not a number from 0 on");
        }
        let schedule = plan(&config.vision, Choice { rule, guided: guide > 0.0 }, spread, rate)?;
        let semantic = trained.map_or(0.5, |merging| merging.semantic);
        let merge = (rate > 0.0).then_some(Merge { rule, counts: schedule.merged, guide, semantic });
        Ok((merge, schedule.saving))
    }
}
