//! Image towers by timm's names: the fixtures of transformers under other names give the same embeddings, to the last bit.

#[allow(dead_code, reason = "what other tests need of it")]
mod fixture;

use std::fs;
use std::path::Path;

use edgelip::Mapping;
use edgelip_kernels::{Kernels, Single};
use edgelip_runtime::Vision;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;

use fixture::{Tensors, export, printed, shared, tensors_of, write};

/// What has a weight and a bias, in timm's words and in transformers'.
const PAIRS: [(&str, &str); 7] = [
    ("patch_embed.proj", "embeddings.patch_embedding"),
    ("norm_pre", "pre_layrnorm"),
    ("norm", "post_layernorm"),
    ("attn_pool.proj", "head.attention.out_proj"),
    ("attn_pool.norm", "head.layernorm"),
    ("attn_pool.mlp.fc1", "head.mlp.fc1"),
    ("attn_pool.mlp.fc2", "head.mlp.fc2"),
];
const OF_BLOCKS: [(&str, &[&str]); 6] = [
    ("norm1", &["layer_norm1"]),
    ("attn.qkv", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    ("attn.proj", &["self_attn.out_proj"]),
    ("norm2", &["layer_norm2"]),
    ("mlp.fc1", &["mlp.fc1"]),
    ("mlp.fc2", &["mlp.fc2"]),
];
const BLOCKS: usize = 6;

/// The image tower of a fixture by timm's names, without a projection.
fn renamed(checkpoint: &str) -> Tensors {
    let tensors = tensors_of(checkpoint);
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    for part in ["weight", "bias"] {
        names.extend(PAIRS.map(|(to, from)| (format!("{to}.{part}"), vec![format!("{from}.{part}")])));
        for (block, (to, from)) in (0..BLOCKS).flat_map(|block| OF_BLOCKS.map(|names| (block, names))) {
            let from = from.iter().map(|from| format!("encoder.layers.{block}.{from}.{part}"));
            names.push((format!("blocks.{block}.{to}.{part}"), from.collect()));
        }
    }
    for (to, from) in [
        ("cls_token", "embeddings.class_embedding"),
        ("pos_embed", "embeddings.position_embedding.weight"),
        ("attn_pool.latent", "head.probe"),
    ] {
        names.push((to.into(), vec![from.into()]));
    }
    let mut out = Tensors::new();
    for (to, from) in names {
        let parts: Vec<_> = from.iter().filter_map(|from| tensors.get(&format!("vision_model.{from}"))).collect();
        let Some((dtype, shape, _)) = parts.first() else { continue };
        let mut shape = shape.clone();
        shape[0] *= parts.len();
        if ["cls_token", "pos_embed"].contains(&to.as_str()) {
            shape.splice(..0, vec![1; 3 - shape.len()]);
        }
        out.insert(to, (*dtype, shape, parts.iter().flat_map(|(.., bytes)| bytes.iter().copied()).collect()));
    }
    for part in ["weight", "bias"] {
        let Some((dtype, shape, bytes)) = tensors.get(&format!("vision_model.head.attention.in_proj_{part}")) else {
            continue;
        };
        let (rows, third) = (shape[0] / 3, bytes.len() / 3);
        for (name, rows, bytes) in [("q", rows, &bytes[..third]), ("kv", 2 * rows, &bytes[third..])] {
            let shape = [&[rows], &shape[1..]].concat();
            out.insert(format!("attn_pool.{name}.{part}"), (*dtype, shape, bytes.to_vec()));
        }
    }
    out
}

/// `tiny-clip`, whose projection timm has as a head with a bias.
fn clip() -> (Value, Tensors) {
    let mut tensors = renamed("tiny-clip");
    let projection = tensors_of("tiny-clip").remove("visual_projection.weight").expect("the fixture's");
    tensors.insert("head.bias".into(), (Dtype::F32, vec![projection.1[0]], vec![0; 4 * projection.1[0]]));
    tensors.insert("head.weight".into(), projection);
    let config = json!({
        "architecture": "vit_base_patch32_clip_quickgelu_224",
        "model_args": {"embed_dim": 64, "num_heads": 4, "depth": 6},
        "pretrained_cfg": {
            "input_size": [3, 64, 64], "crop_pct": 1.0, "mean": [0.48145466, 0.4578275, 0.40821073],
            "std": [0.26862954, 0.26130258, 0.27577711],
        },
    });
    (config, tensors)
}

fn siglip() -> (Value, Tensors) {
    let config = json!({
        "architecture": "vit_base_patch32_siglip_256",
        "model_args": {"embed_dim": 24, "num_heads": 3, "depth": 3},
        "pretrained_cfg": {
            "input_size": [3, 44, 44], "crop_pct": 1.0, "crop_mode": "squash", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        },
    });
    (config, renamed("tiny-siglip"))
}

fn folder((config, tensors): &(Value, Tensors)) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    write(&folder.path().join("model.safetensors"), tensors);
    folder
}

