//! The variants of a model that are measured in one go: image sizes, merging rules, guides and rates.

use anyhow::{Result, bail};
use edgelip_models::config::{Config, Rule, Spread};
use edgelip_models::merging::{Choice, macs, plan};
use edgelip_models::resolution;
use edgelip_models::vision::Merge;

/// Savings closer than this are the same budget.
const SAME: f64 = 0.015;

/// What may differ from the model's training.
#[derive(Debug, clap::Args)]
pub struct VariantArgs {
    /// Compression rates of the tower
    #[arg(long, value_delimiter = ',', default_value = "0")]
    rates: Vec<f64>,
    /// Merging rules, instead of the one the model was trained with (or ward)
    #[arg(long, value_delimiter = ',', value_parser = ["ward", "tome"])]
    rule: Vec<String>,
    /// Strengths of the guide, instead of the one the model was trained with (or 0); 0 is unguided
    #[arg(long, value_delimiter = ',')]
    guide: Vec<f64>,
    /// Sides of the images in pixels, instead of the model's own: positions and filters are resampled, nothing is trained
    #[arg(long, value_name = "PIXELS", value_delimiter = ',')]
    image: Vec<i64>,
    /// Take the rates as shares of the unchanged model's multiply-adds: a smaller image merges as much less as it has saved already. What
    /// each image size saves alone is added to the rates
    #[arg(long)]
    equal_macs: bool,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Side of the images.
    pub image: i64,
    /// The merging, if tokens merge.
    pub merge: Option<Merge>,
    /// Compression rate of the tower at this image size, as it was reached.
    pub rate: f64,
    /// Multiply-adds of one image.
    pub macs: i64,
    /// The share of the unchanged model's that is saved.
    pub saved: f64,
}

impl Variant {
    /// A short name.
    pub fn name(&self) -> String {
        let Some(merge) = &self.merge else { return format!("{} px", self.image) };
        let guide = if merge.guide > 0.0 { format!(" guide {}", merge.guide) } else { String::new() };
        format!("{} px {}{guide} {:.3}", self.image, self.rule().unwrap_or_default(), self.rate)
    }

    /// The rule's name.
    pub fn rule(&self) -> Option<&'static str> {
        self.merge.as_ref().map(|merge| match merge.rule {
            Rule::Ward => "ward",
            Rule::Tome => "tome",
        })
    }

    /// Whether both cost about as much.
    pub fn costs_as(&self, other: &Variant) -> bool {
        (self.saved - other.saved).abs() <= SAME
    }

    /// Whether this is merging as in the paper of Token Merging: the usual yardstick.
    pub fn is_plain_tome(&self) -> bool {
        self.merge.as_ref().is_some_and(|merge| merge.rule == Rule::Tome && merge.guide == 0.0)
    }
}

