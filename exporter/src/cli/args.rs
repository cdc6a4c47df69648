//! What can be asked for, and which wishes contradict each other.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use edgelip_export::graph::{self, Precision};
use edgelip_export::layout;
use edgelip_export::layout::preprocess::Steps;
use edgelip_export::schedule::Shape;
use edgelip_export::source::{Activation, Guide, Merging, Score};

const EXAMPLES: &str = "\
Examples:
  edgelip-export clip-vit-base-patch16 --compression 0.5 --dry-run
      What would become of the model: tokens in each block, multiply-adds, bytes.
  edgelip-export clip-vit-base-patch16 -o model.onnx --compression 0.5 --labels labels.txt --templates openai-80
      Half of the arithmetic, and the labels of a file baked in.
  edgelip-export clip-vit-base-patch16 -o model.onnx --labels imagenet --templates openai-80
      The thousand classes of ImageNet, 80 prompts each, as CLIP is compared by.
  edgelip-export clip-vit-base-patch32 -o model.onnx --text text.onnx --precision int8
      Both towers, so that labels can be made on the board.
  edgelip-export mlip-tiny -o model.onnx --compression 0.5 --labels labels.txt --text-model minilm.onnx
      A checkpoint without a text tower of its own; merging as it was trained.
  edgelip-export vit_base.pt -o model.onnx --preprocess corenet --vocabulary vocab.pkl --wordnet /usr/share/wordnet --labels labels.txt
      CatLIP: no text tower, the labels are rows of its classifier.
  edgelip-export all-MiniLM-L6-v2 -o text.onnx --precision int8 --context 64
      A text tower by itself, for texts of up to 64 tokens.
  edgelip-export clip-vit-large-patch14 -o model.onnx --compression 0.3 --schedule calibrate:photos/
      Merging spread over the blocks as suits these photos best.
  edgelip-export check-ops model.onnx --for tensorrt
      Which nodes of any ONNX file an accelerator won't take; see its --help.

Exit status: 0 written and verified, 1 verified and not near enough to the checkpoint (nothing is written), 2 anything else.";

/// Turns a trained image-text checkpoint into one ONNX file that boards execute in place.
#[derive(Debug, Parser)]
#[command(name = "edgelip-export", version, after_help = EXAMPLES)]
pub struct Args {
    /// The checkpoint: a folder of weights and configurations, or a file of weights beside its configurations. Layouts are told apart by
    /// what is there: CLIP of Hugging Face, open_clip or OpenAI, a BERT of sentence-transformers, and others
    pub checkpoint: PathBuf,

    /// Where to write the image tower, or the text tower if the checkpoint has no other
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Where to write the text tower, which turns words into labels on the board
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,

    /// Share of the image tower's multiply-adds to save by merging tokens, from 0 (the original model) to less than 1
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub compression: Option<f64>,

    /// How tokens to merge are chosen [default: the checkpoint's, else ward]
    #[arg(long, value_enum)]
    pub merge: Option<MergeRule>,

    /// How strongly merging keeps informative tokens apart; 0 is unguided [default: what the checkpoint was trained with, else 0]
    #[arg(long, value_name = "STRENGTH", allow_negative_numbers = true)]
    pub guide: Option<f32>,

    /// The guide's share of likeness to what the image shows as a whole, from 0 to 1; the rest is high-frequency energy [default: the
    /// checkpoint's, else 0.5]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub guide_semantic: Option<f32>,

    /// How merging is spread over the blocks: auto, geo, constant, decreasing, list:8,8,… (tokens merged in each block) or calibrate:FOLDER
    /// (tried on photos) [default: the checkpoint's, else auto]
    #[arg(long, value_name = "SHAPE")]
    pub schedule: Option<String>,

    /// Side of the images in pixels, if not the checkpoint's own
    #[arg(long, value_name = "PIXELS")]
    pub image_size: Option<usize>,

    /// Longest text in tokens, start and end included, if not the checkpoint's own: cuts the position table of a BERT
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<usize>,

    /// What pixels go through, if the checkpoint doesn't say or says it wrong: clip, siglip, clipa, mobileclip, corenet, vit or imagenet, and
    /// with commas behind it what is different: shortest, squash, bilinear, bicubic, resize=PIXELS
    #[arg(long, value_name = "FAMILY")]
    pub preprocess: Option<Steps>,

    /// Activation of the MLPs, if the checkpoint doesn't say or says it wrong
    #[arg(long, value_enum)]
    pub activation: Option<MlpActivation>,

