//! `edgelip embed`: images or texts to vectors.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use edgelip::output::Output;
use edgelip::text_batch::Worker;
use edgelip::{ImageTower, Mapping, TextTower, npy};

use super::Outcome;
use super::options::{EngineArgs, ForeignArgs, at, options, with_file};
use super::picture::{self, PictureArgs};
use super::progress::Progress;
use super::tokenize::read_texts;

/// Write the embeddings of images or texts as a NumPy file
#[derive(clap::Args)]
#[command(after_help = "\
The rows [n, E] are f32, l2-normalised, in the order of the input; an input that can't be read ends the command without output.

Examples:
  edgelip embed *.jpg --model model.onnx -o images.npy
  edgelip embed --texts captions.txt --model text.onnx -o texts.npy")]
pub struct Args {
    /// JPEG, PNG or WebP files; - is standard input
    #[arg(value_name = "IMAGE", required_unless_present = "texts", conflicts_with = "texts")]
    images: Vec<PathBuf>,

    /// A file of texts: one a line (an empty line is an empty text), or a JSON list
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,

    /// The image tower, or the text tower for --texts
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,

    /// The NumPy file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace the output if it exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    picture: PictureArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    foreign: ForeignArgs,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    Output::check(&args.output, args.force)?;
    let rows = match &args.texts {
        Some(file) => texts(args, file)?,
        None => images(args)?,
    };
    let count = args.texts.as_ref().map_or(args.images.len(), |_| rows.count);
    let width = rows.values.len().checked_div(count).unwrap_or(0);
    npy::write(&args.output, args.force, &[count, width], &rows.values)?;
    writeln!(out, "{}: [{count}, {width}] f32", args.output.display())?;
    Ok(Outcome::Done)
}

/// Embeddings, one after the other.
struct Rows {
    count: usize,
    values: Vec<f32>,
}

fn texts(args: &Args, file: &Path) -> Result<Rows> {
    let lines = read_texts(file)?;
    if lines.is_empty() {
        bail!("{}: no texts", file.display());
    }
    if args.foreign.preprocess.is_some() {
        bail!("--preprocess is for images");
    }
    let threads = args.engine.threads()?;
    with_file(&args.model, |mapping| {
        let mut tower = TextTower::open(mapping, &args.model, args.engine.engine()?, threads)?;
        let progress = Progress::new("texts", lines.len());
        let width = tower.text().embedding();
        let (mut values, mut done) = (vec![0.0; lines.len() * width], 0);
        let row = |index: usize, worker: &mut Worker<'_>| worker.embed(&lines[index]).map(<[f32]>::to_vec);
        tower.each(lines.len(), row, |index, row| {
            values[index * width..][..width].copy_from_slice(&row);
            done += 1;
            progress.at(done);
        })?;
        Ok(Rows { count: lines.len(), values })
    })
}

fn images(args: &Args) -> Result<Rows> {
    let options = options(&args.engine, &args.foreign)?;
    let mapping = Mapping::open(&args.model)?;
    let mut tower = at(&args.model, ImageTower::open(&mapping, &args.model, &options))?;
    let progress = Progress::new("images", args.images.len());
    let mut values = Vec::new();
    for (index, path) in args.images.iter().enumerate() {
        let image = args.picture.read(path)?;
        tower.load(image.view()).map_err(|error| picture::failed(path, error))?;
        drop(image);
        let output = tower.run().map_err(|error| picture::failed(path, error))?;
        let Some(row) = output.embedding else {
            bail!("{}: the graph gives logits, no embedding", args.model.display());
        };
        values.extend_from_slice(row);
        progress.at(index + 1);
    }
    Ok(Rows { count: args.images.len(), values })
}