impl VariantArgs {
    /// The unchanged model first, then every other combination once. Rates that a smaller image can't reach are left out and named on
    /// stderr.
    pub fn variants(&self, config: &Config) -> Result<Vec<Variant>> {
        let own = &config.vision;
        let trained = config.merging.as_ref();
        let rules = if self.rule.is_empty() {
            vec![trained.map_or(Rule::Ward, |merging| merging.rule)]
        } else {
            self.rule.iter().map(|rule| if rule == "tome" { Rule::Tome } else { Rule::Ward }).collect()
        };
        let guides =
            if self.guide.is_empty() { vec![trained.map_or(0.0, |merging| merging.guide)] } else { self.guide.clone() };
        if let Some(guide) = guides.iter().find(|guide| !guide.is_finite() || **guide < 0.0) {
            bail!("--guide {guide} is not a number from 0 on");
        }
        if let Some(rate) = self.rates.iter().find(|rate| !(0.0..1.0).contains(*rate)) {
            bail!("--rates {rate} is not at least 0 and less than 1");
        }
        let images = if self.image.is_empty() { vec![own.image] } else { self.image.clone() };
        let spread = trained.map_or(Spread::Auto, |merging| merging.spread);
        let semantic = trained.map_or(0.5, |merging| merging.semantic);
        let nothing = vec![0; own.spatial_blocks as usize];
        let unmerged = |image: i64| -> Result<i64> {
            let choice = Choice { rule: Rule::Ward, guided: false };
            Ok(macs(&resolution::at(own, image)?, choice, &nothing))
        };
        let full = unmerged(own.image)?;
        let saved = |macs: i64| 1.0 - macs as f64 / full as f64;
        let alone = |image: i64| -> Result<Variant> {
            let macs = unmerged(image)?;
            Ok(Variant { image, merge: None, rate: 0.0, macs, saved: saved(macs) })
        };

        let mut rates = self.rates.clone();
        if self.equal_macs {
            for &image in images.iter().filter(|&&image| image < own.image) {
                rates.push(saved(unmerged(image)?));
            }
        }
        rates.retain(|&rate| rate > 0.0);
        rates.sort_by(f64::total_cmp);
        rates.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        let mut variants = vec![alone(own.image)?];
        for &image in &images {
            if image != own.image && (self.equal_macs || self.rates.contains(&0.0)) {
                variants.push(alone(image)?);
            }
            let vision = resolution::at(own, image)?;
            let of_size = unmerged(image)?;
            for &asked in &rates {
                let rate = match self.equal_macs {
                    true => 1.0 - (1.0 - asked) * full as f64 / of_size as f64,
                    false => asked,
                };
                // The image size alone saves as much already.
                if self.equal_macs && rate <= SAME {
                    continue;
                }
                for &rule in &rules {
                    for &guide in &guides {
                        let choice = Choice { rule, guided: guide > 0.0 };
                        match plan(&vision, choice, spread, rate) {
                            Ok(schedule) => {
                                let macs = macs(&vision, choice, &schedule.merged);
                                let merge = Some(Merge { rule, counts: schedule.merged, guide, semantic });
                                variants.push(Variant {
                                    image,
                                    merge,
                                    rate: schedule.saving,
                                    macs,
                                    saved: saved(macs),
                                });
                            }
                            Err(error) if image == own.image && self.rates.contains(&asked) => return Err(error.into()),
                            Err(error) => eprintln!("{image} px left out: {error}"),
                        }
                    }
                }
            }
        }
        Ok(variants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        variants: VariantArgs,
    }

    fn variants(arguments: &str) -> Result<Vec<Variant>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/mlip.toml");
        let config = Config::read(std::path::Path::new(path)).unwrap();
        Cli::try_parse_from(std::iter::once("evaluate").chain(arguments.split_whitespace()))
            .unwrap()
            .variants
            .variants(&config)
    }

    #[test]
    fn every_combination_once_behind_the_unchanged_model() {
        let all = variants("--rates 0,0.3,0.5 --rule ward,tome --guide 0,0.3").unwrap();
        assert_eq!(all.len(), 1 + 2 * 4);
        assert!(all[0].merge.is_none() && all[0].saved == 0.0);
        assert_eq!(all.iter().filter(|variant| variant.is_plain_tome()).count(), 2);
        let names: std::collections::BTreeSet<String> = all.iter().map(Variant::name).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(variants("--rates 0.01").unwrap().len(), 2);
        // As it was trained: ward under its guide.
        let trained = variants("--rates 0.5").unwrap();
        assert_eq!(trained[1].merge.as_ref().map(|merge| (merge.rule, merge.guide)), Some((Rule::Ward, 0.3)));
    }

    #[test]
    fn at_equal_cost_a_smaller_image_merges_less() {
        let all = variants("--rates 0.6 --image 64,48 --equal-macs --guide 0").unwrap();
        let alone = all.iter().find(|variant| variant.image == 48 && variant.merge.is_none()).unwrap();
        assert!((0.4..0.5).contains(&alone.saved), "{alone:?}");
        // Full size merges to both savings, the smaller one to 0.6 only: it saves the other alone.
        let merged: Vec<&Variant> = all.iter().filter(|variant| variant.merge.is_some()).collect();
        assert_eq!(merged.iter().map(|variant| variant.image).collect::<Vec<_>>(), [64, 64, 48]);
        assert!(merged[0].costs_as(alone) && merged[1].costs_as(merged[2]) && merged[2].rate < merged[1].rate);
        assert!((merged[2].saved - 0.6).abs() < 0.015);
    }

    #[test]
    fn wrong_numbers_are_refused_and_sizes_without_such_a_rate_left_out() {
        for wrong in ["--rates 1", "--rates 0.5 --guide NaN", "--image 50", "--rates 0.95"] {
            assert!(variants(wrong).is_err(), "{wrong}");
        }
        let all = variants("--rates 0.7 --image 64,16").unwrap();
        assert_eq!(all.iter().map(|variant| variant.image).collect::<Vec<_>>(), [64, 64]);
    }
}
