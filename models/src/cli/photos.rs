//! The photos that a model is held against.

use std::num::NonZeroUsize;
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
    /// Take only so many of the images, evenly spread
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
    /// Take the images that --limit leaves
    #[arg(long, requires = "limit")]
    others: bool,
}

impl Photos {
    /// Reads them.
    pub fn read(&self) -> Result<Dataset> {
        let mut dataset = self.named(&self.data)?;
        eprintln!("{} images, {}", dataset.items.len(), dataset.skipped);
        if let Some(limit) = self.limit {
            let count = dataset.items.len();
            let mut taken = spread(limit.get(), count).peekable();
            let mut index = 0..;
            dataset.items.retain(|_| taken.next_if_eq(&index.next().unwrap_or_default()).is_some() != self.others);
            eprintln!("{} of them", dataset.items.len());
        }
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

/// So many places among `count`, evenly spread; all if they are no more.
fn spread(limit: usize, count: usize) -> impl Iterator<Item = usize> {
    let limit = limit.min(count);
    (0..limit).map(move |index| index * count / limit)
}
