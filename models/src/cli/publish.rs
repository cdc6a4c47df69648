//! `edgelip-train publish`.

use std::path::PathBuf;

use anyhow::Result;
use edgelip_models::publish::publish;

use super::model_files::guard;

/// Write a run's averaged weights as half floats with their configuration
///
/// The names are those of Hugging Face's CLIP; a clip model is one of its CLIPVisionModelWithProjection.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  edgelip-train publish runs/mlip/checkpoint.safetensors --out mlip-tiny")]
pub struct Args {
    /// A run's checkpoint
    checkpoint: PathBuf,
    /// Folder for model.safetensors, config.json, preprocessor_config.json and training.toml
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Side of the images in pixels, instead of the model's own: positions and filters are resampled, nothing is trained
    #[arg(long, value_name = "PIXELS")]
    image: Option<i64>,
    /// Overwrite them
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args) -> Result<()> {
    guard(&args.out.join("model.safetensors"), args.force)?;
    let bytes = publish(&args.checkpoint, &args.out, args.image)?;
    println!("{}: {:.1} MB", args.out.join("model.safetensors").display(), bytes as f64 / 1e6);
    Ok(())
}
