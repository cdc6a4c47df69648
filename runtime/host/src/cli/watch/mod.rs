//! `edgelip watch`: what a camera sees, as it sees it.

mod answer;
mod failure;
mod health;
mod screens;
mod settings;
mod silence;
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
use super::{Outcome, complain, describe, is_broken_pipe, milliseconds_since, warn};
use answer::Answer;
use failure::Failure;
use health::Health;
use screens::Screens;
use settings::Settings;
use silence::Silence;
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

/// For how long an error stays on a screen.
const NOTICE: Duration = Duration::from_secs(10);

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let settings = match &args.profile {
        Some(profile) => args.settings.clone().or(Settings::read(profile)?),
        None => args.settings.clone(),
    };
    let stop = Stop::on_signals()?;
    let mut screens = Screens::open(&settings, args.force)?;
    let Failure { title, error } = match watch(&settings, &stop, &mut screens, out) {
        Ok(outcome) => return Ok(outcome),
        Err(failure) => failure,
    };
    let text = describe(&error);
    if is_broken_pipe(&error) || !screens.tell(title, &text) {
        return Err(error);
    }
    complain(text);
    if screens.fade() {
        stop.wait(settings.notice.map_or(NOTICE, |seconds| Duration::from_secs(seconds.into())));
    }
    Ok(Outcome::Incomplete)
}

/// Labels frames until there are no more, or somebody wants it to end.
fn watch(settings: &Settings, stop: &Stop, screens: &mut Screens, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let path = settings.model.as_deref().ok_or_else(Failure::no_model)?;
    let labels = labels(settings)?;
    let mapping = Mapping::open(path).map_err(Failure::model)?;
    mapping.prefetch();
    let options = Options { engine: Engine::Native, threads: settings.threads(), ..Options::default() };
    let mut classifier = at(path, Classifier::open(&mapping, path, &options, labels)).map_err(Failure::model)?;
    if settings.show_merging.unwrap_or(false) {
        classifier.trace();
    }
    let source = source::open(settings).map_err(Failure::no_camera)?;
    let capture = Capture::start(source).map_err(Failure::no_camera)?;
    let mut watch = Watch::new(classifier, path, settings, screens);
    let mut silence = Silence::new(settings.fps.map(|fps| fps.0));
    let mut outcome = Outcome::Done;
    while !stop.is_asked_for() && settings.frames.is_none_or(|frames| watch.health.frames < frames) {
        let seen = watch.health.frames > 0;
        let lost = if seen { Failure::camera_lost } else { Failure::no_camera };
        match capture.next(PATIENCE).map_err(lost)? {
            Next::Frame(frame) => {
                watch.look(&frame, capture.dropped(), out).map_err(Failure::frame)?;
                capture.give_back(frame);
                silence.ends(Instant::now());
            }
            Next::Skipped(error) => {
                complain(describe(&error.into()));
                outcome = Outcome::Incomplete;
            }
            Next::Waiting => {
                if let Some(time) = silence.lasts(Instant::now()) {
                    let text = format!("no frame for {:.0} s", time.as_secs_f64());
                    warn(&text);
                    watch.screens.tell("Camera silent", &text);
                }
            }
            Next::End if seen || outcome == Outcome::Incomplete => break,
            Next::End => return Err(lost(edgelip::Error::Unusable("there was not a single frame".into()))),
        }
    }
    Ok(outcome)
}

fn labels(settings: &Settings) -> Result<LabelSource, Failure> {
    let Some(set) = settings.label_set().map_err(Failure::labels)? else { return Ok(LabelSource::Model) };
    let path = settings.text.as_deref().context("labels need a text tower: give it with --text");
    bank(path.map_err(Failure::labels)?, &set, settings).map(LabelSource::Bank)
}

fn bank(path: &Path, set: &LabelSet, settings: &Settings) -> Result<LabelBank, Failure> {
    let templates = settings.templates().map_err(Failure::labels)?;
    let mapping = Mapping::open(path).map_err(Failure::model)?;
    let tower = TextTower::open(&mapping, path, Engine::Native, settings.threads());
    let mut tower = at(path, tower).map_err(Failure::model)?;
    at(path, LabelBank::embed(set, &templates, &mut tower, &mut |_| {})).map_err(Failure::labels)
}

/// A model that watches.
struct Watch<'a> {
    classifier: Classifier<'a>,
    names: Vec<String>,
    model: String,
    steady: Steady,
    smooth: Vec<f32>,
    health: Health,
    screens: &'a mut Screens,
    top: usize,
    json: bool,
    /// The label that was printed last.
    told: Option<usize>,
}

impl<'a> Watch<'a> {
    fn new(classifier: Classifier<'a>, path: &Path, settings: &Settings, screens: &'a mut Screens) -> Self {
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
