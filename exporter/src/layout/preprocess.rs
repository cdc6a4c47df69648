//! What pixels go through before the image tower: `preprocessor_config.json`, or what the user says.

use std::path::Path;
use std::str::FromStr;

use edgelip::preset::Preset;
use edgelip_runtime::image::{Centre, Filter, Preprocess, Resize};
use serde_json::Value;

use super::detect::Found;
use super::fields::Fields;
use crate::error::Error;

/// OpenAI's mean and standard deviation, transformers' defaults for CLIP.
pub(super) const MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
pub(super) const STD: [f32; 3] = [0.26862954, 0.261_302_6, 0.275_777_1];

/// Preprocessing that the user names: a family's, and what is different from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    preset: Preset,
    squash: Option<bool>,
    filter: Option<Filter>,
    resize: Option<usize>,
}

impl Steps {
    /// What a tower that takes `image` pixels, height and width, gets.
    pub fn of(&self, image: [usize; 2]) -> Preprocess {
        let mut steps = self.preset.preprocess(image);
        match self.squash {
            Some(true) => (steps.resize, steps.crop) = (Resize::Exact(image[0], image[1]), None),
            Some(false) if steps.crop.is_none() => {
                (steps.resize, steps.crop) = (Resize::Shortest(image[0].max(image[1])), Some(image));
            }
            _ => {}
        }
        if let Some(side) = self.resize {
            (steps.resize, steps.crop) = (Resize::Shortest(side), Some(image));
        }
        steps.filter = self.filter.unwrap_or(steps.filter);
        steps
    }
}

impl FromStr for Steps {
    type Err = String;

    /// `FAMILY`, then any of `shortest`, `squash`, `bilinear`, `bicubic` and `resize=PIXELS`, with commas between.
    fn from_str(text: &str) -> Result<Steps, String> {
        let mut words = text.split(',');
        let family = words.next().unwrap_or_default();
        let family = if family == "openai" { "clip" } else { family };
        let Some(&(_, preset)) = Preset::ALL.iter().find(|(name, _)| *name == family) else {
            let names: Vec<&str> = Preset::ALL.iter().map(|(name, _)| *name).collect();
            return Err(format!("no preprocessing is called `{family}`; there are {}", names.join(", ")));
        };
        let mut steps = Steps { preset, squash: None, filter: None, resize: None };
        for word in words {
            match word.split_once('=') {
                None if word == "shortest" => steps.squash = Some(false),
                None if word == "squash" => steps.squash = Some(true),
                None if word == "bilinear" => steps.filter = Some(Filter::Bilinear),
                None if word == "bicubic" => steps.filter = Some(Filter::Bicubic),
                Some(("resize", side)) => match side.parse() {
                    Ok(side @ 1..=MAX_SIDE) => steps.resize = Some(side),
                    _ => return Err(format!("resize={side} is not from 1 to {MAX_SIDE}")),
                },
                _ => {
                    return Err(format!(
                        "`{word}` is none of shortest, squash, bilinear, bicubic and resize=PIXELS (of the shorter side)"
                    ));
                }
            }
        }
        if steps.squash == Some(true) && steps.resize.is_some() {
            return Err("an image is either squashed or resized by its shorter side".into());
        }
        Ok(steps)
    }
}

/// Largest side to resize to.
const MAX_SIDE: usize = 1 << 14;

/// What the user says, else what the folder does.
///
/// # Errors
/// Those of [`read`].
pub(super) fn of_folder(found: &Found, image: [usize; 2]) -> Result<Preprocess, Error> {
    match &found.options.preprocess {
        Some(steps) => Ok(steps.of(image)),
        None => read(&found.folder, image),
    }
}

/// Reads the steps of `preprocessor_config.json` (or of `image_processor` in `processor_config.json`) for a tower that takes `image` pixels, height and
/// width.
///
/// # Errors
/// [`Error::Malformed`] if there is neither file, [`Error::Config`] for steps that are not supported or do not end with such an image.
pub fn read(folder: &Path, image: [usize; 2]) -> Result<Preprocess, Error> {
    let config = find(folder)?;
    let older = config.text("feature_extractor_type", "CLIPImageProcessor")?;
    let kind = config.text("image_processor_type", &older)?;
    if config.get("size").is_none() && !kind.starts_with("CLIP") {
        return Err(config
            .error("size", format!("is missing, and the defaults of {kind} are not known: write all settings out")));
    }
    let [siglip, vit] = ["Siglip", "ViT"].map(|family| kind.starts_with(family));
    let resize = match config.get("size") {
        _ if !config.flag("do_resize", true)? => Resize::None,
        // Both sides, where CLIP means the shorter one.
        Some(Value::Number(_)) if vit => config.size("size", 224).map(|side| Resize::Exact(side, side))?,
        _ => resize(&config)?,
    };
    let crop = if config.flag("do_center_crop", !siglip && !vit)? { Some(crop(&config)?) } else { None };
    check(&config, &resize, crop, image)?;
    let filter = match config.size("resample", if vit { 2 } else { 3 }) {
        Ok(2) => Filter::Bilinear,
        Ok(3) => Filter::Bicubic,
        _ => return Err(config.error("resample", "only 2 (bilinear) and 3 (bicubic) are supported")),
    };
    let rescale = if config.flag("do_rescale", true)? { config.number("rescale_factor", 1.0 / 255.0)? } else { 1.0 };
    if rescale <= 0.0 {
        return Err(config.error("rescale_factor", format!("{rescale} is not positive")));
    }
    let (mean, std) = if config.flag("do_normalize", true)? {
        let [mean, std] = if siglip || vit { [[0.5; 3]; 2] } else { [MEAN, STD] };
        (channels(&config, "image_mean", mean)?, channels(&config, "image_std", std)?)
    } else {
        ([0.0; 3], [1.0; 3])
    };
    if std.iter().any(|&std| std <= 0.0) {
        return Err(config.error("image_std", "has values that are not positive"));
    }
    Ok(Preprocess { resize, filter, crop, centre: Centre::Floor, rescale, mean, std })
}

