//! Who takes part in a comparison: models, engines and numbers of threads.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use edgelip::Options;
use edgelip::threads::{MAX_THREADS, default_threads};

use super::super::options::{EngineName, ForeignArgs, OrtArgs};
use super::super::picture::PictureArgs;

/// Models, engines and threads.
#[derive(Debug, Clone, Args)]
pub struct LineupArgs {
    /// Models
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// A model, as well
    #[arg(short, long = "model", value_name = "FILE", required_unless_present = "files")]
    models: Vec<PathBuf>,

    /// A photo for image towers, whose preprocessing is timed too [default: noise]
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,

    /// What runs them, several between commas
    #[arg(long = "engine", value_enum, value_name = "ENGINE", value_delimiter = ',', default_value = "native")]
    engines: Vec<EngineName>,

    #[command(flatten)]
    pub ort: OrtArgs,

    /// Threads of each, several numbers between commas [default: the physical cores that may be used]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64))]
    threads: Vec<u16>,

    /// Another engine: a program that answers as benches/peers/ has it, and its name
    #[arg(long = "peer", value_name = "NAME=COMMAND", value_parser = parse_peer)]
    peers: Vec<(String, String)>,

    #[command(flatten)]
    pub picture: PictureArgs,

    #[command(flatten)]
    pub foreign: ForeignArgs,

    /// Run one of them once, in a process of its own, and say what that took
    #[arg(long, hide = true, value_name = "INDEX")]
    pub fresh: Option<usize>,
}

fn parse_peer(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
            Ok((name.trim().into(), command.trim().into()))
        }
        _ => Err("a peer is NAME=COMMAND".into()),
    }
}

/// How long to measure.
#[derive(Debug, Clone, Copy, Args)]
pub struct LengthArgs {
    /// The least number of measured runs of each
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rounds: u32,

    /// The least time to measure for, all together
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = parse_amount)]
    pub min_seconds: f64,

    /// Runs of each that are not measured, after the first
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warmup: u32,
}

/// A number from 0 to below 1e9.
pub fn parse_amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..1e9).contains(&number) => Ok(number),
        _ => Err("not a number from 0 to below 1e9".into()),
    }
}

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner<'a> {
    /// An engine of this program.
    Own(EngineName),
    /// Another program: its name and the command that starts it.
    Peer(&'a str, &'a str),
}

impl Runner<'_> {
    /// The engine's name in reports.
    pub fn name(&self) -> &str {
        match self {
            Runner::Own(EngineName::Native) => "native",
            Runner::Own(EngineName::Tract) => "tract",
            Runner::Own(EngineName::Ort) => "ort",
            Runner::Peer(name, _) => name,
        }
    }
}

/// One that takes part.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub path: &'a Path,
    pub runner: Runner<'a>,
    pub threads: usize,
}

impl LineupArgs {
    /// The model files.
    pub fn models(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().chain(&self.models).map(PathBuf::as_path)
    }

    /// The numbers of threads.
    pub fn threads(&self) -> Vec<usize> {
        match self.threads.is_empty() {
            true => vec![default_threads()],
            false => self.threads.iter().map(|&threads| threads.into()).collect(),
        }
    }

    /// All that take part, in their order in reports.
    pub fn entries(&self) -> Result<Vec<Entry<'_>>> {
        let tract = self.engines.contains(&EngineName::Tract);
        if self.engines.iter().all(|&engine| engine == EngineName::Native) && self.foreign.preprocess.is_some() {
            bail!("--preprocess is for files that are not edgelip's, which need --engine tract or ort");
        }
        self.ort.prepare(&self.engines)?;
        let only_tract = tract && self.engines.len() == 1 && self.peers.is_empty();
        if only_tract && self.threads.iter().any(|&threads| threads > 1) {
            bail!("tract runs on one thread; --threads is for the other engines");
        }
        let threads = if only_tract { vec![1] } else { self.threads() };
        let own = self.engines.iter().map(|&engine| Runner::Own(engine));
        let runners: Vec<_> = own.chain(self.peers.iter().map(|(name, command)| Runner::Peer(name, command))).collect();
        let mut entries = Vec::new();
        for (round, threads) in threads.into_iter().enumerate() {
            for &runner in &runners {
                let single = runner == Runner::Own(EngineName::Tract);
                if !single || round == 0 {
                    let threads = if single { 1 } else { threads };
                    entries.extend(self.models().map(|path| Entry { path, runner, threads }));
                }
            }
        }
        Ok(entries)
    }

    /// The library's options for one of this program's engines.
    pub fn options(&self, engine: EngineName, threads: usize) -> Options {
        let native = engine == EngineName::Native;
        Options {
            engine: self.ort.engine(engine),
            threads,
            preset: self.foreign.preprocess.filter(|_| !native),
            image_size: self.foreign.image_size.filter(|_| !native),
        }
    }
}

/// Fills pixels with the same noise every time.
pub fn noise(pixels: &mut [u8]) {
    let mut state = 1_u32;
    for pixel in pixels {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *pixel = (state >> 24) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        lineup: LineupArgs,
    }

    fn entries(arguments: &[&str]) -> Result<Vec<(String, String, usize)>> {
        let cli = Cli::try_parse_from([&["x"], arguments].concat())?;
        let entries = cli.lineup.entries()?;
        let row =
            |entry: &Entry<'_>| (entry.path.display().to_string(), entry.runner.name().to_string(), entry.threads);
        Ok(entries.iter().map(row).collect())
    }

    #[test]
    fn every_model_meets_every_engine_and_number_of_threads() {
        let all =
            entries(&["a", "-m", "b", "--threads", "1,2", "--engine", "native,tract", "--peer", "ort=x y"]).unwrap();
        assert_eq!(all.len(), 2 * (2 + 1 + 2));
        assert_eq!(all[0], ("a".into(), "native".into(), 1));
        assert_eq!(all.last(), Some(&("b".into(), "ort".into(), 2)));
        assert_eq!(all.iter().filter(|entry| entry.1 == "tract").count(), 2, "tract has one thread");
    }

    #[test]
    fn what_can_not_be_is_an_error() {
        assert!(entries(&[]).is_err());
        assert!(entries(&["a", "--peer", "nothing"]).is_err());
        assert!(entries(&["a", "--engine", "tract", "--threads", "2"]).is_err());
        assert!(entries(&["a", "--preprocess", "clip"]).is_err());
        assert!(entries(&["a", "--engine", "tract", "--preprocess", "clip"]).is_ok());
    }
}
