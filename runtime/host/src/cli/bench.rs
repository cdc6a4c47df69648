//! `edgelip bench`: how fast models are on this machine, side by side.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use edgelip::engine::native;
use edgelip::stats::Summary;
use edgelip::{Engine, ImageTower, Mapping, TextTower, machine, output::Output};
use edgelip_runtime::onnx::File;

use super::bench_report::{self, ModelReport, Report};
use super::options::{EngineArgs, ForeignArgs, options};
use super::picture::{self, PictureArgs};
use super::{Outcome, milliseconds_since, print_json};

/// Tokens of the text that text towers are timed with.
const TEXT_TOKENS: usize = 10;

/// Measure the speed and the memory of models
#[derive(clap::Args)]
#[command(after_help = "\
Rounds go through the models in turn, so that a clock that slows down slows all of them down. \
A run is the tower alone, without decoding, preprocessing and labels.

Examples:
  edgelip bench --model model.onnx
  edgelip bench --model plain.onnx --model merged.onnx --rounds 50 --json
  edgelip bench --model model.onnx --assert-max-ms 80")]
pub struct Args {
    /// A model; several are compared with the first
    #[arg(short, long = "model", value_name = "FILE", required = true)]
    models: Vec<PathBuf>,

    /// A photo for image towers, whose preprocessing is timed too [default: noise]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// The least number of measured runs of each model
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rounds: u32,

    /// The least time to measure for, all models together
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = parse_seconds)]
    min_seconds: f64,

    /// Runs of each model that are not measured, after the first
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: u32,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write a table, one model a row
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Replace the CSV file if it exists
    #[arg(long, requires = "csv")]
    force: bool,

    /// Exit with 1 if a model's median is above this
    #[arg(long, value_name = "MS", value_parser = parse_seconds)]
    assert_max_ms: Option<f64>,

    #[command(flatten)]
    picture: PictureArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    foreign: ForeignArgs,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..1e9).contains(&number) => Ok(number),
        _ => Err("not a number that is 0 or more".into()),
    }
}

/// A tower of either kind.
enum Tower<'a> {
    Image(Box<ImageTower<'a>>),
    Text(Box<TextTower<'a>>, Vec<u32>),
}

impl Tower<'_> {
    fn run(&mut self) -> Result<()> {
        match self {
            Tower::Image(tower) => tower.run().map(drop)?,
            Tower::Text(tower, ids) => tower.embed_ids(ids).map(drop)?,
        }
        Ok(())
    }
}

/// A model under test.
struct Candidate<'a> {
    path: &'a Path,
    tower: Tower<'a>,
    report: ModelReport,
    times: Vec<f64>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    if let Some(csv) = &args.csv {
        Output::check(csv, args.force)?;
    }
    let mut mappings = Vec::new();
    for path in &args.models {
        let start = Instant::now();
        mappings.push((Mapping::open(path)?, milliseconds_since(start)));
    }
    let mut candidates = Vec::new();
    for (path, (mapping, mapped)) in args.models.iter().zip(&mappings) {
        candidates.push(prepare(args, path, mapping, *mapped).with_context(|| path.display().to_string())?);
    }
    measure(args, &mut candidates)?;
    let report = conclude(args, candidates)?;
    if let Some(csv) = &args.csv {
        bench_report::write_csv(&report, csv, args.force)?;
    }
    if args.json {
        print_json(out, &report)?;
    } else {
        bench_report::print(&report, out)?;
    }
    let slow = |limit| report.models.iter().find(|model| model.median_ms > limit);
    if let Some(model) = args.assert_max_ms.and_then(slow) {
        out.flush()?;
        super::complain(format!("{}: the median of {:.2} ms is above the limit", model.model, model.median_ms));
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Done)
}

/// Opens a model and runs it for the first time.
fn prepare<'a>(args: &Args, path: &'a Path, mapping: &'a Mapping, mapped: f64) -> Result<Candidate<'a>> {
    let before = machine::memory();
    let start = Instant::now();
    let mut report = ModelReport { model: path.display().to_string(), file_bytes: mapping.len(), ..Default::default() };
    let mut tower = open(args, path, mapping)?;
    report.load_ms = milliseconds_since(start) + mapped;
    match &mut tower {
        Tower::Image(tower) => {
            report.tower = "vision".into();
            if let Some(vision) = tower.vision() {
                report.macs = Some(vision.plan().macs());
                report.tokens = Some(vision.plan().tokens());
            }
            fill(args, tower, &mut report)?;
        }
        Tower::Text(_, ids) => {
            report.tower = "text".into();
            report.tokens = Some(ids.len());
        }
    }
    let start = Instant::now();
    tower.run()?;
    report.first_ms = milliseconds_since(start);
    report.scratch_bytes = match &tower {
        Tower::Image(tower) => tower.scratch_bytes(),
        Tower::Text(tower, _) => tower.scratch_bytes(),
    };
    let growth = |before: machine::Memory| Some(machine::memory()?.resident.saturating_sub(before.resident));
    report.resident_bytes = before.and_then(growth);
    Ok(Candidate { path, tower, report, times: Vec::new() })
}

