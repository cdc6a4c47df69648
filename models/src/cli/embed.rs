//! `edgelip-train embed`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use edgelip_models::config::Precision;
use edgelip_models::data::{Dataset, Source};
use edgelip_models::evaluate::embed;
use edgelip_models::model::Trained;
use edgelip_models::tensor_file;

use super::merge_args::MergeArgs;
use super::model_files::{device, guard};
use super::say;

/// Embed images in single precision: the golden values for other engines
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  edgelip-train embed mlip-tiny/model.safetensors --data photos --rate 0.5 --out embeddings.safetensors")]
pub struct Args {
    /// A run's checkpoint, or a published model
    model: PathBuf,
    /// Parquet file, tar shard or folder of class folders
    #[arg(long, value_name = "PATH")]
    data: Source,
    /// Take only so many images
    #[arg(long)]
    first: Option<usize>,
    /// Side of the images in pixels, instead of the model's own
    #[arg(long, value_name = "PIXELS")]
    image: Option<i64>,
    /// Compression rate
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    #[command(flatten)]
    merging: MergeArgs,
    /// Where to write the tensor `embeddings` and the counts of merged tokens as metadata
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args) -> Result<()> {
    guard(&args.out, args.force)?;
    let model = Trained::open_at(&args.model, device(), Some(Precision::F32), args.image)?;
    let mut dataset = Dataset::read(&args.data.path)?;
    dataset.items.truncate(args.first.unwrap_or(usize::MAX));
    if dataset.items.is_empty() {
        bail!("no usable image in {}: {}", args.data.path.display(), dataset.skipped);
    }
    let (merge, saving) = args.merging.at(&model.config, args.rate)?;
    let embeddings = embed(&model.image, &dataset, merge.as_ref(), device());
    let counts = merge.map_or_else(Vec::new, |merge| merge.counts);
    let words = [("merged", serde_json::to_string(&counts)?), ("saved", saving.to_string())];
    tensor_file::write(&args.out, &[("embeddings", &embeddings)], &words)?;
    say(format_args!("{} embeddings in {}", dataset.items.len(), args.out.display()))?;
    Ok(())
}
