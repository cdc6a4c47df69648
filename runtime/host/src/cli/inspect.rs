//! `edgelip inspect`: what is in a model file.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use edgelip::engine::native;
use edgelip::threads::default_threads;
use edgelip_runtime::onnx::File;
use edgelip_runtime::plan::Merge;
use edgelip_runtime::{Readout, Score, Text, Vision};
use serde::Serialize;

use super::options::with_file;
use super::{Outcome, foreign, inspect_text, print_json};

/// Show what is in a model file
#[derive(clap::Args)]
#[command(after_help = "\
Shows the tower, its plan block by block, what compression saves, memory, preprocessing, labels and where the weights come from; \
of an ONNX file that is not edgelip's, what the native engine misses.

Example:
  edgelip inspect model.onnx")]
pub struct Args {
    /// An ONNX file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is in a file.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Report {
    /// An image tower.
    Vision(Box<VisionReport>),
    /// A text tower.
    Text(TextReport),
    /// Another ONNX model.
    Foreign(foreign::Report),
}

/// An image tower.
#[derive(Serialize)]
pub struct VisionReport {
    pub file: String,
    pub family: String,
    pub precision: String,
    pub tower: Tower,
    /// Height and width in pixels.
    pub image: [usize; 2],
    pub patch: usize,
    /// Channels of the convolutions that make the patches; empty for a patch embedding.
    pub stem: Vec<usize>,
    /// Multiply-adds from pixels to patches.
    pub embedding_macs: u64,
    pub frequency_blocks: usize,
    /// Multiply-adds of each frequency block.
    pub frequency_macs: u64,
    /// `spatial` or `joint`.
    pub readout: String,
    pub guide: Option<Guide>,
    pub compression: Compression,
    /// The transformer's blocks.
    pub plan: Vec<Block>,
    /// Multiply-adds of the whole tower.
    pub macs: u64,
    pub memory: Memory,
    pub preprocess: Preprocess,
    pub score: String,
    pub logit_scale: f32,
    pub logit_bias: f32,
    pub labels: Option<Vec<String>>,
    pub templates: Vec<String>,
    pub provenance: Provenance,
}

/// A text tower.
#[derive(Serialize)]
pub struct TextReport {
    pub file: String,
    pub family: String,
    pub precision: String,
    pub tower: Tower,
    pub context: usize,
    pub vocabulary: usize,
    pub end_token: String,
    pub tokenizer_bytes: usize,
    pub memory: Memory,
    pub provenance: Provenance,
}

/// A transformer's sizes.
#[derive(Serialize)]
pub struct Tower {
    pub width: usize,
    pub heads: usize,
    pub blocks: usize,
    pub mlp: usize,
    pub embedding: usize,
    pub activation: String,
}

/// What merging saves.
#[derive(Serialize)]
pub struct Compression {
    pub asked: Option<f64>,
    /// Share of the multiply-adds that is saved.
    pub saved: f64,
    pub merge: String,
    pub schedule: Vec<usize>,
}

/// What keeps informative tokens from merging.
#[derive(Serialize)]
pub struct Guide {
    pub strength: f32,
    /// Share of likeness to the image's summary; the rest is high-frequency energy's.
    pub semantic: f32,
}

/// One block of the plan.
#[derive(Serialize)]
pub struct Block {
    pub block: usize,
    pub tokens: usize,
    pub merged: usize,
    pub tokens_out: usize,
    pub macs: u64,
    pub merge_macs: u64,
}

/// Bytes.
#[derive(Serialize)]
pub struct Memory {
    pub file: usize,
    pub scratch: usize,
    /// Threads that the scratch is for.
    pub threads: usize,
}

