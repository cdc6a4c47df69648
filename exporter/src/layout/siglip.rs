//! SigLIP, and SigLIP 2 of a fixed resolution, as Hugging Face's transformers lays them out.

use super::clip::block_tensors;
use super::clip_config::{Defaults, activation, blocks, norm_eps, tower, width};
use super::detect::Found;
use super::fields::Fields;
use super::tensors::{Expected, View, match_tensors, push, push_pair, push_view, scalar};
use super::{Parts, Words, position, preprocess};
use crate::error::Error;
use crate::source::{
    Head, ModelConfig, NormPlace, Padding, Pooling, Provenance, Score, TextConfig, TextPooling, VisionConfig,
};

/// What `model_type` may be.
pub(super) const MODEL_TYPES: [&str; 3] = ["siglip", "siglip_vision_model", "siglip_text_model"];

/// What the names of the towers begin with.
const VISION: &str = "vision_model.";
const TEXT: &str = "text_model.";

const ACTIVATION: &str = "gelu_pytorch_tanh";
const EPS: f64 = 1e-6;

/// Reads a folder with `config.json`, `preprocessor_config.json` and weights; a tower of which the weights hold no tensor counts as absent.
///
/// # Errors
/// [`Error::Config`] for settings that are not supported; [`Error::Tensors`] listing every tensor that is missing, not known or of
/// another shape than the configuration says.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let checkpoint = &found.checkpoint;
    let path = found.folder.join("config.json");
    let config = Fields::read(&path)?;
    let section = |key: &str| match found.model_type == MODEL_TYPES[0] {
        true => Ok::<_, Error>(config.nested(key)?.unwrap_or_else(|| config.empty(key))),
        false => Ok(config.clone()),
    };
    let holds = |tower: &str| checkpoint.names().any(|name| name.starts_with(tower));
    let alone = bare(found);
    let there = |tower: &str| holds(tower) || alone == Some(tower);
    let vision = if there(VISION) { Some(vision(&section("vision_config")?)?) } else { None };
    let text = if there(TEXT) { Some(text(&section("text_config")?)?) } else { None };
    let embedding = match (&vision, &text) {
        (Some(vision), Some((text, embedding))) if vision.width != *embedding => {
            let reason = format!("{embedding} of the text tower, but images embed to {}", vision.width);
            return Err(section("text_config")?
                .error(if text.width == *embedding { "hidden_size" } else { "projection_size" }, reason));
        }
        (Some(vision), _) => vision.width,
        (None, Some((_, embedding))) => *embedding,
        (None, None) => {
            return Err(config.error(
                "model_type",
                "is a SigLIP's, but there is neither `vision_model.` nor `text_model.` among the tensors",
            ));
        }
    };
    let text = text.map(|(text, _)| text);

    let mut expected = Vec::new();
    if let Some(vision) = &vision {
        vision_tensors(vision, &mut expected);
    }
    if let Some(text) = &text {
        text_tensors(text, embedding, &mut expected);
    }
    if let Some(tower) = alone {
        expected.iter_mut().for_each(|tensor| tensor.lift(tower));
    }
    let scalars = vision.is_some() && text.is_some();
    if scalars {
        for name in ["logit_scale", "logit_bias"] {
            push(&mut expected, name.into(), name.into(), &[1]);
        }
    }
    let ignored = |name: &str| name.ends_with(".position_ids") || ["logit_scale", "logit_bias"].contains(&name);
    let tensors = match_tensors(checkpoint, "", expected, ["SigLIP", "config.json"], ignored)?;
    let preprocess = match &vision {
        Some(vision) => Some(preprocess::of_folder(found, vision.image_size)?),
        None => None,
    };
    let model = ModelConfig {
        family: "siglip".into(),
        embedding,
        vision,
        text,
        preprocess,
        logit_scale: if scalars { scalar(checkpoint, "logit_scale")?.exp() } else { 1.0 },
        logit_bias: if scalars { scalar(checkpoint, "logit_bias")? } else { 0.0 },
        provenance: Provenance::default(),
    };
    let words = Words::new(&found.folder, path);
    Ok(Parts { model, tensors, position: position::Rule::Bicubic, words, class_names: None })
}

