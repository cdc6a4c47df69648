//! CLIP as Hugging Face's transformers lays it out, and MLIP and CatLIP, whose trainer keeps to its names.

use super::clip_config::{self, Towers};
use super::detect::Found;
use super::fields::Fields;
use super::tensors::{Expected, View, match_tensors, push, push_pair, push_view};
use super::{Parts, Words, mlip, position, preprocess};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{ModelConfig, Provenance, TextConfig, VisionConfig};

/// Reads a folder with `config.json`, `preprocessor_config.json` and weights.
///
/// A tower of which the weights hold no tensor counts as absent (`CLIPVisionModelWithProjection`, `CLIPTextModelWithProjection`).
///
/// # Errors
/// [`Error::Config`] for settings that are not supported; [`Error::Tensors`] listing every tensor that is missing, not known or of
/// another shape than the configuration says.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let checkpoint = &found.checkpoint;
    let path = found.folder.join("config.json");
    let towers = clip_config::towers(&Fields::read(&path)?)?;
    let prefix = prefix(checkpoint);
    let holds = |tower: &str| {
        checkpoint.names().any(|name| name.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(tower)))
    };
    let Towers { family, vision, text, embedding, logit_scale } = towers;
    let neither = !holds("vision_model.") && !holds("text_model.");
    if neither && found.has("embeddings.position_embedding.weight") {
        let class = if found.has("embeddings.class_embedding") { "CLIPVisionModel" } else { "CLIPTextModel" };
        let problem = format!(
            "is a {class}, which lacks the projection into the space of images and texts: save a {class}WithProjection or a CLIPModel"
        );
        return Err(Error::tensors(checkpoint.path(), problem));
    }
    let vision = vision.filter(|_| neither || holds("vision_model.") || holds("visual_projection."));
    let text = text.filter(|_| holds("text_model.") || holds("text_projection."));

    let mut expected = Vec::new();
    if let Some(vision) = &vision {
        vision_tensors(vision, embedding, &mut expected);
        if family == "catlip" {
            mlip::rows(checkpoint, vision.width, &mut expected)?;
        } else {
            project("vision", "visual_projection", [embedding, vision.width], &mut expected);
        }
    }
    if let Some(text) = &text {
        text_tensors(text, &mut expected);
        project("text", "text_projection", [embedding, text.width], &mut expected);
    }
    if vision.is_some() && text.is_some() {
        push_view(&mut expected, "logit_scale".into(), "logit_scale".into(), &[], View::Shaped(vec![]));
    }
    let ignored = |name: &str| {
        name.ends_with(".position_ids")
            || name == "logit_scale"
            || ["mlip", "catlip"].contains(&family) && mlip::is_training_only(name)
    };
    let tensors = match_tensors(checkpoint, &prefix, expected, [&family.to_uppercase(), "config.json"], ignored)?;
    let preprocess = match &vision {
        Some(vision) => Some(preprocess::of_folder(found, vision.image_size)?),
        None => None,
    };
    let logit_scale = match tensors.get("logit_scale") {
        Some(stored) => logit_scale_of(checkpoint, &stored.name)?,
        None => logit_scale.exp() as f32,
    };
    let model = ModelConfig {
        family: family.into(),
        embedding,
        vision,
        text,
        preprocess,
        logit_scale,
        logit_bias: 0.0,
        provenance: Provenance::default(),
    };
    let words = Words::new(&found.folder, path);
    let class_names = (family == "catlip").then_some("id2label");
    Ok(Parts { model, tensors, position: position::Rule::Bicubic, words, class_names })
}

/// The factor whose logarithm a tensor holds.
pub(super) fn logit_scale_of(checkpoint: &Checkpoint, name: &str) -> Result<f32, Error> {
    let stored = checkpoint.tensor(name)?;
    let scale = stored.data.first().map_or(f32::NAN, |scale| scale.exp());
    if scale.is_finite() {
        return Ok(scale);
    }
    let problems = vec![format!("`{name}` is {:?}", stored.data)];
    Err(Error::Tensors { path: checkpoint.path().into(), problems })
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

pub(super) fn vision_tensors(vision: &VisionConfig, embedding: usize, expected: &mut Vec<Expected>) {
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
}

/// A tower's projection, `shape` being `[embedding, width]`.
pub(super) fn project(tower: &str, name: &str, shape: [usize; 2], expected: &mut Vec<Expected>) {
    push(expected, format!("{tower}.projection.weight"), format!("{name}.weight"), &shape);
}

fn text_tensors(text: &TextConfig, expected: &mut Vec<Expected>) {
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
}

/// What the blocks of transformers' towers hold.
pub(super) fn block_tensors(
    tower: &str,
    model: &str,
    blocks: usize,
    width: usize,
    mlp: usize,
    expected: &mut Vec<Expected>,
) {
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
