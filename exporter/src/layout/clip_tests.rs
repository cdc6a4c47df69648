//! Checkpoints of a made-up CLIP: complete, reduced, and damaged in one place.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::layout::crafted::{self, Shapes};
use crate::layout::{Layout, Options};
use crate::source::{Activation, Source, TextPooling};

fn config() -> Value {
    json!({
        "model_type": "clip",
        "projection_dim": 6,
        "vision_config": {
            "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 16,
        },
        "text_config": {
            "hidden_size": 4, "intermediate_size": 5, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 9,
            "max_position_embeddings": 7, "eos_token_id": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-6,
        },
    })
}

/// The tensors such a model has, with a buffer that older versions stored.
fn shapes(prefix: &str) -> Shapes {
    let towers = towers(&config());
    let mut expected = Vec::new();
    vision_tensors(&towers.vision.expect("a tower"), 6, &mut expected);
    text_tensors(&towers.text.expect("a tower"), &mut expected);
    project("vision", "visual_projection", [6, 8], &mut expected);
    project("text", "text_projection", [6, 4], &mut expected);
    let mut shapes: Shapes =
        expected.into_iter().map(|tensor| (format!("{prefix}{}", tensor.name), tensor.shape)).collect();
    shapes.insert(format!("{prefix}logit_scale"), vec![]);
    shapes.insert(format!("{prefix}text_model.embeddings.position_ids"), vec![1, 7]);
    shapes
}

fn towers(config: &Value) -> Towers {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.json");
    fs::write(&path, config.to_string()).expect("written");
    clip_config::towers(&Fields::read(&path).expect("an object")).expect("supported")
}