/// The embedding of an image of noise, and the file's labels.
fn embedding(checkpoint: &Path, line: &str) -> (Vec<u32>, Vec<String>) {
    let work = tempfile::tempdir().expect("a temporary folder");
    printed(&export(work.path(), checkpoint, &format!("-o image.onnx {line}")), 0);
    let mapping = Mapping::open(work.path().join("image.onnx")).expect("written");
    let vision = Vision::open(&mapping, Kernels::generic()).expect("opens");
    let [height, width] = vision.shape().image;
    let pixels: Vec<u8> = (0..height * width * 3).map(|i| (i * i % 251) as u8).collect();
    let (mut out, mut scratch) =
        (vec![0.0; vision.shape().embedding], vec![0.0; vision.scratch_len(1).expect("a length")]);
    vision.embed(&pixels, &mut scratch, &Single, &mut out).expect("runs");
    let names = vision.labels().map(|labels| labels.names().map(str::to_owned).collect());
    (out.into_iter().map(f32::to_bits).collect(), names.unwrap_or_default())
}

#[test]
fn names_change_no_bit() {
    for (checkpoint, timms) in [("tiny-clip", clip()), ("tiny-siglip", siglip())] {
        let own = embedding(&shared(checkpoint), "");
        assert_eq!(embedding(folder(&timms).path(), ""), own, "{checkpoint}");
        let merged = "--compression 0.3 --precision int8";
        let own = embedding(&shared(checkpoint), merged);
        assert_eq!(embedding(folder(&timms).path(), merged), own, "{checkpoint} {merged}");
    }
}

#[test]
fn layer_scales_are_folded() {
    let (config, mut tensors) = clip();
    let own = embedding(&shared("tiny-clip"), "");
    for block in 0..BLOCKS {
        for (scale, layer) in [("ls1", "attn.proj"), ("ls2", "mlp.fc2")] {
            for part in ["weight", "bias"] {
                let (.., bytes) = tensors.get_mut(&format!("blocks.{block}.{layer}.{part}")).expect("there");
                for value in bytes.chunks_exact_mut(4) {
                    let halved = f32::from_le_bytes(value.try_into().expect("four bytes")) / 2.0;
                    value.copy_from_slice(&halved.to_le_bytes());
                }
            }
            let twos = [2.0f32; 64].iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.insert(format!("blocks.{block}.{scale}.gamma"), (Dtype::F32, vec![64], twos));
        }
    }
    assert_eq!(embedding(folder(&(config, tensors)).path(), ""), own);
}

#[test]
fn a_classifiers_rows_are_labels() {
    let (mut config, mut tensors) = clip();
    let ones = [1.0f32; 32].iter().flat_map(|value| value.to_le_bytes()).collect();
    tensors.insert("head.bias".into(), (Dtype::F32, vec![32], ones));
    let classifier = folder(&(config.clone(), tensors.clone()));
    let work = tempfile::tempdir().expect("a temporary folder");
    let (_, err) = printed(&export(work.path(), classifier.path(), "-o image.onnx"), 0);
    assert!(err.contains("nothing says what the 32 rows of the classifier are called"), "{err}");
    let names: Vec<String> = (0..32).map(|row| format!("class {row}")).collect();
    config["label_names"] = json!(names);
    let (embedding, labels) = embedding(folder(&(config, tensors)).path(), "");
    assert_eq!((embedding.len(), labels), (64, names));
}

#[test]
fn every_tensor_counts() {
    let whole = siglip();
    let work = tempfile::tempdir().expect("a temporary folder");
    let refused = |tensors: Tensors, name: &str| {
        let checkpoint = folder(&(whole.0.clone(), tensors));
        let (_, err) = printed(&export(work.path(), checkpoint.path(), "--dry-run"), 2);
        assert!(err.contains(name) && err.lines().count() == 1, "{name}: {err}");
    };
    for name in whole.1.keys() {
        let mut less = whole.1.clone();
        let (dtype, shape, bytes) = less.remove(name).expect("there");
        // Without a bias in the first block the others' are too many.
        refused(less.clone(), if name == "blocks.0.attn.qkv.bias" { "`blocks.1.attn.qkv.bias`" } else { name });
        less.insert(name.clone(), (dtype, [&shape[..], &[1]].concat(), bytes));
        refused(less, name);
    }
    let mut more = whole.1.clone();
    more.insert("blocks.0.extra".into(), (Dtype::F32, vec![1], vec![0; 4]));
    refused(more, "`blocks.0.extra` is not part of a ViT");
}
