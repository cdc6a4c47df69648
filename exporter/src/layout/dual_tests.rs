//! Dual encoders of made-up shapes, accepted and refused.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::layout::crafted::{Shapes, folder, refused};
use crate::layout::preprocess::Steps;
use crate::layout::{Layout, Options};
use crate::source::{NormPlace, Pooling, Source, TextPooling};

/// A ViT of 32 pixels and a BERT, a block each.
fn config() -> Value {
    json!({
        "model_type": "vision-text-dual-encoder",
        "projection_dim": 6,
        "vision_config": {
            "model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
            "image_size": 32, "patch_size": 16, "pooler_act": "tanh"
        },
        "text_config": {
            "model_type": "bert", "hidden_size": 10, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 14,
            "vocab_size": 20, "max_position_embeddings": 7
        }
    })
}

fn shapes() -> Shapes {
    let mut shapes = Shapes::new();
    let mut add = |name: &str, shape: &[usize]| _ = shapes.insert(name.to_owned(), shape.to_vec());
    add("vision_model.embeddings.cls_token", &[1, 1, 8]);
    add("vision_model.embeddings.position_embeddings", &[1, 5, 8]);
    add("text_model.embeddings.word_embeddings.weight", &[20, 10]);
    add("text_model.embeddings.position_embeddings.weight", &[7, 10]);
    add("text_model.embeddings.token_type_embeddings.weight", &[2, 10]);
    add("visual_projection.weight", &[6, 8]);
    add("text_projection.weight", &[6, 10]);
    add("logit_scale", &[]);
    let mut pair = |name: &str, shape: &[usize]| {
        add(&format!("{name}.weight"), shape);
        add(&format!("{name}.bias"), &shape[..1]);
    };
    pair("vision_model.embeddings.patch_embeddings.projection", &[8, 3, 16, 16]);
    pair("vision_model.layernorm", &[8]);
    pair("vision_model.pooler.dense", &[8, 8]);
    pair("text_model.embeddings.LayerNorm", &[10]);
    pair("text_model.pooler.dense", &[10, 10]);
    for (block, own, width, mlp) in [
        ("vision_model.encoder.layer.0", "attention.attention", 8, 12),
        ("text_model.encoder.layer.0", "attention.self", 10, 14),
    ] {
        for part in ["query", "key", "value"] {
            pair(&format!("{block}.{own}.{part}"), &[width, width]);
        }
        pair(&format!("{block}.attention.output.dense"), &[width, width]);
        pair(&format!("{block}.intermediate.dense"), &[mlp, width]);
        pair(&format!("{block}.output.dense"), &[width, mlp]);
    }
    for norm in ["layernorm_before", "layernorm_after"] {
        pair(&format!("vision_model.encoder.layer.0.{norm}"), &[8]);
    }
    for norm in ["attention.output", "output"] {
        pair(&format!("text_model.encoder.layer.0.{norm}.LayerNorm"), &[10]);
    }
    shapes
}

fn write(config: &Value, shapes: &Shapes) -> TempDir {
    folder(Some(("config.json", config)), "model.safetensors", shapes)
}

fn squashed() -> Options {
    Options { preprocess: Some("vit".parse::<Steps>().expect("steps")), ..Options::default() }
}

#[test]
fn both_towers_have_poolers() {
    let folder = write(&config(), &shapes());
    let layout = Layout::open(folder.path(), &squashed()).expect("opens");
    let model = layout.model();
    let (vision, text) = (model.vision().expect("a tower"), model.text().expect("a tower"));
    assert_eq!((layout.name(), model.embedding, model.logit_scale), ("Hugging Face dual encoder", 6, 1.0));
    assert_eq!((vision.head.pooling, vision.pre_norm, vision.tokens()), (Pooling::Pooler, false, 5));
    assert_eq!((text.pooling, text.norm, text.context), (TextPooling::Pooler, NormPlace::Post, 7));
    for (name, shape) in
        [("vision.pooler.weight", [8, 8]), ("text.pooler.weight", [10, 10]), ("text.projection.weight", [6, 10])]
    {
        assert_eq!(layout.tensor(name).expect(name).shape, shape);
    }
}

#[test]
fn what_is_not_supported_is_told_in_a_line() {
    let with = |change: &dyn Fn(&mut Value, &mut Shapes), reason: &str| {
        let (mut config, mut shapes) = (config(), shapes());
        change(&mut config, &mut shapes);
        refused(&write(&config, &shapes), &squashed(), reason);
    };
    with(
        &|config, _| config["text_config"]["model_type"] = json!("roberta"),
        "`roberta` is not supported in a dual encoder",
    );
    with(
        &|config, _| config["vision_config"]["model_type"] = json!("dinov2"),
        "`dinov2` is not supported in a dual encoder",
    );
    with(&|config, _| config["vision_config"]["pooler_act"] = json!("gelu"), "vision_config.pooler_act: `gelu`");
    with(&|config, _| config["vision_config"]["pooler_output_size"] = json!(9), "9 is not hidden_size 8");
    with(&|config, _| config["text_config"] = json!(null), "text_config: is missing");
    with(&|config, _| config["projection_dim"] = json!(7), "`visual_projection.weight` is [6, 8]");
    with(&|_, shapes| _ = shapes.remove("text_model.pooler.dense.bias"), "`text_model.pooler.dense.bias` is missing");
    with(&|_, shapes| _ = shapes.insert("lora".into(), vec![1]), "`lora` is not part of a dual encoder");
    refused(&write(&config(), &shapes()), &Options::default(), "preprocessor_config.json: is missing");
}
