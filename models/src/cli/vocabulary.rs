//! `edgelip-train vocabulary`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use edgelip_models::data::{Dataset, Source};
use edgelip_models::wordnet::{Vocabulary, WordNet};

use super::model_files::guard;
use super::say;

/// Count the synsets of captions and keep the frequent ones, for catlip
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  edgelip-train vocabulary --data captions.parquet --wordnet /usr/share/wordnet --least 5 --out synsets.tsv")]
pub struct Args {
    /// Parquet file, tar shard or folder of class folders
    #[arg(long = "data", value_name = "PATH", required = true)]
    sources: Vec<Source>,
    /// Folder of WordNet 3.0
    #[arg(long, value_name = "FOLDER")]
    wordnet: PathBuf,
    /// Keep synsets of at least this many images
    #[arg(long, default_value_t = 2)]
    least: u64,
    /// Keep at most this many, the most frequent
    #[arg(long, default_value_t = 24_320)]
    most: usize,
    /// Where to write key, count and name of each synset
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args) -> Result<()> {
    guard(&args.out, args.force)?;
    let net = WordNet::read(&args.wordnet)?;
    let mut dataset = Dataset::default();
    for source in &args.sources {
        let part = Dataset::read(&source.path)?;
        eprintln!("{}: {} images, {}", source.path.display(), part.items.len(), part.skipped);
        dataset.extend(part);
    }
    let vocabulary = Vocabulary::build(&dataset, &net, args.least, args.most);
    if vocabulary.labels.is_empty() {
        bail!("no synset is found in at least {} images of --data", args.least);
    }
    vocabulary.write(&args.out)?;
    say(format_args!("{} synsets in {}", vocabulary.labels.len(), args.out.display()))?;
    Ok(())
}
