//! Classifiers of corenet's layout and of the trainer's: exported by the binary with labels that are their rows, and run.

#[allow(dead_code, reason = "what other tests need of it")]
mod fixture;

use std::fs;

use edgelip::Mapping;
use edgelip_kernels::{Kernels, Single};
use edgelip_runtime::{Score, Vision, classify};
use safetensors::tensor::Dtype;
use serde_json::Value;

use fixture::{Tensors, export, printed, write};

const WIDTH: usize = 64;
const CLASSES: usize = 5;

/// A tower of one block for images of 32 pixels.
fn checkpoint() -> Tensors {
    let mut tensors = Tensors::new();
    let mut state = 1u64;
    let mut add = |name: &str, shape: &[usize], spread: f32, centre: f32| {
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            centre + spread * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
        };
        let bytes = (0..shape.iter().product::<usize>()).flat_map(|_| draw().to_le_bytes()).collect();
        tensors.insert(name.into(), (Dtype::F32, shape.to_vec(), bytes));
    };
    for (layer, inputs, side) in [(0, 3, 4), (1, 16, 2)] {
        let block = format!("patch_emb.{layer}.block");
        add(&format!("{block}.conv.weight"), &[16, inputs, side, side], 0.4, 0.0);
        for (part, spread, centre) in
            [("weight", 0.3, 1.0), ("bias", 0.2, 0.0), ("running_mean", 0.2, 0.0), ("running_var", 0.4, 0.6)]
        {
            add(&format!("{block}.norm.{part}"), &[16], spread, centre);
        }
    }
    add("patch_emb.2.block.conv.weight", &[WIDTH, 16, 2, 2], 0.3, 0.0);
    add("cls_token", &[1, 1, WIDTH], 0.5, 0.0);
    add("pos_embed.pos_embed.pos_embed", &[1, 1, 4, WIDTH], 0.5, 0.0);
    for (name, outputs, inputs) in [
        ("transformer.0.pre_norm_mha.1.qkv_proj", 3 * WIDTH, WIDTH),
        ("transformer.0.pre_norm_mha.1.out_proj_attn", WIDTH, WIDTH),
        ("transformer.0.pre_norm_ffn.1", 2 * WIDTH, WIDTH),
        ("transformer.0.pre_norm_ffn.4", WIDTH, 2 * WIDTH),
        ("classifier", CLASSES, WIDTH),
    ] {
        add(&format!("{name}.weight"), &[outputs, inputs], 0.2, 0.0);
        add(&format!("{name}.bias"), &[outputs], 0.3, 0.0);
    }
    for norm in ["transformer.0.pre_norm_mha.0", "transformer.0.pre_norm_ffn.0", "post_transformer_norm"] {
        add(&format!("{norm}.weight"), &[WIDTH], 0.3, 1.0);
        add(&format!("{norm}.bias"), &[WIDTH], 0.2, 0.0);
    }
    add("patch_emb.2.block.conv.bias", &[WIDTH], 0.2, 0.0);
    tensors
}

/// Names and logits of an image of one grey.
fn logits(path: &std::path::Path) -> (Vec<String>, Vec<f32>, Score) {
    let mapping = Mapping::open(path).expect("written");
    let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
    let labels = vision.labels().expect("labels");
    let mut scratch = vec![0.0; vision.scratch_len(1).expect("a length")];
    let (mut embedding, mut found) = (vec![0.0; WIDTH], vec![0.0; labels.len()]);
    vision.embed(&[90; 32 * 32 * 3], &mut scratch, &Single, &mut embedding).expect("runs");
    let (scale, bias) = (vision.logit_scale(), vision.logit_bias());
    classify::logits(vision.kernels(), &embedding, &labels, scale, bias, &mut found).expect("logits");
    (labels.names().map(str::to_owned).collect(), found, vision.score())
}

