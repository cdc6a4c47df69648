//! Checkpoints by OpenAI's names: with a configuration, without, and such as can't be exported.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::layout::crafted::{self, Shapes};
use crate::layout::{Layout, Options};
use crate::source::Source;

fn config() -> Value {
    json!({
        "model_cfg": {
            "embed_dim": 6,
            "quick_gelu": true,
            "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 128, "layers": 2, "mlp_ratio": 1.5},
            "text_cfg": {"context_length": 7, "vocab_size": 9, "width": 64, "heads": 1, "layers": 1, "mlp_ratio": 0.5},
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0], "interpolation": "bilinear", "resize_mode": "squash"},
    })
}

/// The tensors of such a model, its text tower below `prefix`.
fn shapes(prefix: &str) -> Shapes {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(CONFIG);
    fs::write(&path, config().to_string()).expect("written");
    let model = Fields::read(&path).expect("an object").nested("model_cfg").expect("an object").expect("there");
    let mut expected = Vec::new();
    vision_tensors(&open_clip_config::vision(&model).expect("supported"), 6, &mut expected);
    let text = open_clip_config::text(&model).expect("supported");
    text_tensors(&text, prefix, (Projection::Matrix, 6), &mut expected);
    let mut shapes: Shapes = expected.into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
    shapes.insert("logit_scale".into(), vec![]);
    shapes
}

fn folder(config: Option<&Value>, shapes: &Shapes) -> TempDir {
    crafted::folder(config.map(|config| (CONFIG, config)), "open_clip_model.safetensors", shapes)
}

fn refused(config: Option<&Value>, shapes: &Shapes, reason: &str) {
    crafted::refused(&folder(config, shapes), &Options::default(), reason);
}

fn known() -> Options {
    let preprocess = Some("clip".parse().expect("known"));
    Options { preprocess, activation: Some(Activation::Gelu), tokenizer: None }
}

#[test]
fn the_configuration_is_followed() {
    for prefix in ["", "text."] {
        let folder = folder(Some(&config()), &shapes(prefix));
        let layout = Layout::open(folder.path(), &Options::default()).expect("complete");
        assert_eq!(layout.name(), "open_clip");
        let model = layout.model();
        let (vision, text) = (model.vision().expect("a tower"), model.text().expect("a tower"));
        assert_eq!(
            (vision.image_size, vision.width, vision.heads, vision.blocks, vision.mlp),
            ([32; 2], 128, 2, 2, 192)
        );
        assert_eq!((text.context, text.vocabulary, text.heads, text.mlp, text.eot), (7, 9, 1, 32, 8));
        assert_eq!((vision.activation, text.activation), (Activation::QuickGelu, Activation::QuickGelu));
        let steps = model.preprocess().expect("steps");
        assert_eq!((steps.mean, steps.std, steps.crop), ([0.5; 3], [0.25, 0.5, 1.0], None));
    }
}

#[test]
fn fused_and_transposed_tensors_become_canonical() {
    let folder = folder(Some(&config()), &shapes(""));
    let layout = Layout::open(folder.path(), &Options::default()).expect("complete");
    for (index, part) in ["q", "k", "v"].into_iter().enumerate() {
        let weight = layout.tensor(&format!("text.blocks.0.{part}.weight")).expect("there");
        assert_eq!((weight.shape, weight.data[0]), (vec![64, 64], (index * 64 * 64) as f32));
        let bias = layout.tensor(&format!("text.blocks.0.{part}.bias")).expect("there");
        assert_eq!((bias.shape, bias.data[0]), (vec![64], (index * 64) as f32));
    }
    let projection = layout.tensor("vision.projection.weight").expect("there");
    assert_eq!((projection.shape, &projection.data[..3]), (vec![6, 128], &[0.0, 6.0, 12.0][..]));
    assert_eq!(layout.tensor("logit_scale").expect("there").shape, [0; 0]);
    // Each weight counts once, though three names lead to a fused one.
    let of_vision = shapes("").into_iter().filter(|(name, _)| name.starts_with("visual."));
    let parameters: usize = of_vision.map(|(_, shape)| shape.iter().product::<usize>()).sum();
    assert_eq!(layout.parameters("vision"), parameters as u64);
}

#[test]
fn without_a_configuration_the_user_must_say_what_shapes_do_not() {
    let shapes = shapes("");
    refused(None, &shapes, "give --activation quick_gelu");
    let bare = folder(None, &shapes);
    let options = Options { preprocess: None, ..known() };
    let said = Layout::open(bare.path(), &options).map(drop).expect_err("unknown").to_string();
    assert!(said.contains("give --preprocess clip"), "{said}");
    let layout = Layout::open(&bare.path().join("open_clip_model.safetensors"), &known()).expect("complete");
    let with = folder(Some(&config()), &shapes);
    let same = Layout::open(with.path(), &known()).expect("complete");
    assert_eq!(layout.model().vision, same.model().vision);
    assert_eq!(layout.model().text, same.model().text);
    assert_eq!(layout.model().preprocess, same.model().preprocess);
    let mut one = shapes.clone();
    one.retain(|name, _| name.starts_with("visual."));
    let layout = Layout::open(folder(None, &one).path(), &known()).expect("an image tower");
    assert!(layout.model().text.is_none() && layout.model().embedding == 6);
}

