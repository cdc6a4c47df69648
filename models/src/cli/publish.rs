//! `edgelip-train publish`.

use std::path::PathBuf;

use anyhow::Result;
use edgelip_models::publish::publish;
use edgelip_models::wordnet::Vocabulary;

use super::model_files::guard;
use super::say;

/// Write a run's averaged weights as half floats with their configuration
///
/// The names are those of Hugging Face's CLIP; a clip model is one of its CLIPVisionModelWithProjection.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train publish runs/mlip/checkpoint.safetensors --out mlip-tiny
  edgelip-train publish runs/catlip/checkpoint.safetensors --vocabulary synsets.tsv --out catlip-tiny")]
pub struct Args {
    /// A run's checkpoint
    checkpoint: PathBuf,
    /// Folder for model.safetensors, config.json, preprocessor_config.json and training.toml
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Side of the images in pixels, instead of the model's own: positions and filters are resampled, nothing is trained
    #[arg(long, value_name = "PIXELS")]
    image: Option<i64>,
    /// The synsets that a catlip model was trained with: the names of its classifier's rows
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Overwrite them
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args) -> Result<()> {
    guard(&args.out.join("model.safetensors"), args.force)?;
    let vocabulary = args.vocabulary.as_deref().map(Vocabulary::read).transpose()?;
    let bytes = publish(&args.checkpoint, &args.out, args.image, vocabulary.as_ref())?;
    say(format_args!("{}: {:.1} MB", args.out.join("model.safetensors").display(), bytes as f64 / 1e6))?;
    Ok(())
}
