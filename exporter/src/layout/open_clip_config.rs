//! `open_clip_config.json`: the towers of open_clip's own kind and the preprocessing, with its defaults for absent keys.

use edgelip_runtime::image::{Centre, Filter, Preprocess, Resize};
use edgelip_runtime::plan::MAX_BLOCKS;
use serde_json::{Value, json};

use super::clip_config;
use super::fields::Fields;
use super::preprocess::{MEAN, STD, channels};
use crate::error::Error;
use crate::source::{Activation, NormPlace, Padding, TextConfig, TextPooling, VisionConfig};

/// What LayerNorms add to the variance unless told otherwise.
pub(super) const NORM_EPS: f32 = 1e-5;
/// Width of an attention head unless told otherwise.
pub(super) const HEAD: usize = 64;

/// Settings that must be as they are here, or absent; whatever else is set changes what a tower computes.
const OF_MODEL: [(&str, &[&str]); 2] = [("multimodal_cfg", &[]), ("nonscalar_logit_scale", &["false", "true"])];
const OF_TOWER: [(&str, &[&str]); 7] = [
    ("ls_init_value", &[]),
    ("final_ln_after_pool", &["false", "true"]),
    ("block_type", &["\"default\""]),
    ("qk_norm", &["false"]),
    ("scaled_cosine_attn", &["false"]),
    ("scale_heads", &["false"]),
    ("scale_fc", &["false"]),
];
const OF_VISION: [(&str, &[&str]); 8] = [
    ("timm_model_name", &[]),
    ("attentional_pool", &["false"]),
    ("no_ln_pre", &["false"]),
    ("pos_embed_type", &["\"learnable\""]),
    ("pool_type", &["\"tok\""]),
    ("input_patchnorm", &["false"]),
    ("global_average_pool", &["false"]),
    ("scale_attn_inner", &["false"]),
];
const OF_TEXT: [(&str, &[&str]); 3] =
    [("hf_model_name", &[]), ("embed_cls", &["false"]), ("proj_type", &["\"linear\"", "\"none\""])];
/// A text tower of CLIP's kind, whose tokens see those before them.
const OF_CAUSAL_TEXT: [(&str, &[&str]); 5] = [
    ("proj_type", &["\"linear\""]),
    ("hf_tokenizer_name", &["\"\""]),
    ("tokenizer_kwargs", &["{}"]),
    ("pool_type", &["\"argmax\""]),
    ("proj_bias", &["false"]),
];
/// A text tower of SigLIP's kind, whose tokens see all others, the padding too; open_clip's defaults are CLIP's.
const OF_SEEING_TEXT: [(&str, &str); 2] =
    [("tokenizer_kwargs", "{\"clean\":\"canonicalize\"}"), ("pool_type", "\"last\"")];

/// `quick_gelu` of `model_cfg` and `act_kwargs` of a tower.
fn activation(model: &Fields, tower: &Fields) -> Result<Activation, Error> {
    refuse_others(model, &OF_MODEL)?;
    let quick = model.flag("quick_gelu", false)?;
    match tower.get("act_kwargs").map(Value::to_string).as_deref() {
        None | Some("{}") if quick => Ok(Activation::QuickGelu),
        None | Some("{}" | "{\"approximate\":\"none\"}") if !quick => Ok(Activation::Gelu),
        Some("{\"approximate\":\"tanh\"}") if !quick => Ok(Activation::TanhGelu),
        other => Err(tower.error("act_kwargs", format!("{} is not supported", other.unwrap_or_default()))),
    }
}

/// `norm_kwargs` of a tower.
fn norm_eps(tower: &Fields) -> Result<f32, Error> {
    let Some(config) = tower.nested("norm_kwargs")? else { return Ok(NORM_EPS) };
    if let Some(other) = config.keys().find(|key| *key != "eps") {
        return Err(config.error(other, "is not supported; `eps` is"));
    }
    clip_config::norm_eps(&config, "eps", NORM_EPS.into())
}

/// `vision_cfg` of `model_cfg`.
pub(super) fn vision(model: &Fields) -> Result<VisionConfig, Error> {
    let config = model.nested("vision_cfg")?.unwrap_or_else(|| model.empty("vision_cfg"));
    refuse_others(&config, &OF_VISION)?;
    refuse_others(&config, &OF_TOWER)?;
    if matches!(config.get("layers"), Some(Value::Array(_))) {
        return Err(config.error("layers", "is a list, as of a ResNet, which has no tokens to merge"));
    }
    let image = config.square("image_size", 224)?;
    let patch = config.square("patch_size", 16)?;
    if image % patch != 0 {
        return Err(config.error("image_size", format!("{image} is not a multiple of patch_size {patch}")));
    }
    let (width, head) = (config.size("width", 768)?, config.size("head_width", HEAD)?);
    if !width.is_multiple_of(head) {
        return Err(config.error("head_width", format!("{head} does not divide width {width}")));
    }
    Ok(VisionConfig {
        image_size: [image; 2],
        patch,
        width,
        heads: width / head,
        blocks: blocks(&config)?,
        mlp: mlp(&config, width)?,
        activation: activation(model, &config)?,
        norm_eps: norm_eps(&config)?,
        ..plain()?
    })
}

/// An image tower as any CLIP has it, for what no configuration of open_clip tells.
pub(super) fn plain() -> Result<VisionConfig, Error> {
    clip_config::vision(&Fields::default())
}