/// Preprocessing, as the metadata spell it.
#[derive(Serialize)]
pub struct Preprocess {
    pub resize: String,
    pub filter: String,
    pub crop: String,
    pub centre: String,
    pub rescale: f64,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// Where a file comes from.
#[derive(Serialize)]
pub struct Provenance {
    pub source: Option<String>,
    pub source_sha256: Option<String>,
    pub licence: Option<String>,
    pub generator: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let name = args.file.display().to_string();
    let report = with_file(&args.file, |mapping| {
        let file = File::parse(mapping)?;
        Ok(match (file.metadata("edgelip.format"), file.metadata("edgelip.tower")) {
            (None, _) => Report::Foreign(foreign::report(name, &file)?),
            (_, Some("text")) => Report::Text(text(name, &Text::open(mapping, native::kernels())?)?),
            _ => Report::Vision(Box::new(vision(name, &Vision::open(mapping, native::kernels())?)?)),
        })
    })?;
    if args.json {
        print_json(out, &report)?;
    } else {
        inspect_text::print(&report, out)?;
    }
    Ok(Outcome::Done)
}

fn vision(file: String, vision: &Vision<'_>) -> Result<VisionReport> {
    let (plan, shape, preprocess) = (vision.plan(), vision.shape(), vision.preprocess());
    let metadata = |key| metadata(vision.file(), key);
    let threads = default_threads();
    let blocks = plan.blocks().enumerate().map(|(index, block)| Block {
        block: index,
        tokens: block.tokens,
        merged: block.merged,
        tokens_out: block.tokens_out,
        macs: block.macs,
        merge_macs: block.merge_macs,
    });
    let lines = |key| metadata(key).map(|text| text.split('\n').map(str::to_string).collect());
    Ok(VisionReport {
        file,
        family: metadata("edgelip.family").unwrap_or_default(),
        precision: metadata("edgelip.precision").unwrap_or_default(),
        tower: Tower {
            width: shape.width,
            heads: shape.heads,
            blocks: shape.blocks,
            mlp: shape.mlp,
            embedding: shape.embedding,
            activation: metadata("edgelip.activation").unwrap_or_default(),
        },
        image: shape.image,
        patch: shape.patch,
        stem: shape.stem.convolutions().map(|layer| layer.outputs).collect(),
        embedding_macs: plan.embedding_macs(),
        frequency_blocks: shape.frequency_blocks,
        frequency_macs: if shape.frequency_blocks == 0 { 0 } else { plan.frequency_macs() },
        readout: match vision.readout() {
            Readout::Spatial => "spatial",
            Readout::Joint => "joint",
        }
        .into(),
        guide: vision.guide().map(|guide| Guide { strength: guide.strength, semantic: guide.semantic }),
        compression: Compression {
            asked: metadata("edgelip.compression").and_then(|text| text.trim().parse().ok()),
            saved: plan.saving(),
            merge: match plan.merge() {
                Merge::None => "none",
                Merge::Ward => "ward",
                Merge::Tome => "tome",
            }
            .into(),
            schedule: plan.blocks().map(|block| block.merged).collect(),
        },
        plan: blocks.collect(),
        macs: plan.macs(),
        memory: Memory { file: vision.file().bytes().len(), scratch: 4 * vision.scratch_len(threads)?, threads },
        preprocess: Preprocess {
            resize: metadata("edgelip.preprocess.resize").unwrap_or_default(),
            filter: metadata("edgelip.preprocess.filter").unwrap_or_default(),
            crop: metadata("edgelip.preprocess.crop").unwrap_or_default(),
            centre: metadata("edgelip.preprocess.centre").unwrap_or_else(|| "floor".into()),
            rescale: preprocess.rescale,
            mean: preprocess.mean,
            std: preprocess.std,
        },
        score: match vision.score() {
            Score::Softmax => "softmax",
            Score::Sigmoid => "sigmoid",
        }
        .into(),
        logit_scale: vision.logit_scale(),
        logit_bias: vision.logit_bias(),
        labels: vision.labels().and_then(|_| lines("edgelip.labels")),
        // Of labels that all have prompts of their own the file says no template, by an empty value.
        templates: lines("edgelip.template").unwrap_or_default().into_iter().filter(|line| !line.is_empty()).collect(),
        provenance: provenance(vision.file()),
    })
}

fn text(file: String, text: &Text<'_>) -> Result<TextReport> {
    let metadata = |key| metadata(text.file(), key);
    let [width, heads, blocks, mlp] = text.dimensions();
    let threads = default_threads();
    let scratch = 4 * text.scratch_len(text.context(), threads)?;
    Ok(TextReport {
        file,
        family: metadata("edgelip.family").unwrap_or_default(),
        precision: metadata("edgelip.precision").unwrap_or_default(),
        tower: Tower {
            width,
            heads,
            blocks,
            mlp,
            embedding: text.embedding(),
            activation: metadata("edgelip.activation").unwrap_or_default(),
        },
        context: text.context(),
        vocabulary: text.vocabulary(),
        end_token: metadata("edgelip.eot").unwrap_or_default(),
        tokenizer_bytes: text.file().metadata("edgelip.tokenizer").map_or(0, str::len),
        memory: Memory { file: text.file().bytes().len(), scratch, threads },
        provenance: provenance(text.file()),
    })
}

fn metadata(file: &File<'_>, key: &str) -> Option<String> {
    file.metadata(key).map(str::to_string)
}

fn provenance(file: &File<'_>) -> Provenance {
    Provenance {
        source: metadata(file, "edgelip.source"),
        source_sha256: metadata(file, "edgelip.source_sha256"),
        licence: metadata(file, "edgelip.licence"),
        generator: metadata(file, "edgelip.generator"),
    }
}