#[test]
fn openais_numbers_tell_openais_models() {
    let mut shapes = shapes("");
    shapes.insert("input_resolution".into(), vec![]);
    shapes.insert("visual.transformer.resblocks.0.attn_mask".into(), vec![5, 5]);
    let folder = folder(None, &shapes);
    let layout = Layout::open(folder.path(), &Options::default()).expect("complete");
    assert_eq!(layout.name(), "OpenAI CLIP");
    let vision = layout.model().vision().expect("a tower");
    assert_eq!((vision.activation, vision.heads, vision.mlp), (Activation::QuickGelu, 2, 192));
    assert_eq!(layout.model().preprocess, Some(Preset::Clip.preprocess([32; 2])));
}

#[test]
fn settings_that_change_the_arithmetic_are_refused() {
    let with = |section: &str, key: &str, value: Value, reason: &str| {
        let mut config = config();
        config["model_cfg"][section][key] = value;
        refused(Some(&config), &shapes(""), reason);
    };
    with("vision_cfg", "attentional_pool", json!(true), "vision_cfg.attentional_pool: true is not supported; false is");
    with("vision_cfg", "pool_type", json!("avg"), "vision_cfg.pool_type: \"avg\" is not supported; \"tok\" is");
    with("vision_cfg", "ls_init_value", json!(0.1), "vision_cfg.ls_init_value: 0.1 is not supported");
    with("vision_cfg", "layers", json!([3, 4, 6, 3]), "as of a ResNet");
    with("vision_cfg", "head_width", json!(60), "60 does not divide width 128");
    with("vision_cfg", "layers", json!(49), "more than the 48");
    with("text_cfg", "hf_model_name", json!("roberta-base"), "text_cfg.hf_model_name: \"roberta-base\" is not");
    with("text_cfg", "no_causal_mask", json!(true), "absent with no_causal_mask is not supported; {\"clean\":");
    with("text_cfg", "act_kwargs", json!({"approximate": "tanh"}), "act_kwargs: {\"approximate\":\"tanh\"} is not");
    with("vision_cfg", "norm_kwargs", json!({"eps": 2}), "norm_kwargs.eps: 2 is not between 0 and 1");
    with("vision_cfg", "norm_kwargs", json!({"bias": false}), "norm_kwargs.bias: is not supported; `eps` is");
    with(
        "text_cfg",
        "width",
        json!(128),
        "`token_embedding.weight` is [9, 64], but open_clip_config.json makes it [9, 128]",
    );
    let mut coca = config();
    coca["model_cfg"]["multimodal_cfg"] = json!({"width": 768});
    refused(Some(&coca), &shapes(""), "model_cfg.multimodal_cfg");
    for (key, value) in [
        ("resize_mode", json!("longest")),
        ("interpolation", json!("lanczos")),
        ("size", json!(64)),
        ("mode", json!("L")),
    ] {
        let mut config = config();
        config["preprocess_cfg"][key] = value;
        refused(Some(&config), &shapes(""), &format!("preprocess_cfg.{key}"));
    }
}

#[test]
fn what_has_no_tokens_is_told_apart() {
    for (name, what) in [
        ("visual.layer1.0.conv1.weight", "its image tower is a ResNet"),
        ("visual.trunk.stages.0.blocks.0.conv.weight", "a convolutional hybrid (MobileCLIP S0–S2"),
        ("backbone.features.0.weight", "of no layout that is known; supported are"),
    ] {
        let shapes = Shapes::from([(name.to_owned(), vec![4, 4])]);
        refused(None, &shapes, what);
        refused(None, &shapes, &format!("the first tensors here are `{name}`"));
    }
}

#[test]
fn shapes_that_make_no_tower_are_named() {
    let changed = |name: &str, shape: Option<&[usize]>, reason: &str| {
        let mut shapes = shapes("");
        match shape {
            Some(shape) => shapes.insert(name.into(), shape.to_vec()),
            None => shapes.remove(name),
        };
        let folder = folder(None, &shapes);
        let said = Layout::open(folder.path(), &known()).map(drop).expect_err(reason).to_string();
        assert!(said.contains(reason), "{said}\nlacks\n{reason}");
    };
    changed("visual.proj", None, "`visual.proj` is missing");
    changed("visual.positional_embedding", Some(&[7, 128]), "has 7 rows: not a class token and a square");
    changed("visual.conv1.weight", Some(&[128, 1, 16, 16]), "not the convolution of square patches");
    changed("visual.conv1.weight", Some(&[100, 3, 16, 16]), "not a multiple of 64");
    changed("visual.transformer.resblocks.0.ln_1.weight", None, "has 0 blocks");
    changed(
        "text_projection",
        Some(&[64, 5]),
        "`text_projection` is [64, 5], but the rest of the checkpoint makes it [64, 6]",
    );
    changed(
        "visual.transformer.resblocks.0.ls_1.gamma",
        Some(&[128]),
        "`visual.transformer.resblocks.0.ls_1.gamma` is not part of a CLIP",
    );
}
