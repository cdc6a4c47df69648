//! `edgelip bench`: how fast models are on this machine, side by side.

mod candidate;
mod fresh;
mod labelled;
pub mod lineup;
pub mod measure;
mod peer;
mod plot;
mod profile;
pub mod report;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use edgelip::engine::native;
use edgelip::machine::{self, Throttling};
use edgelip::output::Output;
use edgelip::{ImageTower, Mapping};

use super::options::EngineName;
use super::{Outcome, complain, picture, print_json};
use labelled::Labelled;
use lineup::{LengthArgs, LineupArgs, parse_amount};
use report::Report;

/// Measure the speed and the memory of models
#[derive(clap::Args)]
#[command(after_help = "\
Rounds go through all in turn, so that a clock that slows down slows all of them down. A run is the tower alone, without decoding, \
preprocessing and labels; start and peak are those of a process of its own, up to its first answer. \
Savings are medians over the rounds, against the first model on the same engine and threads.

Examples:
  edgelip bench model-*.onnx --threads 1,2
  edgelip bench model-*.onnx --plot rates.svg --labelled photos/
  edgelip bench model.onnx --engine native,tract --peer \"onnxruntime=python3 benches/peers/ort.py\"
  edgelip bench model.onnx --profile
  edgelip bench model.onnx --assert-max-ms 80")]
pub struct Args {
    #[command(flatten)]
    lineup: LineupArgs,

    #[command(flatten)]
    length: LengthArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write a table, one row each
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Write a plot of time (and accuracy) against the multiply-adds saved, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Replace these files if they exist
    #[arg(long)]
    force: bool,

    /// Photos in a folder for each label: how many does each model get right?
    #[arg(long, value_name = "FOLDER")]
    labelled: Option<PathBuf>,

    /// Show where the time goes, by operator and block (native engine)
    #[arg(long, conflicts_with_all = ["csv", "plot", "labelled", "assert_max_ms", "peers"])]
    profile: bool,

    /// Exit with 1 if a median is above this
    #[arg(long, value_name = "MS", value_parser = parse_amount)]
    assert_max_ms: Option<f64>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    if args.lineup.fresh.is_some() {
        return answer_fresh(&args.lineup, out);
    }
    if args.profile {
        return profile(args, out);
    }
    if let Some(path) = &args.plot
        && path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("svg"))
    {
        bail!("{}: plots are SVG: give a name that ends in .svg", path.display());
    }
    check_outputs(args)?;
    // First of all: a photo or a label that is amiss should not cost a measurement.
    let accuracies = accuracies(args)?;
    let mut report = measured(&args.lineup, args.length)?;
    for (model, accuracy) in &accuracies {
        report.models.iter_mut().filter(|row| row.model == *model).for_each(|row| row.accuracy = Some(*accuracy));
    }
    if let Some(csv) = &args.csv {
        report::write_csv(&report, csv, args.force)?;
    }
    if let Some(path) = &args.plot {
        plot::write(&report, path, args.force)?;
    }
    if args.json {
        print_json(out, &report)?;
    } else {
        report::print(&report, out)?;
    }
    let slow = |limit| report.models.iter().find(|model| model.median_ms > limit);
    if let Some(model) = args.assert_max_ms.and_then(slow) {
        out.flush()?;
        complain(format!("{}: the median of {:.2} ms is above the limit", model.model, model.median_ms));
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Done)
}

/// Answers as the process of its own that one of the lineup was asked to be measured in.
pub fn answer_fresh(lineup: &LineupArgs, out: &mut dyn Write) -> Result<Outcome> {
    if let Some(index) = lineup.fresh {
        fresh::answer(lineup, index, out)?;
    }
    Ok(Outcome::Done)
}

/// Measures, and says on what machine.
pub fn measured(lineup: &LineupArgs, length: LengthArgs) -> Result<Report> {
    let before = machine::throttling();
    let models = measure::measure(lineup, length)?;
    let since = |(after, before): (Throttling, Throttling)| after.since(&before);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION").into(),
        kernels: models.iter().any(|row| row.engine == "native").then(|| native::kernels().name().to_string()),
        processor: machine::processor(),
        governor: machine::governor(),
        temperature_celsius: machine::temperature(),
        throttled: machine::throttling().zip(before).map(since),
        peak_rss_bytes: machine::memory().map(|memory| memory.peak),
        models,
    })
}

/// Whether the files can be written, each in a place of its own.
fn check_outputs(args: &Args) -> Result<()> {
    let mut taken: Vec<PathBuf> = args.lineup.models().filter_map(|path| path.canonicalize().ok()).collect();
    for path in args.csv.iter().chain(&args.plot) {
        Output::check(path, args.force)?;
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        if taken.contains(&place) {
            bail!("{}: is a model, or --csv and --plot at once", path.display());
        }
        taken.push(place);
    }
    Ok(())
}

/// Each model's share of labelled photos that it gets right; none without `--labelled`.
fn accuracies(args: &Args) -> Result<Vec<(String, f64)>> {
    let Some(folder) = &args.labelled else { return Ok(Vec::new()) };
    let labelled = Labelled::find(folder)?;
    let threads = args.lineup.threads().into_iter().max().unwrap_or(1);
    let options = args.lineup.options(EngineName::Native, threads);
    let of_model = |path: &Path| {
        let name = path.display().to_string();
        let mapping = Mapping::open(path)?;
        let accuracy = labelled.accuracy(path, &mapping, &options, args.lineup.picture);
        let accuracy = accuracy.with_context(|| name.clone())?;
        Ok((name, accuracy))
    };
    args.lineup.models().map(of_model).collect()
}

fn profile(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let LengthArgs { rounds, min_seconds, warmup } = args.length;
    let length = profile::Length { rounds, min_seconds, warmup };
    let mut profiles = Vec::new();
    for entry in args.lineup.entries()? {
        if entry.runner != lineup::Runner::Own(EngineName::Native) {
            bail!("--profile is for the native engine");
        }
        let mapping = Mapping::open(entry.path)?;
        let at = || entry.path.display().to_string();
        let pixels = match &args.lineup.image {
            Some(path) => {
                let image = args.lineup.picture.read(path)?;
                let options = args.lineup.options(EngineName::Native, 1);
                let mut tower = ImageTower::open(&mapping, entry.path, &options).with_context(at)?;
                tower.load(image.view()).map_err(|error| picture::failed(path, error))?;
                Some(tower.pixels().to_vec())
            }
            None => None,
        };
        let profile = profile::profile(entry.path, &mapping, entry.threads, pixels.as_deref(), length);
        profiles.push(profile.with_context(at)?);
    }
    if args.json {
        print_json(out, &profiles)?;
        return Ok(Outcome::Done);
    }
    for (index, profile) in profiles.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        profile::print(profile, out)?;
    }
    Ok(Outcome::Done)
}