    /// The tokenizer, if it does not lie beside the weights: a folder, a tokenizer.json, or CLIP's bpe_simple_vocab_16e6.txt.gz
    #[arg(long, value_name = "FOLDER|FILE")]
    pub tokenizer: Option<PathBuf>,

    /// Labels to bake in: one a line, CSV, a JSON list, or a JSON object of labels and prompts; or the known set imagenet, the thousand
    /// classes of ImageNet (./imagenet is a file of that name)
    #[arg(long, value_name = "FILE|SET")]
    pub labels: Option<PathBuf>,

    /// What the rows of a checkpoint's classifier are called, which then are its labels (or those of --labels are): labels in a file, the
    /// known set imagenet, lines that begin with synsets such as n02958343, or CatLIP's pickled vocabulary
    #[arg(long, value_name = "FILE|SET")]
    pub vocabulary: Option<PathBuf>,

    /// WordNet 3.0's noun files, for the names of a vocabulary's synsets; --labels then finds rows by the first sense of a noun too
    #[arg(long, value_name = "FOLDER")]
    pub wordnet: Option<PathBuf>,

    /// How logits become scores [default: the checkpoint's; for a classifier softmax, but sigmoid for a vocabulary of synsets, as CatLIP]
    #[arg(long, value_enum)]
    pub score: Option<Scores>,

    /// A text tower that was exported already, to make the labels with; for a checkpoint that has none of its own
    #[arg(long, value_name = "FILE", requires = "labels", conflicts_with = "text")]
    pub text_model: Option<PathBuf>,

    /// A prompt with {} for the label; may be repeated, the embeddings are averaged [default: "a photo of a {}."]
    #[arg(long, value_name = "PROMPT")]
    pub template: Vec<String>,

    /// Prompts from a file, one a line, or a known set: openai-80 (also imagenet-80), simple-7, photo, none
    #[arg(long, value_name = "FILE|SET")]
    pub templates: Option<String>,

    /// How weights are stored
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: Weights,

    /// Licence of the weights, noted in the file
    #[arg(long, value_name = "TEXT")]
    pub licence: Option<String>,

    /// Only say what would be written
    #[arg(long)]
    pub dry_run: bool,

    /// Write without holding the file against the checkpoint
    #[arg(long)]
    pub no_verify: bool,

    /// Replace files that exist
    #[arg(long)]
    pub force: bool,

    /// Threads for whatever runs the model [default: one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// How tokens to merge are chosen.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MergeRule {
    /// Ward's criterion on keys and tokens; the more accurate one
    Ward,
    /// As in Token Merging (Bolya et al.); the cheaper one
    Tome,
}

/// Activation of the MLPs.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum MlpActivation {
    /// By the error function, as in most of open_clip's models
    Gelu,
    /// x · sigmoid(1.702 x), as in OpenAI's models
    QuickGelu,
}

/// How logits become scores.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Scores {
    /// One label is right: scores sum up to 1
    Softmax,
    /// Each label is right or not, whatever the others are
    Sigmoid,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Weights {
    /// 32-bit floating point: the checkpoint's own arithmetic
    F32,
    /// 16-bit floating point: half the bytes
    F16,
    /// 8-bit integers: a quarter of the bytes, integer arithmetic
    #[value(alias = "i8")]
    Int8,
}

/// Where the schedule comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Computed.
    Shape(Shape),
    /// Tried on the photos of a folder.
    Calibrate(PathBuf),
}

impl Args {
    /// Refuses wishes that contradict each other or have no effect.
    pub fn check(self) -> Result<Args> {
        let writes = self.output.is_some() || self.text.is_some();
        ensure!(
            writes || self.dry_run,
            "nothing to write: give -o FILE for the image tower, --text FILE for the text tower, or --dry-run"
        );
        if let (Some(output), Some(text)) = (&self.output, &self.text) {
            ensure!(!same_file(output, text), "-o and --text are the same file");
        }
        if !self.wants_vision()
            && let Some(name) = self.about_vision()
        {
            bail!("{name} is about the image tower: give -o FILE too");
        }
        if self.labels.is_none() {
            ensure!(self.template.is_empty(), "--template needs --labels");
            ensure!(self.templates.is_none(), "--templates needs --labels");
        }
        ensure!(self.template.is_empty() || self.templates.is_none(), "give either --template or --templates");
        ensure!(
            self.threads.is_none_or(|threads| (1..=edgelip::threads::MAX_THREADS).contains(&threads)),
            "--threads must be from 1 to {}",
            edgelip::threads::MAX_THREADS
        );
        ensure!(
            self.guide.is_none_or(|strength| strength.is_finite() && strength >= 0.0),
            "--guide must be 0 or more, such as 0.3"
        );
        ensure!(
            self.guide_semantic.is_none_or(|share| (0.0..=1.0).contains(&share)),
            "--guide-semantic must be from 0 to 1"
        );
        let by_list = matches!(self.schedule()?, Some(Schedule::Shape(Shape::List(_))));
        if self.compression.unwrap_or(0.0) == 0.0 && !by_list {
            ensure!(
                self.schedule.is_none(),
                "--schedule needs --compression above 0 (or is list:…, which says all itself)"
            );
            let idle = [
                ("--merge", self.merge.is_some()),
                ("--guide", self.guide.is_some()),
                ("--guide-semantic", self.guide_semantic.is_some()),
            ];
            if let Some((name, _)) = idle.into_iter().find(|&(_, given)| given) {
                bail!("{name} needs --compression above 0, or --schedule list:…");
            }
        }
        Ok(self)
    }

