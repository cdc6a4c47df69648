//! What an image tower of edgelip's trainer may have beyond CLIP's: a convolutional stem, a frequency stage, two readouts, the way its
//! tokens merged while it was trained, and a classifier.

use edgelip_runtime::plan::{MAX_BLOCKS, MAX_STEM, Merge};
use serde_json::Value;

use super::fields::Fields;
use super::tensors::{Expected, View, push, push_pair, push_view};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::schedule::Shape;
use crate::source::{Convolution, Guide, Merging, Readout, VisionConfig};

/// `stem_widths`: one 3×3 convolution of stride 2 for each, so that they agree with `patch_size`.
pub(super) fn stem(config: &Fields, width: usize, patch: usize) -> Result<Vec<Convolution>, Error> {
    const KEY: &str = "stem_widths";
    let widths = match config.get(KEY) {
        None => return Ok(Vec::new()),
        Some(Value::Array(widths)) if (1..=MAX_STEM).contains(&widths.len()) => widths,
        Some(other) => return Err(config.error(KEY, format!("{other} is not a list of 1 to {MAX_STEM} widths"))),
    };
    let widths = widths.iter().map(|value| config.as_size(KEY, value)).collect::<Result<Vec<usize>, Error>>()?;
    if widths.last() != Some(&width) {
        return Err(config.error(KEY, format!("the last of {widths:?} is not hidden_size {width}")));
    }
    if 1 << widths.len() != patch {
        let reason =
            format!("{} convolutions make patches of {}, not patch_size {patch}", widths.len(), 1 << widths.len());
        return Err(config.error(KEY, reason));
    }
    Ok(widths.into_iter().map(Convolution::halving).collect())
}

/// `num_frequency_layers`.
pub(super) fn frequency_blocks(config: &Fields) -> Result<usize, Error> {
    const KEY: &str = "num_frequency_layers";
    match config.get(KEY) {
        None => Ok(0),
        Some(value) => match value.as_u64() {
            Some(blocks) if blocks <= MAX_BLOCKS as u64 => Ok(blocks as usize),
            _ => Err(config.error(KEY, format!("{value} is not a whole number up to {MAX_BLOCKS}"))),
        },
    }
}

/// `readout`.
pub(super) fn readout(config: &Fields, frequency_blocks: usize) -> Result<Readout, Error> {
    match config.text("readout", Readout::Spatial.name())?.as_str() {
        "spatial" => Ok(Readout::Spatial),
        "joint" if frequency_blocks > 0 => Ok(Readout::Joint),
        "joint" => Err(config.error("readout", "`joint` needs frequency layers")),
        other => Err(config.error("readout", format!("`{other}` is not supported; `spatial` and `joint` are"))),
    }
}

/// `merging`: the rule, spread and guide of the training.
pub(super) fn merging(config: &Fields) -> Result<Merging, Error> {
    let Some(config) = config.nested("merging")? else { return Ok(Merging::default()) };
    let rule = match config.text("rule", "ward")?.as_str() {
        "ward" => Merge::Ward,
        "tome" => Merge::Tome,
        other => return Err(config.error("rule", format!("`{other}` is not supported; `ward` and `tome` are"))),
    };
    let spread = match config.text("spread", "auto")?.parse::<Shape>() {
        Ok(spread) if !matches!(spread, Shape::List(_)) => spread,
        _ => return Err(config.error("spread", "is not one of auto, geo, constant, decreasing")),
    };
    let strength = config.number("guide", 0.0)?;
    if strength < 0.0 {
        return Err(config.error("guide", format!("{strength} is below 0")));
    }
    let semantic = config.number("semantic", f64::from(Guide::default().semantic))?;
    if !(0.0..=1.0).contains(&semantic) {
        return Err(config.error("semantic", format!("{semantic} is not from 0 to 1")));
    }
    Ok(Merging { rule, spread, guide: Guide { strength: strength as f32, semantic: semantic as f32 } })
}

/// The tensors of stem and frequency stage.
pub(super) fn tensors(vision: &VisionConfig, embedding: usize, expected: &mut Vec<Expected>) {
    let width = vision.width;
    let mut inputs = 3;
    for (layer, &Convolution { outputs, window }) in vision.stem.iter().enumerate() {
        let theirs = format!("vision_model.embeddings.stem.{layer}");
        push_pair(expected, &format!("vision.stem.{layer}"), &theirs, &[outputs, inputs, window.side, window.side]);
        inputs = outputs;
    }
    for block in 0..vision.frequency_blocks {
        let (ours, theirs) = (format!("vision.frequency.{block}"), format!("vision_model.frequency.layers.{block}"));
        push_pair(expected, &format!("{ours}.norm1"), &format!("{theirs}.layer_norm1"), &[width]);
        push(
            expected,
            format!("{ours}.filter"),
            format!("{theirs}.frequency.filter"),
            &[vision.coefficients(), width, 2],
        );
        push_pair(expected, &format!("{ours}.norm2"), &format!("{theirs}.layer_norm2"), &[width]);
        push_pair(expected, &format!("{ours}.fc1"), &format!("{theirs}.mlp.fc1"), &[vision.mlp, width]);
        push_pair(expected, &format!("{ours}.fc2"), &format!("{theirs}.mlp.fc2"), &[width, vision.mlp]);
    }
    if vision.frequency_blocks > 0 {
        push_pair(expected, "vision.frequency.norm", "vision_model.frequency.norm", &[width]);
    }
    if vision.readout == Readout::Joint {
        let (ours, theirs) = ("vision.frequency.projection.weight", "frequency_projection.weight");
        push(expected, ours.into(), theirs.into(), &[embedding, width]);
    }
}

/// The rows of a classifier, which take the tokens' width as it is behind the last norm.
///
/// # Errors
/// [`Error::Tensors`] if there is none.
pub(super) fn rows(checkpoint: &Checkpoint, width: usize, expected: &mut Vec<Expected>) -> Result<(), Error> {
    let Some(&[classes, _]) = checkpoint.shape("classifier.weight") else {
        return Err(Error::tensors(checkpoint.path(), "`classifier.weight` is missing, or not a matrix"));
    };
    let norm = "vision_model.post_layernorm.weight";
    push_view(expected, "vision.projection.weight".into(), norm.into(), &[width], View::Identity);
    push_pair(expected, "classifier", "classifier", &[classes, width]);
    Ok(())
}

/// Whether a tensor only served training: contrasts beside that of the embedding have projections of their own.
pub(super) fn is_training_only(name: &str) -> bool {
    ["frequency_projection.weight", "token_projection.weight"].contains(&name)
}
