//! A trained model for others: averaged weights as half floats under the names of Hugging Face's CLIP, with its configuration.

use std::fs;
use std::path::Path;

use serde_json::json;
use tch::{Kind, Tensor};

use crate::config::{Config, Objective};
use crate::error::Error;
use crate::model::logit_scale;
use crate::resolution;
use crate::tensor_file::{self, Contents, replace};
use crate::wordnet::Vocabulary;

/// Queries, keys and values, in the order of `qkv_proj`.
const PARTS: [&str; 3] = ["q_proj", "k_proj", "v_proj"];
const PATCH: &str = "vision_model.embeddings.patch_embedding.weight";
/// Tensors that only training needs.
const TRAINING_ONLY: [&str; 3] = ["logit_scale", "frequency_logit_scale", "token_logit_scale"];

/// Writes `model.safetensors`, `config.json`, `preprocessor_config.json` and `training.toml`; the bytes of the first. With `image`, the
/// model is one for images of that side: see [`resolution`]. A `catlip` model's classifier is a bank of labels (Transfer Init, and zero-shot
/// scores without a text tower): row `i` of `classifier.weight [C, D]` and `classifier.bias [C]` is label `i` of the vocabulary, whose names
/// are `id2label` in `config.json`; the vocabulary goes into `synsets.tsv`.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] if the checkpoint is not a run's, [`Error::Config`] if the side is not a multiple of the patch.
pub fn publish(
    checkpoint: &Path,
    folder: &Path,
    image: Option<i64>,
    vocabulary: Option<&Vocabulary>,
) -> Result<u64, Error> {
    let mut contents = tensor_file::read(checkpoint)?;
    let mut config: Config =
        toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(checkpoint, error))?;
    let trained = config.vision.clone();
    config.vision = resolution::at(&trained, image.unwrap_or(trained.image))?;
    if config.objective == Objective::Catlip && vocabulary.map(|it| it.labels.len() as i64) != Some(config.labels.count)
    {
        return Err(Error::Config(format!(
            "a catlip model is published with the vocabulary of {} synsets that it was trained with",
            config.labels.count
        )));
    }
    let text = toml::to_string(&config).map_err(|error| Error::Config(error.to_string()))?;
    let mut names: Vec<String> =
        contents.names().filter_map(|name| name.strip_prefix("average.").map(str::to_owned)).collect();
    if names.is_empty() {
        return Err(Error::malformed(checkpoint, "no averaged weights: give a run's checkpoint"));
    }
    names.sort();
    let scale = logit_scale(&mut contents);

    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for name in names.iter().filter(|name| !TRAINING_ONLY.contains(&name.as_str())) {
        let tensor = contents.take(&format!("average.{name}"))?;
        let tensor = resolution::resample(name, tensor, &trained, &config.vision).to_kind(Kind::Half);
        match name.split_once("qkv_proj") {
            Some((block, kind)) => {
                let split = tensor.chunk(3, 0).into_iter().zip(PARTS);
                tensors.extend(split.map(|(part, name)| (format!("{block}{name}{kind}"), part)));
            }
            None if name == PATCH => {
                tensors.push((name.clone(), tensor.view([-1, 3, config.vision.patch, config.vision.patch])))
            }
            None => tensors.push((name.clone(), tensor)),
        }
    }
    let path = folder.join("model.safetensors");
    let views: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut words = vec![("format", "pt".to_owned()), ("config", text.clone())];
    words.extend(scale.map(|scale| ("logit_scale", scale.to_string())));
    tensor_file::write(&path, &views, &words)?;

    replace(&folder.join("config.json"), pretty(&description(&config, scale, vocabulary)).as_bytes())?;
    replace(&folder.join("preprocessor_config.json"), pretty(&preprocessing(&config)).as_bytes())?;
    replace(&folder.join("training.toml"), text.as_bytes())?;
    if let Some(vocabulary) = vocabulary {
        vocabulary.write(&folder.join("synsets.tsv"))?;
    }
    Ok(fs::metadata(&path).map_err(Error::io(&path))?.len())
}

/// Gives a run's checkpoint or a published model another logit scale, by its logarithm: a published one in `config.json` beside it too.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] if a file is not what it should be.
pub fn rescale(model: &Path, scale: f64) -> Result<(), Error> {
    if tensor_file::read(model)?.word("step").is_err() {
        let path = model.with_file_name("config.json");
        let text = fs::read(&path).map_err(Error::io(&path))?;
        let mut description: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| Error::malformed(&path, error))?;
        let Some(number) = description.get_mut("logit_scale_init_value") else {
            return Err(Error::malformed(&path, "no `logit_scale_init_value`"));
        };
        *number = json!(scale);
        replace(&path, pretty(&description).as_bytes())?;
    }
    tensor_file::annotate(model, "logit_scale", &scale.to_string())
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Takes a published model's tensor by the name it has in training: the inverse of [`publish`]'s renaming.
///
/// # Errors
/// [`Error::Malformed`] if it is missing.
pub fn take(contents: &mut Contents, name: &str) -> Result<Tensor, Error> {
    match name.split_once("qkv_proj") {
        Some((block, kind)) => {
            let parts: Result<Vec<Tensor>, Error> =
                PARTS.iter().map(|part| contents.take(&format!("{block}{part}{kind}"))).collect();
            Ok(Tensor::cat(&parts?, 0))
        }
        None if name == PATCH => {
            let kernel = contents.take(name)?;
            Ok(kernel.view([kernel.size()[0], -1]))
        }
        None => contents.take(name),
    }
}

fn description(config: &Config, scale: Option<f64>, vocabulary: Option<&Vocabulary>) -> serde_json::Value {
    let vision = &config.vision;
    let mut description = json!({
        "model_type": match config.objective {
            Objective::Clip => "clip",
            Objective::Mlip => "mlip",
            Objective::Catlip => "catlip",
        },
        "projection_dim": vision.embedding,
        "logit_scale_init_value": scale,
        "vision_config": {
            "image_size": vision.image,
            "patch_size": vision.patch,
            "num_channels": 3,
            "hidden_size": vision.width,
            "intermediate_size": vision.mlp,
            "num_attention_heads": vision.heads,
            "num_hidden_layers": vision.spatial_blocks,
            "hidden_act": "gelu",
            "layer_norm_eps": crate::nn::EPSILON,
            "projection_dim": vision.embedding,
        },
    });
    if !vision.stem.is_empty() {
        description["vision_config"]["stem_widths"] = json!(vision.stem);
    }
    if vision.frequency_blocks > 0 {
        description["vision_config"]["num_frequency_layers"] = json!(vision.frequency_blocks);
        description["vision_config"]["readout"] = json!(vision.readout);
    }
    if let Some(vocabulary) = vocabulary {
        let names = vocabulary.labels.iter().enumerate().map(|(row, label)| (row.to_string(), json!(label.name)));
        description["id2label"] = names.collect::<serde_json::Map<_, _>>().into();
    }
    if let Some(merging) = &config.merging {
        description["vision_config"]["merging"] = json!(merging);
    }
    description
}

fn preprocessing(config: &Config) -> serde_json::Value {
    let side = config.vision.image;
    json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true,
        "size": { "shortest_edge": side },
        "resample": 2,
        "do_center_crop": true,
        "crop_size": { "height": side, "width": side },
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": config.vision.mean,
        "image_std": config.vision.std,
        "do_convert_rgb": true,
    })
}