fn folder(config: &Value, shapes: &Shapes) -> TempDir {
    let folder = crafted::folder(Some(("config.json", config)), "model.safetensors", shapes);
    fs::write(folder.path().join("preprocessor_config.json"), r#"{"size": 32, "crop_size": 32}"#).expect("written");
    folder
}

fn complaint(config: &Value, shapes: &Shapes) -> String {
    Layout::open(folder(config, shapes).path(), &Options::default()).expect_err("refused").to_string()
}

#[test]
fn every_tensor_has_its_canonical_name() {
    for prefix in ["", "clip."] {
        let folder = folder(&config(), &shapes(prefix));
        let clip = Layout::open(folder.path(), &Options::default()).expect("complete");
        let model = clip.model();
        let vision = model.vision().expect("a tower");
        assert_eq!((vision.image_size, vision.width, vision.heads, vision.blocks, vision.mlp), ([32; 2], 8, 2, 2, 12));
        assert_eq!((vision.activation, vision.norm_eps), (Activation::QuickGelu, 1e-5));
        let text = model.text().expect("a tower");
        assert_eq!((text.activation, text.norm_eps, text.context), (Activation::Gelu, 1e-6, 7));
        assert_eq!((text.pooling, text.eot), (TextPooling::EotArgmax, 8));
        assert_eq!(clip.tensor("vision.blocks.1.fc1.weight").expect("there").shape, [12, 8]);
        assert_eq!(clip.tensor("text.position").expect("there").shape, [7, 4]);
        assert_eq!(clip.tensor("logit_scale").expect("there").shape, [0; 0]);
        assert_eq!(model.logit_scale, 1.0);
        assert!(!clip.has("vision.patch.bias") && clip.has("vision.patch.weight"));
        assert!(matches!(clip.tensor("vision.blocks.2.fc1.weight"), Err(Error::MissingTensor(_))));
    }
}

#[test]
fn one_tower_is_enough() {
    let only = |start: [&str; 2]| -> Shapes {
        shapes("").into_iter().filter(|(name, _)| start.iter().any(|start| name.starts_with(start))).collect()
    };
    let mut flat = config()["vision_config"].clone();
    flat["model_type"] = json!("clip_vision_model");
    flat["projection_dim"] = json!(6);
    for config in [config(), flat] {
        let clip_folder = folder(&config, &only(["vision", "visual"]));
        let clip = Layout::open(clip_folder.path(), &Options::default()).expect("an image tower");
        assert!(clip.model().text.is_none() && clip.model().vision.is_some());
        assert!((clip.model().logit_scale - 14.285).abs() < 0.01);
    }
    let text_folder = folder(&config(), &only(["text_", "text_"]));
    fs::remove_file(text_folder.path().join("preprocessor_config.json")).expect("removed");
    let clip = Layout::open(text_folder.path(), &Options::default()).expect("a text tower");
    assert!(clip.model().vision.is_none() && clip.model().text.is_some());
    let headless = complaint(&config(), &only(["vision", "vision"]));
    assert!(headless.contains("`visual_projection.weight` is missing"), "{headless}");
    let tower = |(name, shape): (String, Vec<usize>)| Some((name.strip_prefix("vision_model.")?.to_owned(), shape));
    let bare = complaint(&config(), &shapes("").into_iter().filter_map(tower).collect());
    assert!(bare.contains("save a CLIPVisionModelWithProjection"), "{bare}");
}

#[test]
fn all_mismatches_are_listed_at_once() {
    let mut shapes = shapes("");
    shapes.remove("vision_model.encoder.layers.1.mlp.fc1.bias");
    shapes.remove("logit_scale");
    shapes.insert("vision_model.encoder.layers.2.mlp.fc1.bias".into(), vec![12]);
    shapes.insert("text_projection.weight".into(), vec![6, 5]);
    let error = complaint(&config(), &shapes);
    for part in [
        "`vision_model.encoder.layers.1.mlp.fc1.bias` is missing",
        "`logit_scale` is missing",
        "`vision_model.encoder.layers.2.mlp.fc1.bias` is not part of a CLIP",
        "`text_projection.weight` is [6, 5], but config.json makes it [6, 4]",
    ] {
        assert!(error.contains(part), "{part} not in {error}");
    }
}

#[test]
fn unsupported_settings_are_named() {
    let with = |tower: &str, key: &str, value: Value| {
        let mut config = config();
        config[tower][key] = value;
        complaint(&config, &shapes(""))
    };
    assert!(
        with("vision_config", "hidden_act", json!("relu6"))
            .contains("vision_config.hidden_act: activation `relu6` is not")
    );
    assert!(with("vision_config", "num_channels", json!(1)).contains("vision_config.num_channels: 1 colour"));
    assert!(
        with("vision_config", "patch_size", json!(12)).contains("image_size: 32 is not a multiple of patch_size 12")
    );
    assert!(with("vision_config", "image_size", json!([32, 48])).contains("not square"));
    assert!(with("text_config", "num_attention_heads", json!(3)).contains("3 does not divide hidden_size 4"));
    assert!(with("vision_config", "num_hidden_layers", json!(1 << 24)).contains("more than the 48 that are supported"));
    assert!(with("text_config", "num_hidden_layers", json!(49)).contains("text_config.num_hidden_layers: 49 is more"));
    assert!(with("text_config", "hidden_size", json!(-4)).contains("text_config.hidden_size: -4 is not"));
    assert!(with("text_config", "layer_norm_eps", json!(0)).contains("layer_norm_eps"));
    assert!(with("text_config", "eos_token_id", json!([1, 2])).contains("eos_token_id"));
    let mut other = config();
    other["model_type"] = json!("clap");
    assert!(
        complaint(&other, &shapes("")).contains("model_type `clap` in config.json is not supported; supported are")
    );
}

#[test]
fn the_legacy_section_overrides_by_its_defaults_too() {
    let mut config = config();
    config["vision_config_dict"] = json!({"hidden_size": 24, "patch_size": 16});
    let vision = towers(&config).vision.expect("a tower");
    assert_eq!((vision.width, vision.image_size, vision.mlp), (24, [224; 2], 3072));
}

#[test]
fn another_image_size_resamples_the_position() {
    let folder = folder(&config(), &shapes(""));
    let mut clip = Layout::open(folder.path(), &Options::default()).expect("complete");
    let before = clip.tensor("vision.position").expect("there");
    clip.set_image_size(64).expect("a multiple");
    let after = clip.tensor("vision.position").expect("there");
    assert_eq!(after.shape, [17, 8]);
    assert_eq!(after.data.len(), 17 * 8);
    assert_eq!(after.data[..8], before.data[..8]);
    assert_eq!(clip.model().preprocess().expect("steps").crop, Some([64, 64]));
    let error = clip.set_image_size(40).expect_err("no multiple").to_string();
    assert!(error.contains("40 is not a multiple of the patch size 16: try 32 or 48"), "{error}");
}
