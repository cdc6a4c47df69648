//! open_clip's checkpoints with image towers of timm's.

use std::fs;

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::layout::crafted::{Shapes, folder, refused};
use crate::layout::{Layout, Options};
use crate::source::{Activation, Padding, Pooling, Score, Source, TextPooling};

const CONFIG: &str = "open_clip_config.json";
const WEIGHTS: &str = "open_clip_model.safetensors";

/// As SigLIP's, but for sizes.
fn config() -> Value {
    json!({
        "model_cfg": {
            "embed_dim": 64,
            "init_logit_bias": -10,
            "custom_text": true,
            "vision_cfg": {"image_size": 32, "timm_model_name": "test_vit", "timm_pool": "map", "timm_proj": "none"},
            "text_cfg": {
                "context_length": 7, "vocab_size": 9, "hf_tokenizer_name": "any", "tokenizer_kwargs": {"clean": "canonicalize"},
                "width": 32, "heads": 1, "layers": 1, "no_causal_mask": true, "proj_bias": true, "pool_type": "last",
                "norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"},
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"},
    })
}

fn pair(shapes: &mut Shapes, name: &str, shape: &[usize]) {
    shapes.insert(format!("{name}.weight"), shape.to_vec());
    shapes.insert(format!("{name}.bias"), shape[..1].to_vec());
}

/// timm's `test_vit` below `visual.trunk.`, without pooling and head.
fn trunk() -> Shapes {
    let mut shapes = Shapes::new();
    pair(&mut shapes, "visual.trunk.patch_embed.proj", &[64, 3, 16, 16]);
    for block in 0..6 {
        for (part, shape) in [
            ("norm1", &[64][..]),
            ("attn.qkv", &[192, 64]),
            ("attn.proj", &[64, 64]),
            ("norm2", &[64]),
            ("mlp.fc1", &[96, 64]),
            ("mlp.fc2", &[64, 96]),
        ] {
            pair(&mut shapes, &format!("visual.trunk.blocks.{block}.{part}"), shape);
        }
    }
    pair(&mut shapes, "visual.trunk.norm", &[64]);
    shapes
}

/// Both towers of such a SigLIP.
fn siglip() -> Shapes {
    let mut shapes = trunk();
    shapes.insert("visual.trunk.pos_embed".into(), vec![1, 4, 64]);
    shapes.insert("visual.trunk.attn_pool.latent".into(), vec![1, 1, 64]);
    for (part, shape) in [
        ("q", &[64, 64][..]),
        ("kv", &[128, 64]),
        ("proj", &[64, 64]),
        ("norm", &[64]),
        ("mlp.fc1", &[96, 64]),
        ("mlp.fc2", &[64, 96]),
    ] {
        pair(&mut shapes, &format!("visual.trunk.attn_pool.{part}"), shape);
    }
    for (name, shape) in [
        ("text.token_embedding.weight", &[9, 32][..]),
        ("text.positional_embedding", &[7, 32]),
        ("text.transformer.resblocks.0.attn.in_proj_weight", &[96, 32]),
        ("text.transformer.resblocks.0.attn.in_proj_bias", &[96]),
        ("logit_scale", &[]),
        ("logit_bias", &[]),
    ] {
        shapes.insert(name.into(), shape.to_vec());
    }
    for (part, shape) in [
        ("transformer.resblocks.0.ln_1", &[32][..]),
        ("transformer.resblocks.0.attn.out_proj", &[32, 32]),
        ("transformer.resblocks.0.ln_2", &[32]),
        ("transformer.resblocks.0.mlp.c_fc", &[128, 32]),
        ("transformer.resblocks.0.mlp.c_proj", &[32, 128]),
        ("ln_final", &[32]),
        ("text_projection", &[64, 32]),
    ] {
        pair(&mut shapes, &format!("text.{part}"), shape);
    }
    shapes
}

/// The image tower of a CLIP, whose head is its projection.
fn clip() -> Shapes {
    let mut shapes = trunk();
    shapes.insert("visual.trunk.pos_embed".into(), vec![1, 5, 64]);
    shapes.insert("visual.trunk.cls_token".into(), vec![1, 1, 64]);
    pair(&mut shapes, "visual.trunk.head", &[8, 64]);
    shapes
}

fn clip_config() -> Value {
    let mut config = config();
    config["model_cfg"]["embed_dim"] = json!(8);
    config["model_cfg"]["quick_gelu"] = json!(true);
    config["model_cfg"]["init_logit_bias"] = Value::Null;
    config["model_cfg"]["vision_cfg"]["timm_pool"] = json!("token");
    config["model_cfg"]["vision_cfg"]["timm_proj"] = Value::Null;
    config
}

fn open(config: &Value, shapes: &Shapes) -> Layout {
    Layout::open(folder(Some((CONFIG, config)), WEIGHTS, shapes).path(), &Options::default()).expect("complete")
}

#[test]
fn a_siglip_is_what_its_configuration_says() {
    let layout = open(&config(), &siglip());
    let model = layout.model();
    let (vision, text) = (model.vision().expect("a tower"), model.text().expect("a tower"));
    assert_eq!((layout.name(), model.embedding, model.logit_bias), ("open_clip", 64, 0.0));
    assert_eq!((vision.heads, vision.blocks, vision.mlp, vision.norm_eps), (2, 6, 96, 1e-6));
    let head = vision.head;
    assert_eq!((head.pooling, head.projected, head.score), (Pooling::Attention, false, Score::Sigmoid));
    assert_eq!((text.activation, text.norm_eps), (Activation::TanhGelu, 1e-6));
    assert!(matches!(text.pooling, TextPooling::Last(_)));
    let value = layout.tensor("vision.pool.v.weight").expect("there");
    assert_eq!((value.shape, value.data[0]), (vec![64, 64], 4096.0));
    assert_eq!(layout.tensor("text.projection.weight").expect("there").data[1], 1.0);
    assert_eq!(layout.tensor("text.projection.bias").expect("there").shape, [64]);
}

#[test]
fn a_text_tower_may_go_without_a_projection() {
    let mut shapes = siglip();
    shapes.retain(|name, _| !name.contains("text_projection"));
    let mut config = config();
    config["model_cfg"]["text_cfg"]["proj_type"] = json!("none");
    let reason = "embed_dim: 64, but the text tower gives 32 and has no projection";
    refused(&folder(Some((CONFIG, &config)), WEIGHTS, &shapes), &Options::default(), reason);
    shapes.insert("visual.head.proj.weight".into(), vec![32, 64]);
    config["model_cfg"]["vision_cfg"]["timm_proj"] = json!("linear");
    config["model_cfg"]["embed_dim"] = json!(32);
    let layout = open(&config, &shapes);
    let projection = layout.tensor("text.projection.weight").expect("there");
    assert_eq!((projection.shape, &projection.data[31..34]), (vec![32, 32], &[0.0, 0.0, 1.0][..]));
    assert!(!layout.has("text.projection.bias"));
}

#[test]
fn projections_are_where_open_clip_puts_them() {
    let layout = open(&clip_config(), &clip());
    let vision = layout.model().vision().expect("a tower");
    assert_eq!((vision.head.pooling, vision.head.score, vision.head.unit), (Pooling::Class, Score::Softmax, true));
    // timm's towers do not follow `quick_gelu`.
    assert_eq!((vision.activation, layout.model().embedding), (Activation::Gelu, 8));
    assert_eq!(layout.tensor("vision.projection.bias").expect("there").shape, [8]);
    let mut shapes = clip();
    shapes.retain(|name, _| !name.contains("head"));
    shapes.insert("visual.head.proj.weight".into(), vec![8, 64]);
    let mut config = clip_config();
    config["model_cfg"]["vision_cfg"]["timm_proj"] = json!("linear");
    // Without a word on the pooling it is the architecture's.
    config["model_cfg"]["vision_cfg"]["timm_pool"] = json!("");
    let layout = open(&config, &shapes);
    assert_eq!(layout.tensor("vision.projection.weight").expect("there").shape, [8, 64]);
    assert!(!layout.has("vision.projection.bias"));
}

#[test]
fn what_is_not_supported_is_named() {
    let with = |section: &str, key: &str, value: Value, reason: &str| {
        let mut config = config();
        config["model_cfg"][section][key] = value;
        refused(&folder(Some((CONFIG, &config)), WEIGHTS, &siglip()), &Options::default(), reason);
    };
    with("vision_cfg", "timm_pool", json!("abs_attn"), "vision_cfg.timm_pool: `abs_attn` is not supported; token");
    with("vision_cfg", "timm_proj", json!("mlp"), "vision_cfg.timm_proj: `mlp` is not supported; linear and none");
    with("vision_cfg", "timm_proj", json!("linear"), "`visual.head.proj.weight` is missing");
    with("vision_cfg", "timm_model_name", json!("vitamin_small_224"), "`vitamin_small_224` is not supported");
    with(
        "vision_cfg",
        "image_size",
        json!(48),
        "`visual.trunk.pos_embed` is [1, 4, 64], but open_clip_config.json makes",
    );
    with(
        "text_cfg",
        "pool_type",
        json!("argmax"),
        "pool_type: \"argmax\" with no_causal_mask is not supported; \"last\"",
    );
    with("text_cfg", "tokenizer_kwargs", json!({"clean": "lower"}), "{\"clean\":\"lower\"} with no_causal_mask is not");
    with(
        "text_cfg",
        "proj_bias",
        json!(false),
        "`text.text_projection` is missing; `text.text_projection.bias` is not",
    );
    with("text_cfg", "no_causal_mask", json!(false), "hf_tokenizer_name: \"any\" is not supported");
    let mut config = config();
    config["model_cfg"]["embed_dim"] = json!(32);
    let reason = "embed_dim: 32, but the image tower gives 64 and has no projection";
    refused(&folder(Some((CONFIG, &config)), WEIGHTS, &siglip()), &Options::default(), reason);
    let mut unbiased = siglip();
    unbiased.remove("logit_bias");
    let reason = "`logit_bias` is missing";
    refused(&folder(Some((CONFIG, &self::config())), WEIGHTS, &unbiased), &Options::default(), reason);
    config = self::config();
    config["model_cfg"].as_object_mut().expect("an object").remove("init_logit_bias");
    let reason = "`logit_bias` is not part of a CLIP";
    refused(&folder(Some((CONFIG, &config)), WEIGHTS, &siglip()), &Options::default(), reason);
    let mut odd = siglip();
    odd.insert("visual.trunk.reg_token".into(), vec![1, 4, 64]);
    let reason = "`visual.trunk.reg_token` is of register tokens";
    refused(&folder(Some((CONFIG, &self::config())), WEIGHTS, &odd), &Options::default(), reason);
    let bare = folder(None, WEIGHTS, &siglip());
    refused(&bare, &Options::default(), "open_clip_config.json: is missing, so that nothing says which of timm's");
}

#[test]
fn texts_are_cleaned_as_open_clip_does() {
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 0, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "vocab": {"<pad>": 0, "a": 1, "b": 2, "▁": 3, "!": 4, "_": 5, "'": 6}, "merges": []},
    });
    let folder = folder(Some((CONFIG, &config())), WEIGHTS, &siglip());
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("written");
    fs::write(folder.path().join("tokenizer_config.json"), r#"{"pad_token": "<pad>"}"#).expect("written");
    let mut layout = Layout::open(folder.path(), &Options::default()).expect("complete");
    let json = layout.tokenizer().expect("a tokenizer");
    let last = TextPooling::Last(Padding { id: 0, before: false });
    assert_eq!(layout.model().text().expect("a tower").pooling, last);
    let tokenizer = Tokenizer::from_bytes(json.as_bytes()).expect("a tokenizer");
    let ids = |text: &str| tokenizer.encode(text, true).expect("ids").get_ids().to_vec();
    // SigLIP 2's own tokenizer would keep punctuation.
    assert_eq!(ids(" A_b,  a’b &amp; !B "), [1, 3, 2, 3, 1, 2, 3, 2]);
}
