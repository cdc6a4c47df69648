//! `edgelip watch`: what a camera sees, as it sees it.

mod answer;
mod health;
mod screens;
mod settings;
mod source;
mod stop;
mod values;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use edgelip::camera::{Capture, Frame, Next};
use edgelip::engine::Engine;
use edgelip::label_set::LabelSet;
use edgelip::{Classifier, LabelBank, LabelSource, Mapping, Options, TextTower};
use edgelip_runtime::steady::Steady;

use super::options::at;
use super::{Outcome, complain, describe, milliseconds_since};
use answer::Answer;
use health::Health;
use screens::Screens;
use settings::Settings;
use stop::Stop;

/// Label what a camera sees, frame by frame
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  rpicam-vid -t 0 -n --codec yuv420 --width 640 --height 480 -o - | edgelip watch - --size 640x480 --model birds.onnx
  edgelip watch /dev/video0 --model birds.onnx --display fb --json
  edgelip watch photos/ --model birds.onnx --display png:screen.png --display-size 240x320
  edgelip watch --profile board.toml

A profile holds the same settings by the same names, for example
  source = \"/dev/video0\"
  model = \"birds.onnx\"
  display = [\"fb\"]
  hold = 5
Its file names are relative to its own folder. What the command line says wins.

/dev/video… needs a build with --features v4l2, drm one with --features drm, st7789 and ili9341 one with --features panel.")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,

    /// Settings from a file; the command line wins
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    /// Replace the file of --display png: if it exists
    #[arg(long)]
    force: bool,
}

/// How long to wait for a frame before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let settings = match &args.profile {
        Some(profile) => args.settings.clone().or(Settings::read(profile)?),
        None => args.settings.clone(),
    };
    let path = settings.model.as_deref().context("the model is missing: give --model, or put it into the profile")?;
    let labels = labels(&settings)?;
    let mapping = Mapping::open(path)?;
    mapping.prefetch();
    let options = Options { engine: Engine::Native, threads: settings.threads(), ..Options::default() };
    let mut classifier = at(path, Classifier::open(&mapping, path, &options, labels))?;
    let capture = Capture::start(source::open(&settings)?)?;
    let stop = Stop::on_signals()?;
    let screens = Screens::open(&settings, args.force)?;
    if settings.show_merging.unwrap_or(false) {
        classifier.trace();
    }
    let mut watch = Watch::new(classifier, path, &settings, screens);
    let mut outcome = Outcome::Done;
    while !stop.is_asked_for() && settings.frames.is_none_or(|frames| watch.health.frames < frames) {
        match capture.next(PATIENCE)? {
            Next::Frame(frame) => {
                watch.look(&frame, capture.dropped(), out)?;
                capture.give_back(frame);
            }
            Next::Skipped(error) => {
                complain(describe(&error.into()));
                outcome = Outcome::Incomplete;
            }
            Next::Waiting => {}
            Next::End => break,
        }
    }
    Ok(outcome)
}

fn labels(settings: &Settings) -> Result<LabelSource> {
    let Some(set) = settings.label_set()? else { return Ok(LabelSource::Model) };
    let path = settings.text.as_deref().context("labels need a text tower: give it with --text")?;
    bank(path, &set, settings).map(LabelSource::Bank)
}

fn bank(path: &Path, set: &LabelSet, settings: &Settings) -> Result<LabelBank> {
    let mapping = Mapping::open(path)?;
    let mut tower = at(path, TextTower::open(&mapping, path, Engine::Native, settings.threads()))?;
    at(path, LabelBank::embed(set, &settings.templates()?, &mut tower, &mut |_| {}))
}

/// A model that watches.
struct Watch<'a> {
    classifier: Classifier<'a>,
    names: Vec<String>,
    model: String,
    steady: Steady,
    smooth: Vec<f32>,
    health: Health,
    screens: Screens,
    top: usize,
    json: bool,
    /// The label that was printed last.
    told: Option<usize>,
}

impl<'a> Watch<'a> {
    fn new(classifier: Classifier<'a>, path: &Path, settings: &Settings, screens: Screens) -> Self {
        let names: Vec<_> = classifier.names().into_iter().map(String::from).collect();
        Watch {
            smooth: vec![0.0; names.len()],
            names,
            classifier,
            model: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            steady: settings.steady(),
            health: Health::new(),
            screens,
            top: settings.top.unwrap_or(5) as usize,
            json: settings.json.unwrap_or(false),
            told: None,
        }
    }

    /// Labels a frame, tells and shows the answer.
    fn look(&mut self, frame: &Frame, dropped: u64, out: &mut dyn Write) -> Result<()> {
        let start = Instant::now();
        self.classifier.load(frame.view())?;
        let scores = self.classifier.run()?.scores;
        let kept = self.steady.update(scores, &mut self.smooth)?;
        let milliseconds = milliseconds_since(start);
        self.health.count(dropped);
        let answer = Answer::new(frame, &self.names, &self.smooth, (kept, self.top), milliseconds, &self.health);
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&answer)?)?;
            out.flush()?;
        } else if frame.name.is_some() || kept != self.told {
            answer.print(out)?;
            out.flush()?;
        }
        self.told = kept;
        self.screens.show(&answer, frame, &self.model, &self.classifier)?;
        Ok(())
    }
}
