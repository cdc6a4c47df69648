//! Which layout a checkpoint has.

use std::path::{Path, PathBuf};

use super::fields::Fields;
use super::{Options, Parts, bert, bert_config, clip, corenet, dual, open_clip, siglip, timm};
use crate::checkpoint::Checkpoint;
use crate::error::Error;

/// A layout: its name, how it is known, and the module that reads it.
pub(super) struct Row {
    /// What people call it.
    pub(super) name: &'static str,
    is: fn(&Found) -> bool,
    pub(super) open: fn(&Found) -> Result<Parts, Error>,
}

/// Every layout there is; the first that a checkpoint is like is taken.
const LAYOUTS: &[Row] = &[
    Row {
        name: "sentence-transformers BERT",
        is: |found| {
            found.lies("modules.json") && !found.model_type.starts_with("clip")
                || ["bert", "distilbert"].contains(&found.model_type.as_str())
        },
        open: bert::open,
    },
    Row { name: "OpenAI CLIP", is: is_openai, open: open_clip::open_openai },
    Row {
        name: "open_clip",
        is: |found| {
            found.has(open_clip::CONVOLUTION) && found.holds(RESIDUAL_BLOCKS) || found.holds("visual.trunk.blocks.")
        },
        open: open_clip::open,
    },
    Row { name: "timm ViT", is: |found| found.has(timm::FUSED) || !found.architecture.is_empty(), open: timm::open },
    Row { name: "MobileCLIP-B", is: corenet::is_mobile, open: corenet::open },
    Row { name: "corenet ViT", is: corenet::is, open: corenet::open },
    Row { name: "MLIP of edgelip-train", is: |found| found.model_type == "mlip", open: clip::open },
    Row { name: "CatLIP of edgelip-train", is: |found| found.model_type == "catlip", open: clip::open },
    Row { name: "Hugging Face dual encoder", is: |found| found.model_type == dual::MODEL_TYPE, open: dual::open },
    Row {
        name: "Hugging Face SigLIP",
        is: |found| siglip::MODEL_TYPES.contains(&found.model_type.as_str()),
        open: siglip::open,
    },
    Row {
        name: "Hugging Face CLIP",
        is: |found| {
            ["clip", "clip_vision_model", "clip_text_model"].contains(&found.model_type.as_str())
                || found.model_type.is_empty() && found.holds("_model.encoder.layers.")
        },
        open: clip::open,
    },
];

/// In the names of transformers of OpenAI's and open_clip's own.
const RESIDUAL_BLOCKS: &str = "visual.transformer.resblocks.";

/// Image towers that are no transformers, by a part of a tensor's name: merging has no tokens to work on there.
const HYBRIDS: &[(&str, &str)] = &[
    ("visual.layer1.", "a ResNet"),
    ("visual.trunk.stages.", "a convolutional hybrid (MobileCLIP S0–S2, FastViT, ConvNeXt)"),
    ("visual.trunk.stem.", "a convolutional hybrid"),
    ("image_encoder.model.network.", "a convolutional hybrid (MobileCLIP S0–S2)"),
];

/// Tensors named in an error.
const NAMED: usize = 5;

/// An archive as OpenAI published it, or its state dict: the numbers beside the weights are in no other.
fn is_openai(found: &Found) -> bool {
    let told = found.checkpoint.is_script() || open_clip::NUMBERS.iter().any(|number| found.has(number));
    told && found.holds(RESIDUAL_BLOCKS)
}

/// A checkpoint whose layout is to be found out.
pub(super) struct Found {
    /// The folder or file that was given.
    pub(super) path: PathBuf,
    /// Where its configurations lie.
    pub(super) folder: PathBuf,
    pub(super) checkpoint: Checkpoint,
    /// What `config.json` says, if anything.
    pub(super) model_type: String,
    /// The name that timm's `config.json` has for a model, if it is one.
    pub(super) architecture: String,
    pub(super) options: Options,
}

impl Found {
    /// Opens the weights and looks what lies beside them.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Found, Error> {
        let modules = bert_config::modules(path)?;
        let mut checkpoint = Checkpoint::open(&modules.transformer)?;
        if let Some(dense) = &modules.dense {
            checkpoint.join(Checkpoint::open(dense)?, bert::DENSE);
        }
        let folder = checkpoint.folder().to_path_buf();
        let config = folder.join("config.json");
        let config = if config.exists() { Fields::read(&config)? } else { Fields::default() };
        let (model_type, architecture) = (config.text("model_type", "")?, config.text("architecture", "")?);
        Ok(Found { path: path.into(), folder, checkpoint, model_type, architecture, options: options.clone() })
    }

    /// Whether a file lies in the folder that was given.
    pub(super) fn lies(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.checkpoint.shape(name).is_some()
    }

    /// Whether some tensor has `part` in its name.
    pub(super) fn holds(&self, part: &str) -> bool {
        self.checkpoint.names().any(|name| name.contains(part))
    }

    /// The layout.
    pub(super) fn row(&self) -> Result<&'static Row, Error> {
        if let Some(row) = LAYOUTS.iter().find(|row| (row.is)(self)) {
            return Ok(row);
        }
        let names: Vec<String> = self.checkpoint.names().take(NAMED).map(|name| format!("`{name}`")).collect();
        let known: Vec<&str> = LAYOUTS.iter().map(|row| row.name).collect();
        let what = match HYBRIDS.iter().find(|(part, _)| self.holds(part)) {
            Some((_, what)) => format!("its image tower is {what}, which has no tokens to merge"),
            None if self.model_type.is_empty() => "is of no layout that is known".into(),
            None => format!("model_type `{}` in config.json is not supported", self.model_type),
        };
        let reason =
            format!("{what}; supported are {}; the first tensors here are {}", known.join(", "), names.join(", "));
        Err(Error::malformed(&self.path, reason))
    }
}