#[test]
fn rows_are_labels_and_labels_choose_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, checkpoint_path) = (folder.path().join("image.onnx"), folder.path().join("vit.safetensors"));
    write(&checkpoint_path, &checkpoint());
    fs::write(
        folder.path().join("synsets.tsv"),
        "n5\t9\tcat\nn4\t8\tdog\nn3\t7\tcar\nn2\t6\tcup\nn1\t5\troof\nn9\t1\tnone\n",
    )
    .expect("written");
    fs::write(folder.path().join("chosen.txt"), "roof\nn4\n").expect("written");
    let base = "-o image.onnx --force --json --preprocess corenet --vocabulary synsets.tsv";
    let (out, _) = printed(&export(folder.path(), &checkpoint_path, base), 0);
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&summary["layout"], &summary["vision"]["labels"]), (&"corenet ViT".into(), &5.into()));
    assert!(summary["verification"].as_array().expect("a list").iter().all(|report| report["passed"] == true), "{out}");
    let (names, all, score) = logits(&image);
    assert_eq!((names.join(" ").as_str(), score), ("cat dog car cup roof", Score::Sigmoid));
    printed(&export(folder.path(), &checkpoint_path, &format!("{base} --labels chosen.txt --score softmax")), 0);
    let (names, chosen, score) = logits(&image);
    assert_eq!((names.join(" ").as_str(), score), ("roof n4", Score::Softmax));
    assert_eq!(chosen, [all[4], all[1]]);
    // Without names the tower is exported all the same, and says so.
    let (_, err) = printed(&export(folder.path(), &checkpoint_path, "-o image.onnx --force --preprocess corenet"), 0);
    assert!(err.contains("warning: no labels") && err.contains("--vocabulary"), "{err}");
}

#[test]
fn the_trainers_classifier_has_its_names_beside_it() {
    let folder = fixture::copy_of("tiny-mlip");
    let path = folder.path().join("model.safetensors");
    let mut tensors = fixture::tensors_of("tiny-mlip");
    tensors.retain(|name, _| !name.contains("projection"));
    let floats = |count: usize| (0..count).flat_map(|i| ((i * 7919 % 101) as f32 / 50.0 - 1.0).to_le_bytes()).collect();
    tensors.insert("classifier.weight".into(), (Dtype::F32, vec![3, 24], floats(3 * 24)));
    tensors.insert("classifier.bias".into(), (Dtype::F32, vec![3], floats(3)));
    write(&path, &tensors);
    fixture::edit(folder.path(), "config.json", |config| {
        config["model_type"] = "catlip".into();
        config["vision_config"]["readout"] = "spatial".into();
        config["id2label"] = serde_json::json!({"0": "cat", "2": "cup", "1": "dog"});
    });
    let out = tempfile::tempdir().expect("a temporary folder");
    for line in ["-o image.onnx --force --json", "-o image.onnx --force --json --compression 0.2 --precision f16"] {
        let (text, _) = printed(&export(out.path(), folder.path(), line), 0);
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&summary["layout"], &summary["written"]), (&"CatLIP of edgelip-train".into(), &true.into()));
    }
    let mapping = Mapping::open(out.path().join("image.onnx")).expect("written");
    let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
    let labels = vision.labels().expect("labels");
    assert_eq!(labels.names().collect::<Vec<_>>(), ["cat", "dog", "cup"]);
    assert_eq!((vision.score(), vision.unit(), labels.bias(0)), (Score::Sigmoid, false, -1.0));

    fixture::edit(folder.path(), "config.json", |config| config["id2label"] = serde_json::json!({"0": "cat"}));
    let (_, err) = printed(&export(out.path(), folder.path(), "-o image.onnx --force"), 2);
    assert!(err.contains("id2label: 1 names for the 3 rows") && err.lines().count() == 1, "{err}");
}

#[test]
fn wishes_that_no_row_fulfils_are_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("vit.safetensors");
    write(&path, &checkpoint());
    for (name, text) in [
        ("five.txt", "a\nb\nc\nd\ne\n"),
        ("two.txt", "a\nb\n"),
        ("other.txt", "a\nz\n"),
        ("asks.json", r#"{"a": "{}"}"#),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    for (line, reason) in [
        ("--vocabulary two.txt", "2 names for the 5 rows"),
        ("--vocabulary six.txt", "neither a file nor a known set of labels"),
        ("--labels five.txt", "nothing says what the 5 rows of the classifier are called"),
        ("--vocabulary five.txt --labels other.txt", "no row for `z`"),
        ("--vocabulary five.txt --labels asks.json", "has prompts"),
        ("--vocabulary five.txt --labels five.txt --template {}", "--template is about prompts"),
        ("--vocabulary five.txt --wordnet nowhere", "index.noun"),
        ("--wordnet nowhere", "index.noun"),
    ] {
        let (_, err) = printed(&export(folder.path(), &path, &format!("-o image.onnx --preprocess corenet {line}")), 2);
        assert!(err.contains(reason) && err.trim().lines().count() == 1, "{line}: {err}");
    }
    let (_, err) =
        printed(&export(folder.path(), &fixture::shared("tiny-clip"), "-o image.onnx --vocabulary five.txt"), 2);
    assert!(err.contains("--vocabulary is about the rows of a classifier"), "{err}");
}
