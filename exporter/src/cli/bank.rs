//! Label names into rows of a label bank, by the exported text tower itself.

use std::path::Path;

use anyhow::{Result, ensure};
use edgelip::label_bank::LabelBank;
use edgelip::label_set::{self, DEFAULT_TEMPLATE, LabelSet};
use edgelip::onnx::{OnnxModel, attach_labels};
use edgelip::{Engine, Mapping, TextTower, templates};
use edgelip_export::source::ModelConfig;

use super::args::Args;
use super::progress;

/// Labels and the prompts for those that bring none of their own.
pub struct Wanted {
    /// The labels, in order.
    pub labels: LabelSet,
    /// The prompts.
    pub templates: Vec<String>,
}

impl Wanted {
    /// Reads what the options name; `None` if no labels are asked for.
    pub fn read(args: &Args) -> Result<Option<Wanted>> {
        let Some(path) = &args.labels else { return Ok(None) };
        let labels = LabelSet::resolve(path)?;
        let templates = match &args.templates {
            Some(name) => templates::resolve(name)?,
            None if args.template.is_empty() => vec![DEFAULT_TEMPLATE.to_owned()],
            None => label_set::templates("--template", &args.template)?,
        };
        Ok(Some(Wanted { labels, templates }))
    }

    /// Embeds every prompt with the text tower in a file, whose embeddings must be as long as the image tower's.
    pub fn embed(&self, text: &Path, embedding: usize, threads: usize) -> Result<LabelBank> {
        let mapping = Mapping::open(text)?;
        let mut tower = TextTower::open(&mapping, text, Engine::Native, threads)?;
        let found = tower.text().embedding();
        ensure!(
            found == embedding,
            "{}: embeds to {found} values, the image tower to {embedding}: labels need the text tower it was trained with",
            text.display()
        );
        let bar = progress::steps("labels", self.labels.labels().len() as u64);
        let bank =
            LabelBank::embed(&self.labels, &self.templates, &mut tower, &mut |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        Ok(bank)
    }

    /// Gives a model rows of the right size without running anything, to know how large the file gets.
    pub fn attach_blank(&self, model: &mut OnnxModel<'_>, config: &ModelConfig) -> Result<()> {
        let names = self.labels.names();
        let rows: Vec<f32> =
            (0..names.len() * config.embedding).map(|i| if i % config.embedding == 0 { 1.0 } else { 0.0 }).collect();
        Ok(attach_labels(
            model,
            &names,
            &rows,
            config.embedding,
            config.logit_scale,
            config.logit_bias,
            &self.templates,
        )?)
    }
}

/// Gives a model its label bank.
pub fn attach(bank: &LabelBank, model: &mut OnnxModel<'_>, config: &ModelConfig) -> Result<()> {
    let embedding = config.embedding;
    Ok(attach_labels(
        model,
        bank.names(),
        bank.rows(),
        embedding,
        config.logit_scale,
        config.logit_bias,
        bank.templates(),
    )?)
}
