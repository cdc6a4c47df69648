//! `edgelip labels`: gives a model labels, or other ones.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use edgelip::label_set::LabelSet;
use edgelip::onnx::{OnnxModel, attach_labels};
use edgelip::output::Output;
use edgelip::{Mapping, engine::native};
use edgelip_runtime::{Text, Vision};

use super::Outcome;
use super::options::{EngineArgs, TemplateArgs, at, make_bank, with_file};

/// Give a model labels, or replace them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  edgelip labels --model model.onnx --text text.onnx cat dog \"red apple\" -o pets.onnx
  edgelip labels --model model.onnx --text text.onnx --file labels.txt --template \"a photo of a {}.\" --template \"a drawing of a {}.\" -o model.onnx --force
  edgelip labels --model model.onnx --text text.onnx --file imagenet --templates openai-80 -o imagenet.onnx")]
pub struct Args {
    /// Label names
    #[arg(value_name = "NAME", required_unless_present = "file")]
    names: Vec<String>,

    /// A file of labels: one a line, CSV, or JSON (a list of names, or an object of names and prompts); or the known set imagenet, the
    /// thousand classes of ImageNet (./imagenet is a file of that name)
    #[arg(short, long, value_name = "FILE|SET", conflicts_with = "names")]
    file: Option<PathBuf>,

    /// The image tower
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,

    /// The text tower
    #[arg(long, value_name = "FILE")]
    text: PathBuf,

    #[command(flatten)]
    templates: TemplateArgs,

    /// The image tower with its labels
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace the output if it exists; it may be the model itself
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let set = match &args.file {
        Some(file) => LabelSet::resolve(file)?,
        None => LabelSet::from_names("labels", &args.names)?,
    };
    let templates = args.templates.read()?;
    Output::check(&args.output, args.force)?;
    let mapping = Mapping::open(&args.model)?;
    let vision = at(&args.model, Vision::open(&mapping, native::kernels()))?;
    let width = with_file(&args.text, |text| Ok(Text::open(text, native::kernels())?.embedding()))?;
    let embedding = vision.shape().embedding;
    if width != embedding {
        bail!(
            "the embeddings of {} have {embedding} values, those of {} have {width}: they do not belong together",
            args.model.display(),
            args.text.display()
        );
    }
    let bank = make_bank(&args.text, &set, &templates, &args.engine)?;
    let mut model = at(&args.model, OnnxModel::read(&mapping))?;
    let (scale, bias) = (vision.logit_scale(), vision.logit_bias());
    attach_labels(&mut model, bank.names(), bank.rows(), embedding, scale, bias, bank.templates())?;
    let mut output = Output::create(&args.output, args.force)?;
    at(&args.output, model.write(&mut output))?;
    let written = Mapping::open(output.draft()?)?;
    Vision::open(&written, native::kernels()).context("the file just written can't be opened again")?;
    output.commit()?;
    let (count, path) = (set.labels().len(), args.output.display());
    writeln!(out, "{path}: {count} label{}", if count == 1 { "" } else { "s" })?;
    writeln!(out, "next: edgelip classify IMAGE --model {path}")?;
    Ok(Outcome::Done)
}
