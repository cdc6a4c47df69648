//! `edgelip-train train`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use edgelip_models::config::{Config, Objective, TextTower};
use edgelip_models::data::{Batches, Dataset, Source, Texts};
use edgelip_models::objective::{Contrastive, Learner, MultiLabel, TextSource};
use edgelip_models::parameters::{Parameter, Parameters};
use edgelip_models::text::{Bank, OwnTower};
use edgelip_models::train::{Run, Stop};
use edgelip_models::wordnet::{Vocabulary, WordNet};

use super::model_files::{TextFiles, device};

/// Train a model, or go on with one that was stopped
///
/// The folder given with --out holds checkpoint.safetensors, metrics.jsonl and curves.svg. Run the same command again to resume: the
/// result has the same bits as that of a run that was never stopped (on the same machine, with as many threads and passes at once).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train train configs/mlip.toml --data photos.parquet --data captions.parquet@2.5 --minilm minilm --out runs/mlip
  edgelip-train train configs/clip.toml --data shard-0.tar --data shard-1.tar --minilm minilm --out runs/clip --stop-after 600
  edgelip-train train configs/catlip.toml --data photos.parquet --wordnet /usr/share/wordnet --vocabulary synsets.tsv --out runs/catlip")]
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
    #[command(flatten)]
    labels: LabelFiles,
    /// Passes of a step (train.accumulate) that run at once, in threads of their own
    #[arg(long, value_name = "PASSES", default_value_t = 1)]
    at_once: usize,
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

/// What catlip needs.
#[derive(Debug, clap::Args)]
pub struct LabelFiles {
    /// Folder of WordNet 3.0 with index.noun, data.noun and noun.exc (catlip)
    #[arg(long, value_name = "FOLDER")]
    pub wordnet: Option<PathBuf>,
    /// The synsets that are learned, as `edgelip-train vocabulary` writes them (catlip)
    #[arg(long, value_name = "FILE")]
    pub vocabulary: Option<PathBuf>,
}

impl LabelFiles {
    /// Reads both.
    pub fn open(&self) -> Result<(WordNet, Vocabulary)> {
        let wordnet = self.wordnet.as_ref().context("catlip needs WordNet: give its folder with --wordnet")?;
        let vocabulary =
            self.vocabulary.as_ref().context("catlip needs a vocabulary: make one with `edgelip-train vocabulary`")?;
        Ok((WordNet::read(wordnet)?, Vocabulary::read(vocabulary)?))
    }
}

pub fn run(args: Args) -> Result<()> {
    let mut config = Config::read(&args.config)?;
    let stop = listen()?;
    let (dataset, weights) = read(&args.sources)?;
    let texts = Texts::collect(&dataset, &config.templates);
    let (learners, parameters) = learners(&mut config, &dataset, &texts, &args.text, &args.labels, args.at_once)?;
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
    let stop = Stop { seconds: args.stop_after, steps: args.stop_steps, flag: Some(&stop) };
    let summary = run.train(learners, &parameters, &batches, stop)?;
    let state = if summary.finished { "finished" } else { "stopped, resume with the same command" };
    println!("{state} at step {}: loss {:.4}, {:.0} s", summary.done, summary.loss, summary.seconds);
    Ok(())
}

/// A flag that an interrupt or a polite kill sets: the run then writes a checkpoint and ends.
fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)).context("can't listen to signals")?;
    Ok(stop)
}

/// Learners that share their weights.
pub type Learners = Vec<Box<dyn Learner>>;

/// What learns, as many times as passes run at once, and what it learns; a `catlip` configuration gets its number of labels.
pub fn learners(
    config: &mut Config,
    dataset: &Dataset,
    texts: &Texts,
    text: &TextFiles,
    labels: &LabelFiles,
    at_once: usize,
) -> Result<(Learners, Vec<Parameter>)> {
    let targets = match config.objective {
        Objective::Catlip => {
            let (net, vocabulary) = labels.open()?;
            config.labels.count = vocabulary.labels.len() as i64;
            eprintln!("{} synsets", config.labels.count);
            Targets::Labels(vocabulary.targets(dataset, &net))
        }
        Objective::Clip | Objective::Mlip => targets(text, config, texts)?,
    };
    let parameters = Parameters::new(config.seed, device());
    let mut learners = vec![targets.learner(&parameters, config)];
    let parameters = parameters.into_inner();
    for _ in 1..at_once.clamp(1, config.train.accumulate) {
        learners.push(targets.learner(&Parameters::sharing(&parameters), config));
    }
    Ok((learners, parameters))
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
    Ok((dataset, weights))
}

/// What images are held against.
enum Targets {
    /// Labels of each image.
    Labels(Vec<Vec<i64>>),
    /// Embeddings of all texts.
    Frozen(Bank),
    /// Token ids of all texts, for a tower that learns.
    Trained(Vec<Vec<i64>>),
}

impl Targets {
    /// A learner; a trained text tower's parameters come before the image tower's.
    fn learner(&self, parameters: &Parameters, config: &Config) -> Box<dyn Learner> {
        let texts = match self {
            Targets::Labels(labels) => return Box::new(MultiLabel::new(parameters, config, labels.clone())),
            Targets::Frozen(bank) => TextSource::Frozen(bank.share()),
            Targets::Trained(ids) => {
                let tower = OwnTower::new(parameters, &config.text, config.vision.embedding, config.train.precision);
                TextSource::Trained { tower, ids: ids.clone() }
            }
        };
        Box::new(Contrastive::new(parameters, config, texts))
    }
}

/// The texts as the configuration's text tower takes them.
fn targets(files: &TextFiles, config: &Config, texts: &Texts) -> Result<Targets> {
    let tokenizer = files.tokenizer(config.text.tokens)?;
    Ok(match config.text.tower {
        TextTower::Frozen => {
            let with_tokens = config.contrast.tokens > 0.0;
            let minilm = files.minilm()?;
            Targets::Frozen(Bank::embed(&texts.strings, &minilm, &tokenizer, with_tokens, files.cache.as_deref())?)
        }
        TextTower::Trained => {
            if tokenizer.vocabulary() as i64 > config.text.vocabulary {
                bail!("the tokenizer has {} ids: set text.vocabulary to that", tokenizer.vocabulary());
            }
            Targets::Trained(texts.strings.iter().map(|text| tokenizer.ids(text)).collect())
        }
    })
}
