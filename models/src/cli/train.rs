//! `edgelip-train train`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use edgelip_models::config::Config;
use edgelip_models::data::{Batches, Dataset, Source, Texts};
use edgelip_models::objective::{Contrastive, TextSource};
use edgelip_models::parameters::Parameters;
use edgelip_models::text::Bank;
use edgelip_models::train::{Run, Stop};

use super::model_files::{TextFiles, device};

/// Train a model, or go on with one that was stopped
///
/// The folder given with --out holds checkpoint.safetensors, metrics.jsonl and curves.svg. Run the same command again to resume.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train train configs/mlip.toml --data photos.parquet --data captions.parquet@2.5 --minilm minilm --out runs/mlip
  edgelip-train train configs/clip.toml --data shard-{0..9}.tar --minilm minilm --out runs/clip --stop-after 600")]
pub struct Args {
    /// What to train, a TOML file
    config: PathBuf,
    /// Parquet file, tar shard or folder of class folders; `@2.5` behind it draws each image 2.5 times an epoch
    #[arg(long = "data", value_name = "PATH[@DRAWS]", required = true)]
    sources: Vec<Source>,
    /// The run's folder
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    text: TextFiles,
    /// Start over, though the folder has a checkpoint
    #[arg(long)]
    force: bool,
    /// Stop after this many seconds; the run can be resumed
    #[arg(long, value_name = "SECONDS")]
    stop_after: Option<f64>,
    /// Stop after this many steps; the run can be resumed
    #[arg(long, value_name = "STEPS")]
    stop_steps: Option<u64>,
}

pub fn run(args: Args) -> Result<()> {
    let config = Config::read(&args.config)?;
    let run = Run { config: &config, folder: args.out, quiet: false };
    if args.force && run.checkpoint().exists() {
        std::fs::remove_file(run.checkpoint()).context("can't remove the old checkpoint")?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)).context("can't listen to signals")?;

    let mut dataset = Dataset::default();
    let mut weights = Vec::new();
    for source in &args.sources {
        let part = Dataset::read(&source.path)?;
        eprintln!("{}: {} images, {}", source.path.display(), part.items.len(), part.skipped);
        weights.push((part.items.len(), source.weight));
        dataset.extend(part);
    }
    if dataset.items.is_empty() {
        bail!("no usable image in --data");
    }
    let texts = Texts::collect(&dataset, &config.templates);
    let batches = Batches::new(&dataset, &texts, &config, &weights);
    eprintln!("{} images an epoch, {} texts, {} classes", batches.epoch_len(), texts.strings.len(), texts.classes.len());

    let parameters = Parameters::new(config.seed, device());
    let (minilm, tokenizer) = args.text.open(config.text.tokens)?;
    let bank = Bank::embed(&texts.strings, &minilm, &tokenizer, config.contrast.tokens > 0.0, args.text.cache.as_deref())?;
    eprintln!("texts embedded");
    let learner = Contrastive::new(&parameters, &config, TextSource::Frozen(bank));
    let parameters = parameters.into_inner();
    let size: usize = parameters.iter().map(|parameter| parameter.tensor.numel()).sum();
    eprintln!("{size} parameters");
    let stop = Stop { seconds: args.stop_after, steps: args.stop_steps, flag: Some(&stop) };
    let summary = run.train(&learner, &parameters, &batches, stop)?;
    let state = if summary.finished { "finished" } else { "stopped, resume with the same command" };
    println!("{state} at step {}: loss {:.4}, {:.0} s", summary.done, summary.loss, summary.seconds);
    Ok(())
}
