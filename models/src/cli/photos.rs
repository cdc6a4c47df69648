//! The photos that a model is held against.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use edgelip_models::data::{Dataset, Labels, Source};

/// Which photos, and what they are called.
#[derive(Debug, Args)]
pub struct Photos {
    /// Images to score
    #[arg(long = "data", value_name = "PATH", required = true)]
    data: Vec<Source>,
    /// Labels in place of the data's classes: a file with a label a line, a tab, and the ids of its classes; behind another tab what prompts
    /// are to name (see --names) in place of the label, between commas. Images of other classes are left out
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

impl Photos {
    /// Reads them.
    pub fn read(&self) -> Result<Dataset> {
        let dataset = self.named(&self.data)?;
        eprintln!("{} images, {}", dataset.items.len(), dataset.skipped);
        if dataset.items.is_empty() {
            bail!("no usable image in --data");
        }
        Ok(dataset)
    }

    /// Reads other images, called by the same labels.
    pub fn named(&self, sources: &[Source]) -> Result<Dataset> {
        let mut all = Dataset::default();
        for source in sources {
            all.extend(Dataset::read(&source.path)?);
        }
        if let Some(file) = &self.labels {
            Labels::read(file)?.apply(&mut all);
        }
        Ok(all)
    }
}