/// Makes the steps end with `side` by `side` pixels instead of `from`; what is cut off stays in proportion.
pub fn rescale(preprocess: &mut Preprocess, from: [usize; 2], side: usize) {
    let scale = |length: usize, from: usize| ((length as f64 * side as f64 / from as f64).round() as usize).max(1);
    preprocess.resize = match preprocess.resize {
        Resize::Shortest(length) => Resize::Shortest(scale(length, from[0].max(from[1]))),
        Resize::Exact(height, width) => Resize::Exact(scale(height, from[0]), scale(width, from[1])),
        // Without a resize the crop alone decides which pixels are seen.
        Resize::None => Resize::None,
    };
    if preprocess.crop.is_some() {
        preprocess.crop = Some([side; 2]);
    }
}

fn find(folder: &Path) -> Result<Fields, Error> {
    let path = folder.join("preprocessor_config.json");
    if path.exists() {
        return Fields::read(&path);
    }
    let processor = folder.join("processor_config.json");
    if processor.exists()
        && let Some(nested) = Fields::read(&processor)?.nested("image_processor")?
    {
        return Ok(nested);
    }
    let reason = "is missing: copy it from the original model, or say what it would with --preprocess clip (or siglip, imagenet, …); \
                  a wrong mean, size or filter would silently cost accuracy, so none is assumed";
    Err(Error::malformed(path, reason))
}

fn resize(config: &Fields) -> Result<Resize, Error> {
    let Some(size) = config.get("size") else { return Ok(Resize::Shortest(224)) };
    let Value::Object(sides) = size else { return Ok(Resize::Shortest(config.as_size("size", size)?)) };
    let side = |key: &str| sides.get(key).map(|value| config.as_size("size", value)).transpose();
    match (side("shortest_edge")?, side("height")?, side("width")?, sides.len()) {
        (Some(shortest), None, None, 1) => Ok(Resize::Shortest(shortest)),
        (None, Some(height), Some(width), 2) => Ok(Resize::Exact(height, width)),
        _ => Err(config.error(
            "size",
            format!("{size} is not supported; {{\"shortest_edge\": …}} and {{\"height\": …, \"width\": …}} are"),
        )),
    }
}

fn crop(config: &Fields) -> Result<[usize; 2], Error> {
    let Some(size) = config.get("crop_size") else { return Ok([224; 2]) };
    let Value::Object(sides) = size else { return Ok([config.as_size("crop_size", size)?; 2]) };
    match (sides.get("height"), sides.get("width"), sides.len()) {
        (Some(height), Some(width), 2) => {
            Ok([config.as_size("crop_size", height)?, config.as_size("crop_size", width)?])
        }
        _ => Err(config.error("crop_size", format!("{size} is not supported; {{\"height\": …, \"width\": …}} is"))),
    }
}

fn check(config: &Fields, resize: &Resize, crop: Option<[usize; 2]>, image: [usize; 2]) -> Result<(), Error> {
    let wanted = format!("image_size in config.json is {}×{}: correct the one that is wrong", image[0], image[1]);
    if let Some([height, width]) = crop
        && [height, width] != image
    {
        return Err(config.error("crop_size", format!("{height}×{width}, but {wanted}")));
    }
    match *resize {
        Resize::Exact(height, width) if crop.is_none() && [height, width] != image => {
            Err(config.error("size", format!("{height}×{width} without a crop, but {wanted}")))
        }
        Resize::Shortest(_) | Resize::None if crop.is_none() => Err(config.error(
            "do_center_crop",
            "is false, so images would reach the model in any shape: set it to true, or size to a height and a width",
        )),
        _ => Ok(()),
    }
}

pub(super) fn channels(config: &Fields, key: &str, default: [f32; 3]) -> Result<[f32; 3], Error> {
    let Some(value) = config.get(key) else { return Ok(default) };
    let numbers: Option<Vec<f32>> = value
        .as_array()
        .and_then(|values| values.iter().map(|value| value.as_f64().map(|number| number as f32)).collect());
    match numbers.as_deref() {
        Some(&[red, green, blue]) if [red, green, blue].iter().all(|number| number.is_finite()) => {
            Ok([red, green, blue])
        }
        _ => Err(config.error(key, format!("{value} is not a list of three numbers"))),
    }
}

#[cfg(test)]
#[path = "preprocess_tests.rs"]
mod tests;
