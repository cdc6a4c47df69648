//! Folders of timm's, accepted and refused.

use edgelip_runtime::image::{Centre, Filter, Resize};
use serde_json::{Value, json};

use super::*;
use crate::layout::crafted::{Shapes, folder, refused};
use crate::layout::{Layout, Options};
use crate::source::{Activation, Source};

/// A tower of 2×2 patches.
fn config(architecture: &str) -> Value {
    json!({
        "architecture": architecture,
        "num_classes": 5,
        "model_args": {"depth": 2, "embed_dim": 8, "num_heads": 2, "drop_rate": 0.1},
        "pretrained_cfg": {"input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0], "crop_pct": 0.9},
    })
}

/// The tensors of a plain classifier of that size.
fn shapes() -> Shapes {
    let mut shapes = Shapes::new();
    let mut put = |name: &str, shape: &[usize]| _ = shapes.insert(name.into(), shape.to_vec());
    put("cls_token", &[1, 1, 8]);
    put("pos_embed", &[1, 5, 8]);
    let mut pair = |name: &str, shape: &[usize]| {
        put(&format!("{name}.weight"), shape);
        put(&format!("{name}.bias"), &shape[..1]);
    };
    pair("patch_embed.proj", &[8, 3, 16, 16]);
    for block in 0..2 {
        for (part, shape) in [
            ("norm1", &[8][..]),
            ("attn.qkv", &[24, 8]),
            ("attn.proj", &[8, 8]),
            ("norm2", &[8]),
            ("mlp.fc1", &[12, 8]),
            ("mlp.fc2", &[8, 12]),
        ] {
            pair(&format!("blocks.{block}.{part}"), shape);
        }
    }
    pair("norm", &[8]);
    pair("head", &[5, 8]);
    shapes
}

fn open(config: &Value, shapes: &Shapes) -> Layout {
    let folder = folder(Some((CONFIG, config)), "model.safetensors", shapes);
    Layout::open(folder.path(), &Options::default()).expect("complete")
}

fn said(config: &Value, shapes: &Shapes, reason: &str) {
    refused(&folder(Some((CONFIG, config)), "model.safetensors", shapes), &Options::default(), reason);
}

#[test]
fn a_classifier_is_what_its_configuration_says() {
    let layout = open(&config("vit_tiny_patch16_224"), &shapes());
    let model = layout.model();
    let vision = model.vision().expect("a tower");
    assert_eq!((layout.name(), model.family.as_str(), model.embedding), ("timm ViT", "vit", 8));
    assert_eq!(layout.tensor("classifier.weight").expect("there").shape, [5, 8]);
    assert_eq!((vision.width, vision.heads, vision.blocks, vision.mlp, vision.patch), (8, 2, 2, 12, 16));
    assert_eq!((vision.norm_eps, vision.activation, vision.pre_norm), (1e-6, Activation::Gelu, false));
    assert_eq!((vision.head.pooling, vision.head.unit), (Pooling::Class, false));
    let steps = model.preprocess().expect("steps");
    assert_eq!((steps.resize, steps.crop, steps.filter), (Resize::Shortest(35), Some([32; 2]), Filter::Bicubic));
    assert_eq!((steps.centre, steps.std), (Centre::Even, [0.25, 0.5, 1.0]));
    let key = layout.tensor("vision.blocks.1.k.weight").expect("there");
    assert_eq!((key.shape, key.data[0]), (vec![8, 8], 64.0));
    assert_eq!(layout.tensor("vision.class").expect("there").shape, [8]);
    let of_tower = shapes().into_iter().filter(|(name, _)| !name.starts_with("head."));
    let count: usize = of_tower.map(|(_, shape)| shape.iter().product::<usize>()).sum();
    assert_eq!(layout.parameters("vision"), count as u64);
}

#[test]
fn rows_of_a_classifier_may_have_names() {
    let named = |names: Value, descriptions: Value| {
        let mut config = config("vit_tiny_patch16_224");
        config["label_names"] = names;
        config["label_descriptions"] = descriptions;
        // The names are read when they are asked for.
        let folder = folder(Some((CONFIG, &config)), "model.safetensors", &shapes());
        let layout = Layout::open(folder.path(), &Options::default()).expect("complete");
        assert_eq!(layout.classes(), Some(5));
        layout.class_names().map_err(|error| error.to_string())
    };
    assert_eq!(named(Value::Null, Value::Null), Ok(None));
    let five = || json!(["n1", "n2", "n3", "n4", "n5"]);
    assert_eq!(named(five(), Value::Null).expect("names").expect("some")[4], "n5");
    let described = named(five(), json!({"n1": "crane", "n2": "crane", "n3": "tench, Tinca tinca"}));
    let described = described.expect("names").expect("some");
    assert_eq!(described, ["crane (n1)", "crane (n2)", "tench, Tinca tinca", "n4", "n5"]);
    let numbered = json!({"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"});
    assert_eq!(named(numbered, Value::Null).expect("names").expect("some"), ["a", "b", "c", "d", "e"]);
    for (names, reason) in [
        (json!(["a"]), "1 names for the 5 rows"),
        (json!(["a", "b", "c", "d", 5]), "row 4 has no name"),
        (json!({"0": "a", "1": "b", "2": "c", "3": "d", "7": "e"}), "row 4 has no name"),
        (json!("a"), "neither a list nor an object"),
    ] {
        let said = named(names, Value::Null).expect_err(reason);
        assert!(said.contains("config.json: label_names: ") && said.contains(reason), "{said}");
    }
}

#[test]
fn what_tensors_show_is_seen() {
    let mut shapes = shapes();
    shapes.insert("pos_embed".into(), vec![1, 4, 8]);
    for block in 0..2 {
        shapes.remove(&format!("blocks.{block}.attn.qkv.bias"));
        shapes.insert(format!("blocks.{block}.ls1.gamma"), vec![8]);
        shapes.insert(format!("blocks.{block}.ls2.gamma"), vec![8]);
    }
    shapes.retain(|name, _| !name.starts_with("head."));
    let layout = open(&config("deit3_small_patch16_224"), &shapes);
    let position = layout.tensor("vision.position").expect("there");
    assert_eq!((position.shape, &position.data[6..10]), (vec![5, 8], &[0.0, 0.0, 0.0, 1.0][..]));
    // Row and scale count up both.
    let out = layout.tensor("vision.blocks.0.out.weight").expect("there");
    assert_eq!((out.data[8], out.data[17]), (8.0, 34.0));
    assert_eq!(layout.tensor("vision.blocks.0.fc2.bias").expect("there").data[3], 9.0);
    assert!(!layout.has("vision.blocks.0.q.bias"));
    let projection = layout.tensor("vision.projection.weight").expect("there");
    assert_eq!((projection.shape, &projection.data[..10]), (vec![8, 8], &[1., 0., 0., 0., 0., 0., 0., 0., 0., 1.][..]));
    assert_eq!(layout.model().embedding, 8);
}

#[test]
fn means_are_of_patches_and_normed_in_either_place() {
    let mut shapes = shapes();
    shapes.remove("cls_token");
    shapes.insert("pos_embed".into(), vec![1, 4, 8]);
    let pooling = |shapes: &Shapes| {
        open(&config("vit_medium_patch16_gap_256"), shapes).model().vision().expect("a tower").head.pooling
    };
    assert_eq!(pooling(&shapes), Pooling::NormedMean);
    for part in ["weight", "bias"] {
        shapes.remove(&format!("norm.{part}"));
        shapes.insert(format!("fc_norm.{part}"), vec![8]);
    }
    assert_eq!(pooling(&shapes), Pooling::Mean);
    shapes.insert("cls_token".into(), vec![1, 1, 8]);
    said(&config("vit_medium_patch16_gap_256"), &shapes, "a class token that is not read is not supported");
}

#[test]
fn names_alone_say_what_is_told_apart_otherwise_by_nothing() {
    let with = |key: &str, value: Value, reason: &str| {
        let mut config = config("vit_tiny_patch16_224");
        config["model_args"][key] = value;
        said(&config, &shapes(), reason);
    };
    said(&config("vit_base_patch16_rpn_224"), &shapes(), "`vit_base_patch16_rpn_224` is not supported, for its `rpn`");
    with("block_fn", json!("x"), "config.json: model_args.block_fn: is not supported");
    with("act_layer", json!("relu"), "`relu` is not supported; gelu");
    with("num_heads", json!(3), "3 does not divide the width 8");
    with("depth", json!(99), "99 is more than the");
    with("depth", json!(3), "`blocks.2.norm1.weight` is missing");
    with("global_pool", json!("max"), "`max` is not supported; token, avg and map are");
    with("img_size", json!(48), "`pos_embed` is [1, 5, 8], but config.json makes it [1, 10, 8]");
    with("img_size", json!([32, 64]), "is not square");
    let mut quick = config("vit_tiny_patch16_224");
    quick["model_args"]["act_layer"] = json!("quick_gelu");
    assert_eq!(open(&quick, &shapes()).model().vision().expect("a tower").activation, Activation::QuickGelu);
}

#[test]
fn what_is_missing_left_over_or_odd_is_named() {
    let changed = |name: &str, shape: Option<&[usize]>, reason: &str| {
        let mut shapes = shapes();
        match shape {
            Some(shape) => shapes.insert(name.into(), shape.to_vec()),
            None => shapes.remove(name),
        };
        said(&config("vit_tiny_patch16_224"), &shapes, reason);
    };
    changed("reg_token", Some(&[1, 4, 8]), "`reg_token` is of register tokens, which are not supported");
    changed("blocks.1.attn.q_norm.weight", Some(&[4]), "norms of queries and keys");
    changed("blocks.0.mlp.w12.weight", Some(&[4]), "gated MLPs");
    changed("blocks.0.mlp.fc1.weight", None, "`blocks.0.mlp.fc1.weight` is missing");
    changed("blocks.1.norm2.bias", None, "`blocks.1.norm2.bias` is missing");
    changed("blocks.2.norm1.weight", Some(&[8]), "`blocks.2.norm1.weight` is not part of a ViT");
    changed("blocks.0.ls1.gamma", Some(&[7]), "`blocks.0.ls1.gamma` is [7]");
    changed("blocks.0.ls1.gamma", Some(&[8]), "`blocks.1.ls1.gamma` is missing");
    changed("blocks.1.attn.qkv.bias", None, "`blocks.1.attn.qkv.bias` is missing");
    changed("patch_embed.proj.bias", None, "`patch_embed.proj.bias` is missing");
    changed("patch_embed.proj.weight", Some(&[8, 1, 16, 16]), "not the convolution of square patches of three");
    changed("norm.weight", Some(&[9]), "`norm.weight` is [9], but config.json makes it [8]");
    let mut hybrid = shapes();
    hybrid.remove("patch_embed.proj.weight");
    hybrid.insert("patch_embed.backbone.stem.conv.weight".into(), vec![8, 3, 7, 7]);
    said(&config("vit_tiny_patch16_224"), &hybrid, "which only MobileCLIP-B's (vit_base_mci_224) may do");
    said(&config("convnext_base"), &shapes(), "`convnext_base` is not supported; supported are timm's vit");
    let bare = folder(None, "model.safetensors", &shapes());
    refused(&bare, &Options::default(), "config.json: is missing, so that nothing says which of timm's architectures");
}

#[test]
fn preprocessing_is_told_by_the_configuration_or_the_user() {
    let with = |key: &str, value: Value, reason: &str| {
        let mut config = config("vit_tiny_patch16_224");
        config["pretrained_cfg"][key] = value;
        said(&config, &shapes(), reason);
    };
    with("mean", Value::Null, "pretrained_cfg.mean: is missing");
    with("std", json!([0.5, 0.0, 0.5]), "not positive");
    with("interpolation", json!("lanczos"), "`lanczos` is not supported");
    with("crop_mode", json!("border"), "`border` is not supported");
    with("crop_pct", json!(1.2), "1.2 is not from 0.1 to 1");
    with("input_size", json!([1, 32, 32]), "not that of a square image of three channels");
    let mut squashed = config("vit_tiny_patch16_224");
    squashed["pretrained_cfg"]["crop_mode"] = json!("squash");
    let steps = *open(&squashed, &shapes()).model().preprocess().expect("steps");
    assert_eq!((steps.resize, steps.crop), (Resize::Exact(35, 35), Some([32; 2])));
    let bare = json!({"architecture": "vit_tiny_patch16_224", "model_args": config("")["model_args"]});
    let mut larger = shapes();
    larger.insert("pos_embed".into(), vec![1, 197, 8]);
    let with_weights = folder(Some((CONFIG, &bare)), "model.safetensors", &larger);
    refused(&with_weights, &Options::default(), "mean: is missing: copy pretrained_cfg");
    let told = Options { preprocess: Some("vit".parse().expect("known")), ..Options::default() };
    let layout = Layout::open(with_weights.path(), &told).expect("told");
    assert_eq!(layout.model().vision().expect("a tower").image_size, [224; 2]);
}

#[test]
fn names_that_say_another_activation_than_the_weights_are_refused() {
    let tagged = |architecture: &str, tag: &str, options: &Options| {
        let mut config = config(architecture);
        config["pretrained_cfg"]["tag"] = json!(tag);
        let layout = Layout::open(folder(Some((CONFIG, &config)), "model.safetensors", &shapes()).path(), options);
        layout.map(|layout| layout.model().vision().expect("a tower").activation).map_err(|error| error.to_string())
    };
    let untold = Options::default();
    for (architecture, tag) in [
        ("vit_base_patch16_clip_224", "openai"),
        ("vit_huge_patch14_clip_378", "dfn5b"),
        ("vit_large_patch14_clip_224", "dfn2b"),
    ] {
        let said = tagged(architecture, tag, &untold).expect_err(tag);
        assert!(
            said.contains("config.json: pretrained_cfg.tag: weights of") && said.contains("--activation"),
            "{said}"
        );
        let told = Options { activation: Some(Activation::QuickGelu), ..Options::default() };
        assert_eq!(tagged(architecture, tag, &told), Ok(Activation::QuickGelu));
    }
    for (architecture, tag) in [
        ("vit_base_patch16_clip_224", "dfn2b"),
        ("vit_base_patch16_clip_224", "openai_ft_in1k"),
        ("vit_base_patch16_clip_224", "laion2b"),
    ] {
        assert_eq!(tagged(architecture, tag, &untold), Ok(Activation::Gelu), "{architecture} {tag}");
    }
    assert_eq!(tagged("vit_base_patch16_clip_quickgelu_224", "openai", &untold), Ok(Activation::QuickGelu));
}

#[test]
fn only_a_clips_head_without_bias_is_a_projection() {
    let mut shapes = shapes();
    for part in ["weight", "bias"] {
        shapes.insert(format!("norm_pre.{part}"), vec![8]);
    }
    shapes.remove("patch_embed.proj.bias");
    // One row, and a bias of one zero.
    shapes.insert("head.weight".into(), vec![1, 8]);
    shapes.insert("head.bias".into(), vec![1]);
    let unit = |architecture: &str, shapes: &Shapes| {
        let layout = open(&config(architecture), shapes);
        let (model, vision) = (layout.model(), layout.model().vision().expect("a tower"));
        assert!(vision.pre_norm && (model.embedding == 1) == vision.head.unit);
        vision.head.unit
    };
    assert!(unit("vit_base_patch16_clip_224", &shapes));
    assert!(!unit("vit_base_patch16_224", &shapes));
    shapes.insert("head.weight".into(), vec![2, 8]);
    shapes.insert("head.bias".into(), vec![2]);
    assert!(!unit("vit_base_patch16_clip_224", &shapes));
}
