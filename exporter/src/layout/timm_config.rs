//! timm's `config.json`: architecture, arguments that change it, and what images go through.

use edgelip_runtime::image::{Centre, Filter, Preprocess, Resize};
use edgelip_runtime::plan::MAX_BLOCKS;

use serde_json::Value;

use super::fields::Fields;
use super::preprocess::channels;
use super::timm_architecture::{Architecture, Pool};
use crate::error::Error;
use crate::source::Activation;
use crate::vocabulary::tell_apart;

/// Arguments of a model that its tensors show, or that only matter in training.
const SHOWN: [&str; 24] = [
    "attn_drop_rate",
    "class_token",
    "drop_path_rate",
    "drop_rate",
    "dynamic_img_pad",
    "dynamic_img_size",
    "fc_norm",
    "final_norm",
    "fix_init",
    "in_chans",
    "init_values",
    "mlp_ratio",
    "no_embed_class",
    "num_classes",
    "patch_drop_rate",
    "patch_size",
    "pos_drop_rate",
    "pre_norm",
    "proj_bias",
    "proj_drop_rate",
    "qk_norm",
    "qkv_bias",
    "reg_tokens",
    "weight_init",
];

/// Tags of weights that were trained with QuickGELU, and sizes, where only those were; timm has them under names that say GELU too.
const QUICK: [(&str, &str); 6] = [
    ("openai", ""),
    ("metaclip_400m", ""),
    ("metaclip_2pt5b", ""),
    ("metaclip2_worldwide", "_huge_"),
    ("dfn2b", "_large_"),
    ("dfn5b", ""),
];

/// What timm takes of an image if nothing is said.
const CROP_SHARE: f64 = 0.875;

/// What a configuration says.
pub(super) struct Settings {
    /// With the arguments of `model_args`.
    pub(super) architecture: Architecture,
    /// Side of an image.
    pub(super) image: usize,
    /// `pretrained_cfg`, or the configuration itself in older ones.
    pub(super) pretrained: Fields,
}

/// Reads architecture, arguments and image size.
///
/// # Errors
/// [`Error::Config`] for what is not supported.
pub(super) fn read(config: &Fields) -> Result<Settings, Error> {
    let name = config.text("architecture", "")?;
    let mut architecture = Architecture::named(&name).map_err(|reason| config.error("architecture", reason))?;
    let pretrained = config.nested("pretrained_cfg")?.unwrap_or_else(|| config.clone());
    if config.get("global_pool").is_some() {
        architecture.pool = pool(config)?;
    }
    let arguments = config.nested("model_args")?.unwrap_or_else(|| config.empty("model_args"));
    override_by(&mut architecture, &arguments)?;
    let sides = pretrained.get("input_size").and_then(|sides| sides.as_array()).map(Vec::as_slice).unwrap_or_default();
    let own = match sides {
        [] => 224,
        [channels, height, width] if height == width && channels.as_u64() == Some(3) => {
            pretrained.as_size("input_size", height)?
        }
        _ => {
            let reason = "is not that of a square image of three channels, such as [3, 224, 224]";
            return Err(pretrained.error("input_size", reason));
        }
    };
    Ok(Settings { architecture, image: arguments.square("img_size", own)?, pretrained })
}

/// What the rows of a classifier are called, if the configuration says so under `key`: by their descriptions, else by their names.
///
/// # Errors
/// [`Error::Config`] if there are names, but not one for each of `rows`.
pub(super) fn class_names(config: &Fields, key: &str, rows: usize) -> Result<Option<Vec<String>>, Error> {
    let names: Vec<Option<&Value>> = match config.get(key) {
        None => return Ok(None),
        Some(Value::Array(names)) => names.iter().map(Some).collect(),
        Some(Value::Object(names)) => (0..names.len()).map(|row| names.get(&row.to_string())).collect(),
        Some(_) => return Err(config.error(key, "is neither a list nor an object of names")),
    };
    if names.len() != rows {
        return Err(config.error(key, format!("{} names for the {rows} rows of the classifier", names.len())));
    }
    let names = names.iter().enumerate().map(|(row, name)| {
        let unnamed = || config.error(key, format!("row {row} has no name"));
        name.and_then(|name| name.as_str()).ok_or_else(unnamed)
    });
    let names = names.collect::<Result<Vec<&str>, Error>>()?;
    let descriptions = config.get("label_descriptions");
    let spoken = |name: &str| descriptions.and_then(|all| all.get(name)?.as_str()).unwrap_or(name).to_owned();
    let mut shown: Vec<String> = names.iter().map(|name| spoken(name)).collect();
    tell_apart(&mut shown, |row| Some(names[row].to_owned()));
    Ok(Some(shown))
}

