//! `edgelip-train train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use edgelip_models::config::Config;
use edgelip_models::config::Objective;
use edgelip_models::data::{Batches, Dataset, Source, Texts};
use edgelip_models::parameters::Parameter;
use edgelip_models::train::{Rows, Run, Stop, transfer};
use edgelip_models::wordnet::Vocabulary;

use super::learning::Learning;
use super::say;

/// Images of an epoch, whose order is kept in memory.
const MOST_DRAWS: f64 = 1e9;

/// Train a model, or go on with one that was stopped
///
/// The folder given with --out holds checkpoint.safetensors, metrics.jsonl and curves.svg. Run the same command again to resume: the
/// result has the same bits as that of a run that was never stopped (on the same machine, with as many threads and passes at once).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train train configs/mlip.toml --data photos.parquet --data captions.parquet@2.5 --minilm minilm --out runs/mlip
  edgelip-train train configs/clip.toml --data shard-0.tar --data shard-1.tar --minilm minilm --out runs/clip --stop-after 600
  edgelip-train train configs/catlip.toml --data photos.parquet --wordnet /usr/share/wordnet --vocabulary synsets.tsv --out runs/catlip
  edgelip-train train configs/catlip.toml --data new.parquet --wordnet /usr/share/wordnet --vocabulary new.tsv --init catlip/model.safetensors --out runs/new")]
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
    learning: Learning,
    /// Start from the weights of this model (a run's checkpoint or a published model.safetensors), as far as they fit
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// The vocabulary of that model's classifier, whose rows are taken by synset (catlip; a published model has synsets.tsv beside it)
    #[arg(long, value_name = "FILE", requires = "init")]
    init_vocabulary: Option<PathBuf>,
    /// Start over, though the folder has a checkpoint
    #[arg(long)]
    force: bool,
    /// Take up a checkpoint of a run with another train.steps: the learning rate then falls towards the new end
    #[arg(long)]
    reschedule: bool,
    /// Stop after this many seconds; the run can be resumed
    #[arg(long, value_name = "SECONDS")]
    stop_after: Option<f64>,
    /// Stop after this many steps; the run can be resumed
    #[arg(long, value_name = "STEPS")]
    stop_steps: Option<u64>,
}

pub fn run(args: Args) -> Result<()> {
    let mut config = Config::read(&args.config)?;
    let (dataset, weights) = read(&args.sources)?;
    let texts = Texts::collect(&dataset, &config.templates);
    let (learners, parameters) = args.learning.learners(&mut config, &dataset, &texts)?;
    let size: usize = parameters.iter().map(|parameter| parameter.tensor.numel()).sum();
    let batches = Batches::new(&dataset, &texts, &config, &weights);
    eprintln!(
        "{} images an epoch, {} texts, {} classes; {size} parameters",
        batches.epoch_len(),
        texts.strings.len(),
        texts.classes.len()
    );
    let run = Run { config: &config, folder: args.out, reschedule: args.reschedule, quiet: false };
    if args.force && run.checkpoint().exists() {
        std::fs::remove_file(run.checkpoint()).context("can't remove the old checkpoint")?;
    }
    if let (Some(path), false) = (&args.init, run.checkpoint().exists()) {
        start_from(path, args.init_vocabulary.as_deref(), &args.learning, &config, &parameters)?;
    }
    // Not before: until then a kill may well end the program at once.
    let stop = listen()?;
    let stop = Stop { seconds: args.stop_after, steps: args.stop_steps, flag: Some(&stop) };
    let summary = run.train(learners, &parameters, &batches, stop)?;
    let state = if summary.finished { "finished" } else { "stopped, resume with the same command" };
    say(format_args!("{state} at step {}: loss {:.4}, {:.0} s", summary.done, summary.loss, summary.seconds))?;
    Ok(())
}

/// Takes another model's weights, and says which.
fn start_from(
    path: &Path,
    vocabulary: Option<&Path>,
    learning: &Learning,
    config: &Config,
    parameters: &[Parameter],
) -> Result<()> {
    let beside = path.with_file_name("synsets.tsv");
    let vocabulary = vocabulary.or(beside.exists().then_some(beside.as_path()));
    let labels = match (config.objective, vocabulary) {
        (Objective::Catlip, Some(old)) => Some((Vocabulary::read(old)?, learning.vocabulary()?)),
        _ => None,
    };
    let rows = labels.as_ref().map(|(old, new)| Rows { old, new });
    eprintln!("{}: {}", path.display(), transfer(path, config, parameters, rows)?);
    Ok(())
}

/// A flag that an interrupt or a polite kill sets: the run then writes a checkpoint and ends.
fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)).context("can't listen to signals")?;
    Ok(stop)
}

/// All images, and how many of them are drawn how often.
pub fn read(sources: &[Source]) -> Result<(Dataset, Vec<(usize, f64)>)> {
    let (mut dataset, mut weights) = (Dataset::default(), Vec::new());
    for source in sources {
        let part = Dataset::read(&source.path)?;
        eprintln!("{}: {} images, {}", source.path.display(), part.items.len(), part.skipped);
        weights.push((part.items.len(), source.weight));
        dataset.extend(part);
    }
    if dataset.items.is_empty() {
        bail!("no usable image in --data");
    }
    let draws: f64 = weights.iter().map(|&(count, weight)| (count as f64 * weight).round()).sum();
    if !(1.0..=MOST_DRAWS).contains(&draws) {
        bail!("an epoch of {draws} draws: the numbers behind @ in --data make it too short or too long");
    }
    Ok((dataset, weights))
}
