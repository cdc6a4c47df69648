//! `edgelip-train synsets`.

use std::io::{self, BufRead};
use std::path::PathBuf;

use anyhow::Result;
use edgelip_models::wordnet::WordNet;

use super::say;

/// Print the synsets of each caption read from stdin, as catlip labels them: `n` and the offset
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  echo 'Two dogs chase a ball' | edgelip-train synsets --wordnet /usr/share/wordnet")]
pub struct Args {
    /// Folder of WordNet 3.0
    #[arg(long, value_name = "FOLDER")]
    wordnet: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let net = WordNet::read(&args.wordnet)?;
    for caption in io::stdin().lock().lines() {
        let keys: Vec<String> = net.synsets(&caption?).iter().map(|offset| format!("n{offset}")).collect();
        say(keys.join(" "))?;
    }
    Ok(())
}
