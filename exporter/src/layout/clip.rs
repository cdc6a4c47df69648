//! CLIP as Hugging Face's transformers lays it out, and MLIP, whose trainer keeps to its names.

use std::collections::BTreeMap;
use std::path::Path;

use super::clip_config::{self, Towers};
use super::fields::Fields;
use super::mlip;
use super::tensors::{Expected, match_tensors, push, push_pair};
use super::{position, preprocess, tokenizer};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{ModelConfig, Provenance, Source, Tensor, TextConfig, TextPooling, VisionConfig};

/// A CLIP or MLIP checkpoint all of whose tensors are there and agree with its configuration.
#[derive(Debug)]
pub struct Clip {
    checkpoint: Checkpoint,
    model: ModelConfig,
    /// Canonical name to the checkpoint's.
    names: BTreeMap<String, String>,
    /// Patches along height and width of the stored position embedding.
    grid: [usize; 2],
}

impl Clip {
    /// Opens a folder with `config.json`, `preprocessor_config.json` and weights, and checks that they fit together.
    ///
    /// A tower of which the weights hold no tensor counts as absent (`CLIPVisionModelWithProjection`, `CLIPTextModelWithProjection`).
    ///
    /// # Errors
    /// [`Error::Config`] for settings that are not supported; [`Error::Tensors`] listing every tensor that is missing, not known or of
    /// another shape than the configuration says; those of [`Checkpoint::open`].
    pub fn open(folder: &Path) -> Result<Clip, Error> {
        let checkpoint = Checkpoint::open(folder)?;
        let towers = clip_config::towers(&Fields::read(&folder.join("config.json"))?)?;
        let prefix = prefix(&checkpoint);
        let holds = |tower: &str| {
            checkpoint.names().any(|name| name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(tower)))
        };
        let Towers { family, vision, text, embedding, logit_scale } = towers;
        let neither = !holds("vision_model.") && !holds("text_model.");
        let vision = vision.filter(|_| neither || holds("vision_model.") || holds("visual_projection."));
        let text = text.filter(|_| holds("text_model.") || holds("text_projection."));

        let mut expected = Vec::new();
        if let Some(vision) = &vision {
            vision_tensors(vision, embedding, &mut expected);
        }
        if let Some(text) = &text {
            text_tensors(text, embedding, &mut expected);
        }
        if vision.is_some() && text.is_some() {
            expected.push(Expected { canonical: "logit_scale".into(), name: "logit_scale".into(), shape: vec![] });
        }
        let ignored = |name: &str| {
            name.ends_with(".position_ids") || name == "logit_scale" || family == "mlip" && mlip::is_training_only(name)
        };
        let names = match_tensors(&checkpoint, &prefix, expected, &family.to_uppercase(), ignored)?;

        let preprocess = match &vision {
            Some(vision) => Some(preprocess::read(folder, vision.image_size)?),
            None => None,
        };
        let grid = vision.as_ref().map_or([0; 2], VisionConfig::grid);
        let source = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let mut model = ModelConfig {
            family: family.into(),
            embedding,
            vision,
            text,
            preprocess,
            logit_scale: logit_scale.exp() as f32,
            logit_bias: 0.0,
            provenance: Provenance { source, sha256: None, licence: None },
        };
        if let Some(name) = names.get("logit_scale") {
            let stored = checkpoint.tensor(name)?;
            let scale = stored.data.first().map_or(f32::NAN, |scale| scale.exp());
            if !scale.is_finite() {
                return Err(Error::Tensors {
                    path: folder.into(),
                    problems: vec![format!("`{name}` is {:?}", stored.data)],
                });
            }
            model.logit_scale = scale;
        }
        Ok(Clip { checkpoint, model, names, grid })
    }

    /// The weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Parameters of a tower, `vision` or `text`.
    pub fn parameters(&self, tower: &str) -> u64 {
        let of_tower = self.names.iter().filter(|(canonical, _)| canonical.split('.').next() == Some(tower));
        of_tower
            .filter_map(|(_, name)| self.checkpoint.shape(name))
            .map(|shape| shape.iter().product::<usize>() as u64)
            .sum()
    }

    /// Where the weights come from, to be completed.
    pub fn provenance_mut(&mut self) -> &mut Provenance {
        &mut self.model.provenance
    }

    /// Takes images of another size: the position embedding is interpolated, resizing and cropping follow.
    ///
    /// # Errors
    /// [`Error::Config`] if `side` is not a multiple of the patch size, or the tower has a frequency stage, whose filters are for one grid.
    pub fn set_image_size(&mut self, side: usize) -> Result<(), Error> {
        self.model.vision()?;
        let (Some(vision), Some(preprocess)) = (&mut self.model.vision, &mut self.model.preprocess) else {
            return Err(Error::NoTower("an image"));
        };
        if vision.frequency_blocks > 0 && vision.image_size != [side; 2] {
            let [own, _] = vision.image_size;
            let reason = format!(
                "{side}, but the filters of the frequency stage are for images of {own}: leave --image-size out"
            );
            return Err(Error::config(self.checkpoint.folder(), "image size", reason));
        }
        if side == 0 || !side.is_multiple_of(vision.patch) {
            let below = side / vision.patch * vision.patch;
            let nearest =
                if below == 0 { format!("{}", vision.patch) } else { format!("{below} or {}", below + vision.patch) };
            let reason = format!("{side} is not a multiple of the patch size {}: try {nearest}", vision.patch);
            return Err(Error::config(self.checkpoint.folder(), "image size", reason));
        }
        preprocess::rescale(preprocess, vision.image_size, side);
        vision.image_size = [side; 2];
        Ok(())
    }

    /// The tokenizer as the text of a `tokenizer.json`, and the end token made sure of.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming the tokenizer's file, [`Error::Config`] if its end token is not the configuration's.
    pub fn tokenizer(&mut self) -> Result<String, Error> {
        self.model.text()?;
        let folder = self.checkpoint.folder();
        let (json, end, size) = tokenizer::read(folder)?;
        let config = folder.join("config.json");
        let Some(text) = &mut self.model.text else { return Err(Error::NoTower("a text")) };
        if size > text.vocabulary {
            let reason = format!("{}, but the tokenizer has {size} tokens", text.vocabulary);
            return Err(Error::config(config, "vocab_size", reason));
        }
        match text.pooling {
            TextPooling::EotArgmax => text.eot = end,
            TextPooling::EotFirst if text.eot != end => {
                let reason = format!("{}, but texts end with token {end} of the tokenizer", text.eot);
                return Err(Error::config(config, "eos_token_id", reason));
            }
            TextPooling::EotFirst | TextPooling::Mean => {}
        }
        Ok(json)
    }
}