    /// An option that only an image tower can follow.
    fn about_vision(&self) -> Option<&'static str> {
        let options = [
            ("--compression", self.compression.is_some()),
            ("--merge", self.merge.is_some()),
            ("--guide", self.guide.is_some()),
            ("--guide-semantic", self.guide_semantic.is_some()),
            ("--schedule", self.schedule.is_some()),
            ("--image-size", self.image_size.is_some()),
            ("--preprocess", self.preprocess.is_some()),
            ("--labels", self.labels.is_some()),
            ("--vocabulary", self.vocabulary.is_some()),
            ("--wordnet", self.wordnet.is_some()),
            ("--score", self.score.is_some()),
        ];
        options.into_iter().find(|&(_, given)| given).map(|(name, _)| name)
    }

    /// The checkpoint turns out to have a text tower and no other: `-o` names that one's file then.
    pub fn take_text_only(&mut self) -> Result<()> {
        if let Some(name) = self.about_vision() {
            bail!("{name} is about the image tower, which the checkpoint lacks");
        }
        ensure!(
            self.output.is_none() || self.text.is_none(),
            "the checkpoint lacks an image tower: give -o or --text for its text tower, not both"
        );
        self.text = self.text.take().or(self.output.take());
        Ok(())
    }

    /// Whether the image tower is asked for.
    pub fn wants_vision(&self) -> bool {
        self.output.is_some() || self.text.is_none() || self.dry_run
    }

    /// The schedule asked for, if any.
    pub fn schedule(&self) -> Result<Option<Schedule>> {
        let Some(text) = &self.schedule else { return Ok(None) };
        match text.strip_prefix("calibrate:") {
            Some("") => bail!("calibrate:FOLDER needs a folder of photos"),
            Some(folder) => Ok(Some(Schedule::Calibrate(folder.into()))),
            None => Ok(Some(Schedule::Shape(text.parse()?))),
        }
    }

    /// The merging rule and the guide asked for, else those of the checkpoint.
    pub fn merging(&self, own: &Merging) -> Result<(graph::Merge, Guide)> {
        let rule = match self.merge {
            None => own.rule,
            Some(MergeRule::Ward) => graph::Merge::Ward,
            Some(MergeRule::Tome) => graph::Merge::Tome,
        };
        let guide = Guide {
            strength: self.guide.unwrap_or(own.guide.strength),
            semantic: self.guide_semantic.unwrap_or(own.guide.semantic),
        };
        ensure!(guide.strength > 0.0 || self.guide_semantic.is_none(), "--guide-semantic needs --guide above 0");
        Ok((rule, guide))
    }

    /// What is known of the checkpoint.
    pub fn layout(&self) -> layout::Options {
        let activation = self.activation.map(|activation| match activation {
            MlpActivation::Gelu => Activation::Gelu,
            MlpActivation::QuickGelu => Activation::QuickGelu,
        });
        layout::Options { preprocess: self.preprocess.clone(), activation, tokenizer: self.tokenizer.clone() }
    }

    /// How logits become scores, if that is asked for.
    pub fn score(&self) -> Option<Score> {
        self.score.map(|score| match score {
            Scores::Softmax => Score::Softmax,
            Scores::Sigmoid => Score::Sigmoid,
        })
    }

    /// The precision asked for.
    pub fn precision(&self) -> Precision {
        match self.precision {
            Weights::F32 => Precision::F32,
            Weights::F16 => Precision::F16,
            Weights::Int8 => Precision::I8,
        }
    }

    /// The threads asked for.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(edgelip::threads::default_threads)
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some((folder.canonicalize().ok()?, path.file_name()?.to_owned()))
    };
    a == b || place(a).is_some_and(|a| Some(a) == place(b))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
