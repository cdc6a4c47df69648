//! `config.json` of a Hugging Face CLIP, with transformers' defaults for absent keys.

use edgelip_runtime::plan::MAX_BLOCKS;
use serde_json::Value;

use super::fields::Fields;
use super::mlip;
use crate::error::Error;
use crate::source::{Activation, Head, Merging, NormPlace, Readout, Score, TextConfig, TextPooling, VisionConfig};

/// The towers a configuration describes; which of them the weights hold is another matter.
pub(super) struct Towers {
    /// The kind of model, as [`crate::source::ModelConfig::family`] names it.
    pub(super) family: &'static str,
    pub(super) vision: Option<VisionConfig>,
    pub(super) text: Option<TextConfig>,
    pub(super) embedding: usize,
    /// Logarithm of the logit scale before training.
    pub(super) logit_scale: f64,
}

/// `model_type` tells whether towers are nested (`clip`) or the object itself is one.
pub(super) fn towers(config: &Fields) -> Result<Towers, Error> {
    let nested = config.get("vision_config").or(config.get("vision_config_dict")).or(config.get("text_config"));
    let default = if nested.is_some() { "clip" } else { "" };
    let logit_scale = config.number("logit_scale_init_value", 2.6592)?;
    match config.text("model_type", default)?.as_str() {
        "clip" => {
            let embedding = config.size("projection_dim", 512)?;
            let vision = Some(vision(&section(config, "vision_config")?)?);
            let text = Some(text(&section(config, "text_config")?)?);
            Ok(Towers { family: "clip", vision, text, embedding, logit_scale })
        }
        kind @ ("mlip" | "catlip") => {
            let section = section(config, "vision_config")?;
            let mut vision = vision(&section)?;
            vision.frequency_blocks = mlip::frequency_blocks(&section)?;
            vision.readout = mlip::readout(&section, vision.frequency_blocks)?;
            if kind == "mlip" {
                let embedding = config.size("projection_dim", 512)?;
                return Ok(Towers { family: "mlip", vision: Some(vision), text: None, embedding, logit_scale });
            }
            if vision.readout == Readout::Joint {
                return Err(section.error("readout", "`joint` is no classifier's; `spatial` is"));
            }
            vision.head = Head { unit: false, score: Score::Sigmoid, ..vision.head };
            let embedding = vision.width;
            Ok(Towers { family: "catlip", vision: Some(vision), text: None, embedding, logit_scale: 0.0 })
        }
        "clip_vision_model" => {
            let embedding = config.size("projection_dim", 512)?;
            Ok(Towers { family: "clip", vision: Some(vision(config)?), text: None, embedding, logit_scale })
        }
        "clip_text_model" => {
            let embedding = config.size("projection_dim", 512)?;
            Ok(Towers { family: "clip", vision: None, text: Some(text(config)?), embedding, logit_scale })
        }
        "" => Err(config.error("model_type", "is missing; a CLIP has `clip`")),
        other => Err(config.error(
            "model_type",
            format!("`{other}` is not supported; CLIP (`clip`, `clip_vision_model`, `clip_text_model`), MLIP (`mlip`) and CatLIP (`catlip`) are"),
        )),
    }
}

/// The legacy `…_config_dict`, if there is one, overrides everything in `…_config`, by its defaults too.
fn section(config: &Fields, key: &str) -> Result<Fields, Error> {
    if let Some(legacy) = config.nested(&format!("{key}_dict"))? {
        return Ok(legacy);
    }
    Ok(config.nested(key)?.unwrap_or_else(|| config.empty(key)))
}

/// Refuses images that are not RGB.
fn three_channels(config: &Fields) -> Result<(), Error> {
    match config.size("num_channels", 3)? {
        3 => Ok(()),
        other => Err(config.error("num_channels", format!("{other} colour channels; only 3 are supported"))),
    }
}

/// The image tower; an empty object has transformers' defaults.
pub(super) fn vision(config: &Fields) -> Result<VisionConfig, Error> {
    let tower = tower(config, Defaults { patch: 32, activation: "quick_gelu", norm_eps: 1e-5 })?;
    whole_patches(config, &tower)?;
    let stem = mlip::stem(config, tower.width, tower.patch)?;
    Ok(VisionConfig { stem, merging: mlip::merging(config)?, pre_norm: true, ..tower })
}

/// What transformers takes where a configuration says nothing, as far as its image towers differ in that.
pub(super) struct Defaults {
    pub(super) patch: usize,
    pub(super) activation: &'static str,
    pub(super) norm_eps: f64,
}