/// `text_cfg` of `model_cfg`.
pub(super) fn text(model: &Fields) -> Result<TextConfig, Error> {
    let config = model.nested("text_cfg")?.unwrap_or_else(|| model.empty("text_cfg"));
    refuse_others(&config, &OF_TEXT)?;
    refuse_others(&config, &OF_TOWER)?;
    let (width, heads) = (config.size("width", 512)?, config.size("heads", 8)?);
    if !width.is_multiple_of(heads) {
        return Err(config.error("heads", format!("{heads} does not divide width {width}")));
    }
    let vocabulary = config.size("vocab_size", 49408)?;
    let sees_all = config.flag("no_causal_mask", false)?;
    match sees_all {
        true => require(&config, &OF_SEEING_TEXT, "no_causal_mask")?,
        false => refuse_others(&config, &OF_CAUSAL_TEXT)?,
    }
    // The tokenizer says what is padded with what.
    let last = TextPooling::Last(Padding { id: 1, before: false });
    Ok(TextConfig {
        context: config.size("context_length", 77)?,
        vocabulary,
        width,
        heads,
        blocks: blocks(&config)?,
        mlp: mlp(&config, width)?,
        activation: activation(model, &config)?,
        norm_eps: norm_eps(&config)?,
        norm: NormPlace::Pre,
        eot: vocabulary as u32 - 1,
        pooling: if sees_all { last } else { TextPooling::EotArgmax },
    })
}

/// The projection of a text tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Projection {
    /// A matrix, inputs first.
    Matrix,
    /// A linear layer with a bias.
    Layer,
    /// None: the last norm's output is the embedding.
    None,
}

/// `proj_type` and `proj_bias` of `text_cfg`.
pub(super) fn projection(model: &Fields) -> Result<Projection, Error> {
    let config = model.nested("text_cfg")?.unwrap_or_else(|| model.empty("text_cfg"));
    Ok(match (config.text("proj_type", "linear")?.as_str(), config.flag("proj_bias", false)?) {
        ("none", _) => Projection::None,
        (_, true) => Projection::Layer,
        (_, false) => Projection::Matrix,
    })
}

/// `preprocess_cfg`, for a tower that takes `image` pixels, height and width.
pub(super) fn preprocess(config: &Fields, image: [usize; 2]) -> Result<Preprocess, Error> {
    let config = config.nested("preprocess_cfg")?.unwrap_or_else(|| config.empty("preprocess_cfg"));
    let size = config.square("size", image[0])?;
    if [size; 2] != image {
        return Err(config.error("size", format!("{size}, but image_size of the model is {}", image[0])));
    }
    let filter = match config.text("interpolation", "bicubic")?.as_str() {
        "bicubic" => Filter::Bicubic,
        "bilinear" => Filter::Bilinear,
        other => {
            return Err(config.error("interpolation", format!("`{other}` is not supported; bicubic and bilinear are")));
        }
    };
    let (resize, crop) = match config.text("resize_mode", "shortest")?.as_str() {
        "shortest" => (Resize::Shortest(size), Some(image)),
        "squash" => (Resize::Exact(image[0], image[1]), None),
        other => {
            return Err(config.error("resize_mode", format!("`{other}` is not supported; shortest and squash are")));
        }
    };
    let mode = config.text("mode", "RGB")?;
    if mode != "RGB" {
        return Err(config.error("mode", format!("`{mode}` is not supported; RGB is")));
    }
    let (mean, std) = (channels(&config, "mean", MEAN)?, channels(&config, "std", STD)?);
    if std.iter().any(|&std| std <= 0.0) {
        return Err(config.error("std", "has values that are not positive"));
    }
    Ok(Preprocess { resize, filter, crop, centre: Centre::Even, rescale: 1.0 / 255.0, mean, std })
}

/// Refuses the settings that are not among those that may be there.
fn refuse_others(config: &Fields, settings: &[(&str, &[&str])]) -> Result<(), Error> {
    for (key, fine) in settings {
        let Some(value) = config.get(key) else { continue };
        if !fine.contains(&value.to_string().as_str()) {
            let instead = if fine.is_empty() { String::new() } else { format!("; {} is", fine.join(" or ")) };
            return Err(config.error(key, format!("{value} is not supported{instead}")));
        }
    }
    Ok(())
}

/// Refuses anything but these settings, which go with the one called `with`.
fn require(config: &Fields, settings: &[(&str, &str)], with: &str) -> Result<(), Error> {
    for (key, wanted) in settings {
        let found = config.get(key).map(Value::to_string);
        if found.as_deref() != Some(wanted) {
            let found = found.unwrap_or("absent".into());
            return Err(config.error(key, format!("{found} with {with} is not supported; {wanted} is")));
        }
    }
    Ok(())
}

/// Checked before anything is made for each block, so that an absurd number is an error and not a full memory.
fn blocks(config: &Fields) -> Result<usize, Error> {
    let blocks = config.size("layers", 12)?;
    if blocks > MAX_BLOCKS {
        return Err(config.error("layers", format!("{blocks} is more than the {MAX_BLOCKS} that are supported")));
    }
    Ok(blocks)
}

/// The hidden width of the MLPs; open_clip rounds down.
fn mlp(config: &Fields, width: usize) -> Result<usize, Error> {
    let ratio = config.number("mlp_ratio", 4.0)?;
    if !(0.01..=64.0).contains(&ratio) {
        return Err(config.error("mlp_ratio", format!("{} is not between 0.01 and 64", json!(ratio))));
    }
    Ok(((width as f64 * ratio) as usize).max(1))
}
