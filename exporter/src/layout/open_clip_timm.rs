//! Image towers of open_clip's that are timm's, by `timm_model_name` of `vision_cfg`.

use super::fields::Fields;
use super::tensors::{Expected, push, push_pair};
use super::timm::Trunk;
use super::timm_architecture::{Architecture, Pool};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::VisionConfig;

/// What such towers' names begin with.
pub(super) const TRUNK: &str = "visual.trunk.";
/// A projection behind the tower, if it does not have one itself.
const PROJECTION: &str = "visual.head.proj";

/// A tower and where its tensors are, a projection among them.
pub(super) struct Tower {
    /// The kind of model: `clip`, or `siglip` by the name of the architecture.
    pub(super) family: &'static str,
    pub(super) vision: VisionConfig,
    pub(super) tensors: Vec<Expected>,
}

/// Reads `vision_cfg` of `model_cfg`, whose tower gives embeddings of this length.
///
/// # Errors
/// [`Error::Config`] for settings that are not supported; [`Error::Tensors`] for shapes that make no tower.
pub(super) fn tower(checkpoint: &Checkpoint, model: &Fields, embedding: usize) -> Result<Tower, Error> {
    let config = model.nested("vision_cfg")?.unwrap_or_else(|| model.empty("vision_cfg"));
    let name = config.text("timm_model_name", "")?;
    let mut architecture = Architecture::named(&name).map_err(|reason| config.error("timm_model_name", reason))?;
    let pool = config.text("timm_pool", "avg")?;
    // Without a word it is the architecture's own.
    if !pool.is_empty() {
        architecture.pool = Pool::named(&pool).map_err(|reason| config.error("timm_pool", reason))?;
    }
    let trunk = Trunk { checkpoint, prefix: TRUNK, architecture, image: config.square("image_size", 224)? };
    let mut vision = trunk.vision()?;
    let mut tensors = Vec::new();
    trunk.tensors(&vision, &mut tensors);
    let has = |name: &str| checkpoint.shape(name).is_some();
    // `null` is as good as absent here, but not in open_clip: what there is tells.
    let projection = match config.text("timm_proj", "")?.as_str() {
        "" if has(&format!("{PROJECTION}.weight")) => "linear",
        "" if trunk.shape("head.weight").is_some() => "trunk",
        "" | "none" => "none",
        "linear" => "linear",
        other => return Err(config.error("timm_proj", format!("`{other}` is not supported; linear and none are"))),
    };
    let shape = [embedding, vision.width];
    match projection {
        "linear" => {
            push(&mut tensors, "vision.projection.weight".into(), format!("{PROJECTION}.weight"), &shape);
            let bias = format!("{PROJECTION}.bias");
            if has(&bias) {
                push(&mut tensors, "vision.projection.bias".into(), bias, &shape[..1]);
            }
        }
        "trunk" => push_pair(&mut tensors, "vision.projection", &format!("{TRUNK}head"), &shape),
        _ if embedding == vision.width => trunk.without_projection(&mut vision, &mut tensors),
        _ => {
            let reason = format!("{embedding}, but the image tower gives {} and has no projection", vision.width);
            return Err(model.error("embed_dim", reason));
        }
    }
    let family = if trunk.architecture.is_siglip { "siglip" } else { "clip" };
    Ok(Tower { family, vision, tensors })
}

#[cfg(test)]
#[path = "open_clip_timm_tests.rs"]
mod tests;
