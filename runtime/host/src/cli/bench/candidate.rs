//! One model on one engine, ready to run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use edgelip::stats::Summary;
use edgelip::{ImageTower, Mapping, TextTower, machine, npy};
use edgelip_runtime::onnx::File;

use super::super::options::EngineName;
use super::super::{milliseconds_since, picture};
use super::lineup::{Entry, LineupArgs, Runner, noise};
use super::peer::Peer;
use super::report::Row;

/// Tokens of the text that text towers are timed with.
const TEXT_TOKENS: usize = 10;

/// A tower of either kind, or another program that runs one.
enum Tower<'a> {
    Image(Box<ImageTower<'a>>),
    Text(Box<TextTower<'a>>, Vec<u32>),
    Peer(Peer),
}

/// One that is measured.
pub struct Candidate<'a> {
    pub entry: Entry<'a>,
    tower: Tower<'a>,
    pub row: Row,
    /// Milliseconds of each round.
    pub times: Vec<f64>,
    /// What the first run gave.
    pub embedding: Vec<f32>,
}

impl<'a> Candidate<'a> {
    /// Opens a model and runs it for the first time. `mapped` is the time in milliseconds that mapping it took; peers find their
    /// input in a file in `folder`.
    pub fn prepare(
        args: &LineupArgs,
        entry: Entry<'a>,
        mapping: &'a Mapping,
        mapped: f64,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let mut row = Row {
            model: entry.path.display().to_string(),
            engine: entry.runner.name().into(),
            threads: entry.threads,
            file_bytes: mapping.len(),
            ..Row::default()
        };
        let before = machine::memory();
        let start = Instant::now();
        let (tower, embedding) = match entry.runner {
            Runner::Own(engine) => {
                let mut tower = open(args, entry, engine, mapping)?;
                row.load_ms = milliseconds_since(start) + mapped;
                describe(args, &mut tower, &mut row)?;
                let start = Instant::now();
                let embedding = run(&mut tower)?;
                row.first_ms = milliseconds_since(start);
                let growth =
                    |before: machine::Memory| Some(machine::memory()?.resident.saturating_sub(before.resident));
                row.resident_bytes = before.and_then(growth);
                (tower, embedding)
            }
            Runner::Peer(name, command) => {
                let Some(folder) = folder else { bail!("{name} is a process of its own already") };
                let input = input_file(args, entry.path, mapping, &mut row, folder)?;
                let (peer, ready) = Peer::start(name, command, entry.path, entry.threads, &input)?;
                (row.load_ms, row.first_ms) = (ready.load_ms, ready.first_ms);
                row.start_ms = Some(ready.start_ms);
                row.peak_rss_bytes = machine::memory_of(&peer.id().to_string()).map(|memory| memory.peak);
                (Tower::Peer(peer), ready.output)
            }
        };
        row.scratch_bytes = match &tower {
            Tower::Image(tower) => tower.scratch_bytes(),
            Tower::Text(tower, _) => tower.scratch_bytes(),
            Tower::Peer(_) => None,
        };
        Ok(Candidate { entry, tower, row, times: Vec::new(), embedding })
    }

    /// Milliseconds of one run.
    pub fn time(&mut self) -> Result<f64> {
        let start = Instant::now();
        let time = match &mut self.tower {
            Tower::Peer(peer) => peer.run(),
            tower => run(tower).map(|_| milliseconds_since(start)),
        };
        time.with_context(|| self.entry.path.display().to_string())
    }
}

fn run(tower: &mut Tower<'_>) -> Result<Vec<f32>> {
    Ok(match tower {
        Tower::Image(tower) => tower.run()?.embedding.map(<[f32]>::to_vec).unwrap_or_default(),
        Tower::Text(tower, ids) => tower.embed_ids(ids)?.to_vec(),
        Tower::Peer(_) => Vec::new(),
    })
}

fn open<'a>(args: &LineupArgs, entry: Entry<'a>, engine: EngineName, mapping: &'a Mapping) -> Result<Tower<'a>> {
    if is_text(mapping)? {
        let tower = TextTower::open(mapping, entry.path, args.ort.engine(engine), entry.threads)?;
        let metadata = |key| File::parse(mapping).ok()?.metadata(key)?.trim().parse::<u32>().ok();
        let length = TEXT_TOKENS.min(tower.text().context());
        // What the tokens are does not matter for the time they take, but that the end comes last.
        let end = metadata("edgelip.eot").unwrap_or(1);
        let mut ids: Vec<u32> = (0..length as u32).map(|i| (i * 7 + 1) % end.max(1)).collect();
        if let Some(last) = ids.last_mut() {
            *last = end;
        }
        return Ok(Tower::Text(Box::new(tower), ids));
    }
    let tower = ImageTower::open(mapping, entry.path, &args.options(engine, entry.threads))?;
    Ok(Tower::Image(Box::new(tower)))
}

fn is_text(mapping: &Mapping) -> Result<bool> {
    Ok(File::parse(mapping)?.metadata("edgelip.tower") == Some("text"))
}

/// Gives an image tower the photo, or noise, and notes what kind of tower it is.
fn describe(args: &LineupArgs, tower: &mut Tower<'_>, row: &mut Row) -> Result<()> {
    let tower = match tower {
        Tower::Image(tower) => tower,
        Tower::Text(text, ids) => {
            (row.tower, row.tokens) = ("text".into(), Some(ids.len()));
            row.precision = text.text().file().metadata("edgelip.precision").map(str::to_string);
            return Ok(());
        }
        Tower::Peer(_) => return Ok(()),
    };
    row.tower = "vision".into();
    if let Some(vision) = tower.vision() {
        row.macs = Some(vision.plan().macs());
        row.tokens = Some(vision.plan().tokens());
        row.compression = Some(vision.plan().saving());
        row.precision = vision.file().metadata("edgelip.precision").map(str::to_string);
    }
    let Some(path) = &args.image else {
        noise(tower.pixels_mut());
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
    row.preprocess_ms = Summary::of(&mut times).map(|summary| summary.median);
    Ok(())
}

/// Writes what a peer is to run on: the very pixels that the own engines get, normalised.
fn input_file(args: &LineupArgs, path: &Path, mapping: &Mapping, row: &mut Row, folder: &Path) -> Result<PathBuf> {
    if is_text(mapping)? {
        bail!("peers run image towers");
    }
    let mut tower = Tower::Image(Box::new(ImageTower::open(mapping, path, &args.options(EngineName::Native, 1))?));
    describe(args, &mut tower, row)?;
    row.preprocess_ms = None;
    let Tower::Image(tower) = tower else { bail!("peers run image towers") };
    let [height, width] = tower.size();
    let mut values = vec![0.0; 3 * height * width];
    tower.preprocess().normalize(tower.pixels(), &mut values)?;
    let input = folder.join("pixel_values.npy");
    npy::write(&input, true, &[1, 3, height, width], &values)?;
    Ok(input)
}
