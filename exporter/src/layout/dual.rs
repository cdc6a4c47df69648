//! transformers' `VisionTextDualEncoder`: an image tower and a text tower that were trained apart, each pooled as its library pools it, and
//! two projections.

use super::clip::{self, logit_scale_of};
use super::clip_config::{self, Defaults, tower, whole_patches};
use super::detect::Found;
use super::fields::Fields;
use super::tensors::{Expected, View, match_tensors, push, push_pair, push_view};
use super::{Parts, Words, bert, bert_config, position, preprocess};
use crate::error::Error;
use crate::source::{Head, ModelConfig, Pooling, Provenance, Score, TextPooling, VisionConfig};

/// What `model_type` is.
pub(super) const MODEL_TYPE: &str = "vision-text-dual-encoder";

const TEXT: &str = "text_model.";

/// Reads a folder with `config.json`, the processor's configuration, a tokenizer and weights: a ViT or CLIP's image tower, and a BERT.
///
/// # Errors
/// [`Error::Config`] for towers and settings that are not supported; [`Error::Tensors`] listing every tensor that is missing, not known or of
/// another shape than the configuration says.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let checkpoint = &found.checkpoint;
    let path = found.folder.join("config.json");
    let config = Fields::read(&path)?;
    let section = |key: &str| config.nested(key)?.ok_or_else(|| config.error(key, "is missing"));
    let (of_vision, of_text) = (section("vision_config")?, section("text_config")?);
    let embedding = config.size("projection_dim", 512)?;

    let mut expected = Vec::new();
    let vision = match of_vision.text("model_type", "")?.as_str() {
        "vit" => {
            let vision = vit(&of_vision)?;
            vit_tensors(&vision, of_vision.flag("qkv_bias", true)?, &mut expected);
            vision
        }
        "clip_vision_model" => {
            let vision = clip_config::vision(&of_vision)?;
            clip::vision_tensors(&vision, embedding, &mut expected);
            vision
        }
        other => {
            let reason = format!("`{other}` is not supported in a dual encoder; `vit` and `clip_vision_model` are");
            return Err(of_vision.error("model_type", reason));
        }
    };
    clip::project("vision", "visual_projection", [embedding, vision.width], &mut expected);
    let kind = of_text.text("model_type", "")?;
    if kind != "bert" {
        let reason = format!("`{kind}` is not supported in a dual encoder; `bert` is");
        return Err(of_text.error("model_type", reason));
    }
    let text = bert_config::tower(&of_text, TextPooling::Pooler)?;
    let kinds = of_text.size("type_vocab_size", 2)?;
    let mut own = bert::tensors(&text, text.context, kinds, bert::norm_parts(checkpoint, TEXT));
    push_pair(&mut own, "text.pooler", "pooler.dense", &[text.width, text.width]);
    own.iter_mut().for_each(|tensor| tensor.put_below(TEXT));
    expected.extend(own);
    clip::project("text", "text_projection", [embedding, text.width], &mut expected);
    push_view(&mut expected, "logit_scale".into(), "logit_scale".into(), &[], View::Shaped(vec![]));
    let ignored = |name: &str| name.ends_with(".position_ids") || name.ends_with(".token_type_ids");
    let tensors = match_tensors(checkpoint, "", expected, ["dual encoder", "config.json"], ignored)?;
    let model = ModelConfig {
        family: "dual".into(),
        embedding,
        preprocess: Some(preprocess::of_folder(found, vision.image_size)?),
        vision: Some(vision),
        text: Some(text),
        logit_scale: logit_scale_of(checkpoint, "logit_scale")?,
        logit_bias: 0.0,
        provenance: Provenance::default(),
    };
    let words = Words::new(&found.folder, path);
    Ok(Parts { model, tensors, position: position::Rule::Bicubic, words, class_names: None })
}

/// transformers' ViT; absent settings have its defaults.
fn vit(config: &Fields) -> Result<VisionConfig, Error> {
    let tower = tower(config, Defaults { patch: 16, activation: "gelu", norm_eps: 1e-12 })?;
    whole_patches(config, &tower)?;
    let width = tower.width;
    let pooled = config.size("pooler_output_size", width)?;
    if pooled != width {
        return Err(
            config.error("pooler_output_size", format!("{pooled} is not hidden_size {width}, as it must be here"))
        );
    }
    let tangent = config.text("pooler_act", "tanh")?;
    if tangent != "tanh" {
        return Err(config.error("pooler_act", format!("`{tangent}` is not supported; `tanh` is")));
    }
    let head = Head { pooling: Pooling::Pooler, projected: true, unit: true, score: Score::Softmax };
    Ok(VisionConfig { head, ..tower })
}

fn vit_tensors(vision: &VisionConfig, has_bias: bool, expected: &mut Vec<Expected>) {
    let &VisionConfig { width, patch, mlp, .. } = vision;
    let embeddings = "vision_model.embeddings";
    let patches = format!("{embeddings}.patch_embeddings.projection");
    push_pair(expected, "vision.patch", &patches, &[width, 3, patch, patch]);
    let class = View::Shaped(vec![width]);
    push_view(expected, "vision.class".into(), format!("{embeddings}.cls_token"), &[1, 1, width], class);
    let (places, shaped) = (vision.tokens(), View::Shaped(vec![vision.tokens(), width]));
    push_view(
        expected,
        "vision.position".into(),
        format!("{embeddings}.position_embeddings"),
        &[1, places, width],
        shaped,
    );
    for block in 0..vision.blocks {
        let (ours, theirs) = (format!("vision.blocks.{block}"), format!("vision_model.encoder.layer.{block}"));
        push_pair(expected, &format!("{ours}.norm1"), &format!("{theirs}.layernorm_before"), &[width]);
        for (part, name) in [("q", "query"), ("k", "key"), ("v", "value")] {
            let (ours, theirs) = (format!("{ours}.{part}"), format!("{theirs}.attention.attention.{name}"));
            push(expected, format!("{ours}.weight"), format!("{theirs}.weight"), &[width, width]);
            if has_bias {
                push(expected, format!("{ours}.bias"), format!("{theirs}.bias"), &[width]);
            }
        }
        push_pair(expected, &format!("{ours}.out"), &format!("{theirs}.attention.output.dense"), &[width, width]);
        push_pair(expected, &format!("{ours}.norm2"), &format!("{theirs}.layernorm_after"), &[width]);
        push_pair(expected, &format!("{ours}.fc1"), &format!("{theirs}.intermediate.dense"), &[mlp, width]);
        push_pair(expected, &format!("{ours}.fc2"), &format!("{theirs}.output.dense"), &[width, mlp]);
    }
    push_pair(expected, "vision.post_norm", "vision_model.layernorm", &[width]);
    push_pair(expected, "vision.pooler", "vision_model.pooler.dense", &[width, width]);
}

#[cfg(test)]
#[path = "dual_tests.rs"]
mod tests;