/// What the names of a tower lack that was saved by itself: newer transformers leave it out.
fn bare(found: &Found) -> Option<&'static str> {
    let tower = match &found.model_type {
        model_type if model_type == MODEL_TYPES[1] => VISION,
        model_type if model_type == MODEL_TYPES[2] => TEXT,
        _ => return None,
    };
    found.has("embeddings.position_embedding.weight").then_some(tower)
}

fn vision(config: &Fields) -> Result<VisionConfig, Error> {
    if !config.flag("vision_use_head", true)? {
        return Err(config.error("vision_use_head", "is false; without its head the tower gives no embedding"));
    }
    let tower = tower(config, Defaults { patch: 16, activation: ACTIVATION, norm_eps: EPS })?;
    let ([image, _], patch) = (tower.image_size, tower.patch);
    if image < patch {
        return Err(config.error("image_size", format!("{image} is less than patch_size {patch}")));
    }
    let head = Head { pooling: Pooling::Attention, projected: false, unit: true, score: Score::Sigmoid };
    Ok(VisionConfig { head, ..tower })
}

/// The text tower and the length of its embeddings.
fn text(config: &Fields) -> Result<(TextConfig, usize), Error> {
    let (width, heads) = width(config, 768, 12)?;
    let text = TextConfig {
        context: config.size("max_position_embeddings", 64)?,
        vocabulary: config.size("vocab_size", 32000)?,
        width,
        heads,
        blocks: blocks(config)?,
        mlp: config.size("intermediate_size", 3072)?,
        activation: activation(config, ACTIVATION)?,
        norm_eps: norm_eps(config, "layer_norm_eps", EPS)?,
        norm: NormPlace::Pre,
        eot: 1,
        // The tokenizer says what is padded with what.
        pooling: TextPooling::Last(Padding { id: 1, before: false }),
    };
    Ok((text, config.size("projection_size", width)?))
}

fn vision_tensors(vision: &VisionConfig, expected: &mut Vec<Expected>) {
    let &VisionConfig { width, patch, mlp, .. } = vision;
    let embeddings = "vision_model.embeddings";
    push_pair(expected, "vision.patch", &format!("{embeddings}.patch_embedding"), &[width, 3, patch, patch]);
    let position = format!("{embeddings}.position_embedding.weight");
    push(expected, "vision.position".into(), position, &[vision.tokens(), width]);
    block_tensors("vision", "vision_model", vision.blocks, width, mlp, expected);
    push_pair(expected, "vision.post_norm", "vision_model.post_layernorm", &[width]);
    let head = "vision_model.head";
    let probe = View::Shaped(vec![width]);
    push_view(expected, "vision.pool.probe".into(), format!("{head}.probe"), &[1, 1, width], probe);
    for (index, part) in ["q", "k", "v"].into_iter().enumerate() {
        for (kind, shape) in [("weight", &[3 * width, width][..]), ("bias", &[3 * width])] {
            let (ours, theirs) = (format!("vision.pool.{part}.{kind}"), format!("{head}.attention.in_proj_{kind}"));
            push_view(expected, ours, theirs, shape, View::Part { index, of: 3 });
        }
    }
    push_pair(expected, "vision.pool.out", &format!("{head}.attention.out_proj"), &[width, width]);
    push_pair(expected, "vision.pool.norm2", &format!("{head}.layernorm"), &[width]);
    push_pair(expected, "vision.pool.fc1", &format!("{head}.mlp.fc1"), &[mlp, width]);
    push_pair(expected, "vision.pool.fc2", &format!("{head}.mlp.fc2"), &[width, mlp]);
}

fn text_tensors(text: &TextConfig, embedding: usize, expected: &mut Vec<Expected>) {
    let &TextConfig { width, mlp, .. } = text;
    let embeddings = "text_model.embeddings";
    let (token, position) =
        (format!("{embeddings}.token_embedding.weight"), format!("{embeddings}.position_embedding.weight"));
    push(expected, "text.token.weight".into(), token, &[text.vocabulary, width]);
    push(expected, "text.position".into(), position, &[text.context, width]);
    block_tensors("text", "text_model", text.blocks, width, mlp, expected);
    push_pair(expected, "text.final_norm", "text_model.final_layer_norm", &[width]);
    push_pair(expected, "text.projection", "text_model.head", &[embedding, width]);
}

#[cfg(test)]
#[path = "siglip_tests.rs"]
mod tests;