impl Source for Clip {
    fn model(&self) -> &ModelConfig {
        &self.model
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let stored = self.names.get(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        let mut tensor = self.checkpoint.tensor(stored)?;
        if name == "vision.position" {
            let vision = self.model.vision()?;
            if vision.grid() != self.grid {
                tensor.data = position::interpolate(&tensor.data, vision.width, self.grid, vision.grid());
                tensor.shape[0] = vision.tokens();
            }
        }
        if name == "logit_scale" {
            tensor.shape.clear();
        }
        Ok(tensor)
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
}

/// What stands before `vision_model.` or `text_model.` in the names, such as `clip.`.
fn prefix(checkpoint: &Checkpoint) -> String {
    let before = |name: &str| {
        ["vision_model.", "text_model."].iter().find_map(|tower| {
            let (before, _) = name.split_once(tower)?;
            (before.is_empty() || before.ends_with('.')).then(|| before.to_owned())
        })
    };
    checkpoint.names().find_map(before).unwrap_or_default()
}

fn vision_tensors(vision: &VisionConfig, embedding: usize, expected: &mut Vec<Expected>) {
    let (width, patch) = (vision.width, vision.patch);
    let embeddings = "vision_model.embeddings";
    if vision.stem.is_empty() {
        push(
            expected,
            "vision.patch.weight".into(),
            format!("{embeddings}.patch_embedding.weight"),
            &[width, 3, patch, patch],
        );
    }
    mlip::tensors(vision, embedding, expected);
    push(expected, "vision.class".into(), format!("{embeddings}.class_embedding"), &[width]);
    push(
        expected,
        "vision.position".into(),
        format!("{embeddings}.position_embedding.weight"),
        &[vision.tokens(), width],
    );
    push_pair(expected, "vision.pre_norm", "vision_model.pre_layrnorm", &[width]);
    block_tensors("vision", "vision_model", vision.blocks, width, vision.mlp, expected);
    push_pair(expected, "vision.post_norm", "vision_model.post_layernorm", &[width]);
    push(expected, "vision.projection.weight".into(), "visual_projection.weight".into(), &[embedding, width]);
}

fn text_tensors(text: &TextConfig, embedding: usize, expected: &mut Vec<Expected>) {
    let width = text.width;
    let embeddings = "text_model.embeddings";
    push(
        expected,
        "text.token.weight".into(),
        format!("{embeddings}.token_embedding.weight"),
        &[text.vocabulary, width],
    );
    push(expected, "text.position".into(), format!("{embeddings}.position_embedding.weight"), &[text.context, width]);
    block_tensors("text", "text_model", text.blocks, width, text.mlp, expected);
    push_pair(expected, "text.final_norm", "text_model.final_layer_norm", &[width]);
    push(expected, "text.projection.weight".into(), "text_projection.weight".into(), &[embedding, width]);
}

fn block_tensors(tower: &str, model: &str, blocks: usize, width: usize, mlp: usize, expected: &mut Vec<Expected>) {
    for block in 0..blocks {
        let (ours, theirs) = (format!("{tower}.blocks.{block}"), format!("{model}.encoder.layers.{block}"));
        push_pair(expected, &format!("{ours}.norm1"), &format!("{theirs}.layer_norm1"), &[width]);
        for projection in ["q", "k", "v", "out"] {
            push_pair(
                expected,
                &format!("{ours}.{projection}"),
                &format!("{theirs}.self_attn.{projection}_proj"),
                &[width, width],
            );
        }
        push_pair(expected, &format!("{ours}.norm2"), &format!("{theirs}.layer_norm2"), &[width]);
        push_pair(expected, &format!("{ours}.fc1"), &format!("{theirs}.mlp.fc1"), &[mlp, width]);
        push_pair(expected, &format!("{ours}.fc2"), &format!("{theirs}.mlp.fc2"), &[width, mlp]);
    }
}

#[cfg(test)]
#[path = "clip_tests.rs"]
mod tests;