fn open<'a>(args: &Args, path: &Path, mapping: &'a Mapping) -> Result<Tower<'a>> {
    if File::parse(mapping)?.metadata("edgelip.tower") == Some("text") {
        let threads = args.engine.threads()?;
        let tower = TextTower::open(mapping, path, args.engine.engine.into(), threads)?;
        let end = File::parse(mapping)?.metadata("edgelip.eot").and_then(|id| id.trim().parse::<u32>().ok());
        let Some(end) = end else { bail!("metadata `edgelip.eot` is missing") };
        let length = TEXT_TOKENS.min(tower.text().context());
        // What the tokens are does not matter for the time they take, but that the end comes last.
        let mut ids: Vec<u32> = (0..length as u32).map(|i| (i * 7 + 1) % end.max(1)).collect();
        if let Some(last) = ids.last_mut() {
            *last = end;
        }
        return Ok(Tower::Text(Box::new(tower), ids));
    }
    let tower = ImageTower::open(mapping, path, &options(&args.engine, &args.foreign)?)?;
    Ok(Tower::Image(Box::new(tower)))
}

/// Gives an image tower the photo, or noise.
fn fill(args: &Args, tower: &mut ImageTower<'_>, report: &mut ModelReport) -> Result<()> {
    let Some(path) = &args.image else {
        let mut state = 1_u32;
        for pixel in tower.pixels_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *pixel = (state >> 24) as u8;
        }
        return Ok(());
    };
    let image = args.picture.read(path)?;
    tower.load(image.view()).map_err(|error| picture::failed(path, error))?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        tower.load(image.view())?;
        times.push(milliseconds_since(start));
    }
    report.preprocess_ms = Summary::of(&mut times).map(|summary| summary.median);
    Ok(())
}

fn measure(args: &Args, candidates: &mut [Candidate<'_>]) -> Result<()> {
    let round = |candidate: &mut Candidate<'_>| -> Result<f64> {
        let start = Instant::now();
        candidate.tower.run().with_context(|| candidate.path.display().to_string())?;
        Ok(milliseconds_since(start))
    };
    for candidate in candidates.iter_mut() {
        for _ in 0..args.warmup {
            round(candidate)?;
        }
    }
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < args.rounds || start.elapsed().as_secs_f64() < args.min_seconds {
        for candidate in candidates.iter_mut() {
            let time = round(candidate)?;
            candidate.times.push(time);
        }
        rounds += 1;
    }
    Ok(())
}

fn conclude(args: &Args, candidates: Vec<Candidate<'_>>) -> Result<Report> {
    let mut models: Vec<ModelReport> = Vec::new();
    for mut candidate in candidates {
        let Some(summary) = Summary::of(&mut candidate.times) else { bail!("nothing was measured") };
        let mut report = candidate.report;
        report.rounds = summary.count;
        (report.min_ms, report.median_ms) = (summary.min, summary.median);
        (report.p90_ms, report.p99_ms) = (summary.p90, summary.p99);
        if let Some(first) = models.first().filter(|first| first.tower == report.tower) {
            let saved = |ours: f64, theirs: f64| 1.0 - ours / theirs;
            report.macs_saved = report.macs.zip(first.macs).map(|(ours, theirs)| saved(ours as f64, theirs as f64));
            report.time_saved = Some(saved(report.median_ms, first.median_ms));
        }
        models.push(report);
    }
    let native = Engine::from(args.engine.engine) == Engine::Native;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION").into(),
        engine: if native { "native" } else { "tract" }.into(),
        kernels: native.then(|| native::kernels().name().to_string()),
        threads: args.engine.threads()?,
        processor: machine::processor(),
        governor: machine::governor(),
        temperature_celsius: machine::temperature(),
        peak_rss_bytes: machine::memory().map(|memory| memory.peak),
        models,
    })
}