/// What the image towers of transformers have in common: patches, blocks, and no norm in front of them.
pub(super) fn tower(config: &Fields, defaults: Defaults) -> Result<VisionConfig, Error> {
    three_channels(config)?;
    let image = config.square("image_size", 224)?;
    let patch = config.square("patch_size", defaults.patch)?;
    let (width, heads) = width(config, 768, 12)?;
    Ok(VisionConfig {
        image_size: [image; 2],
        patch,
        width,
        heads,
        blocks: blocks(config)?,
        mlp: config.size("intermediate_size", 3072)?,
        activation: activation(config, defaults.activation)?,
        norm_eps: norm_eps(config, "layer_norm_eps", defaults.norm_eps)?,
        stem: Vec::new(),
        frequency_blocks: 0,
        readout: Readout::Spatial,
        merging: Merging::default(),
        pre_norm: false,
        head: Head::default(),
    })
}

/// Refuses images that patches do not cover to the last pixel.
pub(super) fn whole_patches(config: &Fields, tower: &VisionConfig) -> Result<(), Error> {
    let ([image, _], patch) = (tower.image_size, tower.patch);
    match image.is_multiple_of(patch) {
        true => Ok(()),
        false => Err(config.error("image_size", format!("{image} is not a multiple of patch_size {patch}"))),
    }
}

fn text(config: &Fields) -> Result<TextConfig, Error> {
    let (width, heads) = width(config, 512, 8)?;
    let vocabulary = config.size("vocab_size", 49408)?;
    let eos = match config.get("eos_token_id") {
        None => 49407,
        Some(Value::Array(ids)) if ids.len() != 1 => {
            return Err(config.error("eos_token_id", "several end tokens; CLIP reads one"));
        }
        Some(Value::Array(ids)) => id(config, &ids[0])?,
        Some(value) => id(config, value)?,
    };
    // Configurations from before transformers 4.31 say 2 whatever the vocabulary; the end token has the largest id then.
    let (eot, pooling) =
        if eos == 2 { (vocabulary as u32 - 1, TextPooling::EotArgmax) } else { (eos, TextPooling::EotFirst) };
    Ok(TextConfig {
        context: config.size("max_position_embeddings", 77)?,
        vocabulary,
        width,
        heads,
        blocks: blocks(config)?,
        mlp: config.size("intermediate_size", 2048)?,
        activation: activation(config, "quick_gelu")?,
        norm_eps: norm_eps(config, "layer_norm_eps", 1e-5)?,
        norm: NormPlace::Pre,
        eot,
        pooling,
    })
}

fn id(config: &Fields, value: &Value) -> Result<u32, Error> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| config.error("eos_token_id", format!("{value} is not a token id")))
}

/// Width of a token and heads, which divide it.
pub(super) fn width(config: &Fields, default: usize, default_heads: usize) -> Result<(usize, usize), Error> {
    let width = config.size("hidden_size", default)?;
    let heads = config.size("num_attention_heads", default_heads)?;
    if width % heads != 0 {
        return Err(config.error("num_attention_heads", format!("{heads} does not divide hidden_size {width}")));
    }
    Ok((width, heads))
}

/// Checked before anything is made for each block, so that an absurd number is an error and not a full memory.
pub(super) fn blocks(config: &Fields) -> Result<usize, Error> {
    let blocks = config.size("num_hidden_layers", 12)?;
    if blocks > MAX_BLOCKS {
        return Err(
            config.error("num_hidden_layers", format!("{blocks} is more than the {MAX_BLOCKS} that are supported"))
        );
    }
    Ok(blocks)
}

/// Activation of the MLPs.
pub(super) fn activation(config: &Fields, default: &str) -> Result<Activation, Error> {
    match config.text("hidden_act", default)?.as_str() {
        "quick_gelu" => Ok(Activation::QuickGelu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::TanhGelu),
        other => Err(config.error(
            "hidden_act",
            format!("activation `{other}` is not supported; `gelu`, `quick_gelu` and `gelu_pytorch_tanh` are"),
        )),
    }
}

/// What is added to the variance in LayerNorms.
pub(super) fn norm_eps(config: &Fields, key: &str, default: f64) -> Result<f32, Error> {
    let eps = config.number(key, default)?;
    if eps > 0.0 && eps < 1.0 {
        return Ok(eps as f32);
    }
    Err(config.error(key, format!("{eps} is not between 0 and 1")))
}