/// Refuses a name that says another activation than the weights were trained with: timm does as the name says, and accuracy falls silently.
///
/// # Errors
/// [`Error::Config`] for the tag of such weights.
pub(super) fn check_activation(settings: &Settings) -> Result<(), Error> {
    let Settings { architecture: Architecture { name, activation, .. }, pretrained, .. } = settings;
    let tag = pretrained.text("tag", "")?;
    let is_quick = QUICK.iter().any(|(known, size)| *known == tag && name.contains(size));
    if !is_quick || *activation == Activation::QuickGelu || !name.contains("_clip_") {
        return Ok(());
    }
    let reason = format!(
        "weights of `{tag}` were trained with QuickGELU, but `{name}` has GELU: give --activation quick_gelu (or gelu, to do as timm does under this \
         name)"
    );
    Err(pretrained.error("tag", reason))
}

fn override_by(architecture: &mut Architecture, arguments: &Fields) -> Result<(), Error> {
    let handled = ["act_layer", "depth", "embed_dim", "global_pool", "img_size", "num_heads", "pool_include_prefix"];
    if let Some(other) = arguments.keys().find(|key| !SHOWN.contains(key) && !handled.contains(key)) {
        return Err(arguments.error(other, "is not supported: it may change what the tower computes"));
    }
    if arguments.flag("pool_include_prefix", false)? {
        return Err(arguments.error("pool_include_prefix", "true is not supported"));
    }
    if arguments.get("global_pool").is_some() {
        architecture.pool = pool(arguments)?;
    }
    architecture.width = arguments.size("embed_dim", architecture.width)?;
    architecture.heads = arguments.size("num_heads", architecture.heads)?;
    architecture.blocks = arguments.size("depth", architecture.blocks)?;
    if architecture.blocks > MAX_BLOCKS {
        let reason = format!("{} is more than the {MAX_BLOCKS} that are supported", architecture.blocks);
        return Err(arguments.error("depth", reason));
    }
    if !architecture.width.is_multiple_of(architecture.heads) {
        let reason = format!("{} does not divide the width {}", architecture.heads, architecture.width);
        return Err(arguments.error("num_heads", reason));
    }
    architecture.activation = match arguments.text("act_layer", "")?.as_str() {
        "" => architecture.activation,
        "gelu" => Activation::Gelu,
        "gelu_tanh" => Activation::TanhGelu,
        "quick_gelu" => Activation::QuickGelu,
        other => {
            let reason = format!("`{other}` is not supported; gelu, gelu_tanh and quick_gelu are");
            return Err(arguments.error("act_layer", reason));
        }
    };
    Ok(())
}

fn pool(config: &Fields) -> Result<Pool, Error> {
    Pool::named(&config.text("global_pool", "")?).map_err(|reason| config.error("global_pool", reason))
}

/// What images of a side of `image` pixels go through, by timm's own transform.
///
/// # Errors
/// [`Error::Config`] for steps that are not supported, do not end with such an image, or are not told.
pub(super) fn preprocess(config: &Fields, image: usize) -> Result<Preprocess, Error> {
    for key in ["mean", "std"] {
        if config.get(key).is_none() {
            let reason = "is missing: copy pretrained_cfg from the original model, or say what images go through with --preprocess";
            return Err(config.error(key, reason));
        }
    }
    let (mean, std) = (channels(config, "mean", [0.0; 3])?, channels(config, "std", [1.0; 3])?);
    if std.iter().any(|&std| std <= 0.0) {
        return Err(config.error("std", "has values that are not positive"));
    }
    let filter = match config.text("interpolation", "bicubic")?.as_str() {
        "bicubic" => Filter::Bicubic,
        "bilinear" => Filter::Bilinear,
        other => {
            return Err(config.error("interpolation", format!("`{other}` is not supported; bicubic and bilinear are")));
        }
    };
    let share = config.number("crop_pct", CROP_SHARE)?;
    if !(0.1..=1.0).contains(&share) {
        return Err(config.error("crop_pct", format!("{share} is not from 0.1 to 1")));
    }
    let side = (image as f64 / share).floor() as usize;
    let resize = match config.text("crop_mode", "center")?.as_str() {
        "center" => Resize::Shortest(side),
        "squash" => Resize::Exact(side, side),
        other => {
            return Err(config.error("crop_mode", format!("`{other}` is not supported; center and squash are")));
        }
    };
    Ok(Preprocess { resize, filter, crop: Some([image; 2]), centre: Centre::Even, rescale: 1.0 / 255.0, mean, std })
}
