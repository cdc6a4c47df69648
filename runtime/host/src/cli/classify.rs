//! `edgelip classify`: images to scored labels.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use edgelip::label_set::LabelSet;
use edgelip::{Classifier, LabelSource, Mapping, Scored};
use serde::Serialize;

use super::options::{EngineArgs, EngineName, ForeignArgs, TemplateArgs, at, make_bank, options};
use super::picture::{self, PictureArgs};
use super::{Outcome, bars, complain, describe, milliseconds_since, print_json};

/// Say what is on images
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  edgelip classify cat.jpg --model model.onnx
  edgelip classify *.jpg --model model.onnx --labels \"cat,dog,red apple\" --text text.onnx --json
  edgelip classify cat.jpg --model other.onnx --engine tract --preprocess imagenet --labels-file imagenet.txt")]
pub struct Args {
    /// JPEG, PNG or WebP files; - is standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    /// The image tower
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,

    /// Labels to choose from instead of the model's own, between commas
    #[arg(long, value_name = "A,B,…")]
    labels: Option<String>,

    /// A file of such labels (one a line, CSV or JSON), or the known set imagenet
    #[arg(long, value_name = "FILE|SET", conflicts_with = "labels")]
    labels_file: Option<PathBuf>,

    /// The text tower that embeds them
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,

    #[command(flatten)]
    templates: TemplateArgs,

    /// How many of the best labels to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    /// Print JSON: an array of {image, labels: [{label, score, logit}], milliseconds, stages}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    picture: PictureArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    foreign: ForeignArgs,
}

/// One image's result.
#[derive(Serialize)]
struct Report {
    image: String,
    labels: Vec<Scored>,
    milliseconds: f64,
    stages: Stages,
}

/// Milliseconds of each step.
#[derive(Serialize)]
struct Stages {
    decode: f64,
    preprocess: f64,
    run: f64,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let options = options(&args.engine, &args.foreign)?;
    let labels = label_source(args)?;
    let mapping = Mapping::open(&args.model)?;
    mapping.prefetch();
    let mut classifier = at(&args.model, Classifier::open(&mapping, &args.model, &options, labels))?;
    let (mut reports, mut outcome) = (Vec::new(), Outcome::Done);
    for image in &args.images {
        match classify(&mut classifier, image, args) {
            Ok(report) if args.json => reports.push(report),
            Ok(report) => print(&report, out)?,
            Err(error) => {
                complain(describe(&error));
                outcome = Outcome::Incomplete;
            }
        }
    }
    if args.json {
        print_json(out, &reports)?;
    }
    Ok(outcome)
}

fn label_source(args: &Args) -> Result<LabelSource> {
    let set = match (&args.labels, &args.labels_file) {
        (Some(list), _) => LabelSet::from_list("--labels", list)?,
        (None, Some(file)) => LabelSet::resolve(file)?,
        (None, None) => {
            if args.text.is_some() || !args.templates.template.is_empty() || args.templates.templates.is_some() {
                bail!("--text and --template are for labels; give --labels or --labels-file");
            }
            return Ok(LabelSource::Model);
        }
    };
    match &args.text {
        Some(text) => Ok(LabelSource::Bank(make_bank(text, &set, &args.templates.read()?, &args.engine)?)),
        None if args.engine.name != EngineName::Native => Ok(LabelSource::Names(set.names())),
        None => bail!("labels need a text tower: give it with --text"),
    }
}

fn classify(classifier: &mut Classifier<'_>, path: &Path, args: &Args) -> Result<Report> {
    let start = Instant::now();
    let image = args.picture.read(path)?;
    let decode = milliseconds_since(start);
    let step = Instant::now();
    classifier.load(image.view()).map_err(|error| picture::failed(path, error))?;
    let preprocess = milliseconds_since(step);
    // A large photo takes more memory than the tower: give it back before the weights are read.
    drop(image);
    let step = Instant::now();
    let labels = classifier.run().map_err(|error| picture::failed(path, error))?.top(args.top as usize);
    let run = milliseconds_since(step);
    Ok(Report {
        image: path.display().to_string(),
        labels,
        milliseconds: milliseconds_since(start),
        stages: Stages { decode, preprocess, run },
    })
}

fn print(report: &Report, out: &mut dyn Write) -> Result<()> {
    let plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let (bold, normal) = if plain { ("", "") } else { ("\x1b[1m", "\x1b[0m") };
    writeln!(out, "{bold}{}{normal}  {:.1} ms", report.image, report.milliseconds)?;
    out.write_all(bars::table(&report.labels).as_bytes())?;
    out.flush()?;
    Ok(())
}
