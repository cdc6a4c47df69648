//! SigLIP: exported by the binary, run by the host's library, held against transformers.

#[allow(dead_code, reason = "what other tests need of it")]
mod fixture;

use std::fs;

use edgelip::{Engine, Mapping, TextTower};
use edgelip_kernels::{Kernels, Single};
use edgelip_runtime::{Score, Vision, classify};
use ndarray::{Array2, Array4};
use serde_json::Value;

use fixture::{export, printed, shared};

fn golden(name: &str) -> Array2<f32> {
    ndarray_npy::read_npy(shared(&format!("golden/siglip/{name}.npy"))).expect("read")
}

fn texts() -> Vec<String> {
    let tokens = fs::read_to_string(shared("golden/siglip/tokens.json")).expect("read");
    let tokens: Vec<Value> = serde_json::from_str(&tokens).expect("JSON");
    tokens.iter().map(|entry| entry["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn scores_and_embeddings_are_near_transformers_in_every_precision() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = texts();
    let indices: Vec<usize> = (0..texts.len()).filter(|&index| !texts[index].trim().is_empty()).collect();
    let prompts: serde_json::Map<String, Value> =
        indices.iter().map(|&index| (format!("label {index}"), texts[index].trim().into())).collect();
    fs::write(folder.path().join("labels.json"), Value::Object(prompts).to_string()).expect("written");
    let pixels: Array4<f32> = ndarray_npy::read_npy(shared("golden/siglip/pixel_values.npy")).expect("read");
    for (precision, least, near) in [("f32", 0.99999, 1e-4), ("f16", 0.9999, 1e-2), ("int8", 0.99, 0.1)] {
        let line = format!("-o image.onnx --text text.onnx --labels labels.json --precision {precision} --force");
        printed(&export(folder.path(), &shared("tiny-siglip"), &line), 0);
        let path = folder.path().join("text.onnx");
        let mapping = Mapping::open(&path).expect("written");
        let mut tower = TextTower::open(&mapping, &path, Engine::Native, 1).expect("opens");
        for (text, golden) in texts.iter().zip(golden("text_embeds").outer_iter()) {
            let cosine: f32 = tower.embed(text).expect("runs").iter().zip(golden).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{precision} {text:?}: {cosine}");
        }
        let mapping = Mapping::open(folder.path().join("image.onnx")).expect("written");
        let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
        assert_eq!((vision.score(), vision.logit_bias()), (Score::Sigmoid, -3.5));
        let labels = vision.labels().expect("labels");
        let mut scratch = vec![0.0; vision.scratch_len(1).expect("a length")];
        for (image, scores) in pixels.outer_iter().zip(golden("scores").outer_iter()) {
            // Rescaling and normalising are undone: what is left are the bytes.
            let bytes: Vec<u8> =
                image.permuted_axes([1, 2, 0]).iter().map(|v| ((v * 0.5 + 0.5) * 255.0).round() as u8).collect();
            let (mut embedding, mut found) = (vec![0.0; 24], vec![0.0; labels.len()]);
            vision.embed(&bytes, &mut scratch, &Single, &mut embedding).expect("runs");
            let (scale, bias) = (vision.logit_scale(), vision.logit_bias());
            classify::logits(vision.kernels(), &embedding, &labels, scale, bias, &mut found).expect("logits");
            classify::sigmoid(&mut found);
            for (&index, found) in indices.iter().zip(found) {
                assert!((found - scores[index]).abs() < near, "{precision} {index}: {found} {}", scores[index]);
            }
        }
    }
}

#[test]
fn patches_merge_without_a_class_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (rule, precision) in [("ward", "f32"), ("tome", "f32"), ("ward", "int8")] {
        let line = format!("-o image.onnx --compression 0.3 --merge {rule} --precision {precision} --force --json");
        let (out, _) = printed(&export(folder.path(), &shared("tiny-siglip"), &line), 0);
        let summary: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(summary["verification"][0]["passed"], true, "{out}");
    }
}

#[test]
fn another_image_size_gets_its_own_positions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    printed(&export(folder.path(), &shared("tiny-siglip"), "-o image.onnx --image-size 60"), 0);
    let mapping = Mapping::open(folder.path().join("image.onnx")).expect("written");
    assert_eq!(Vision::open(&mapping, Kernels::detect()).expect("opens").plan().tokens(), 36);
}

#[test]
fn merging_is_guided_without_a_class_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for merge in ["ward", "tome"] {
        for precision in ["f32", "int8"] {
            let line = format!(
                "-o image.onnx --compression 0.3 --merge {merge} --guide 2 --precision {precision} --force --json"
            );
            // Written only if the checkpoint's own arithmetic, tract and the runtime agree.
            let (said, _) = printed(&export(folder.path(), &shared("tiny-siglip"), &line), 0);
            let summary: Value = serde_json::from_str(&said).expect("JSON");
            assert_eq!(
                (&summary["written"], &summary["vision"]["guide"]["strength"]),
                (&true.into(), &2.0.into()),
                "{line}"
            );
        }
    }
    let embedding = |line: &str| {
        printed(&export(folder.path(), &shared("tiny-siglip"), &format!("-o image.onnx --force {line}")), 0);
        let mapping = Mapping::open(folder.path().join("image.onnx")).expect("written");
        let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
        let [height, width] = vision.plan().shape().image;
        let bytes: Vec<u8> = (0..height * width * 3).map(|i| (i * i % 251) as u8).collect();
        let (mut scratch, mut found) = (vec![0.0; vision.scratch_len(1).expect("a length")], vec![0.0; 24]);
        vision.embed(&bytes, &mut scratch, &Single, &mut found).expect("runs");
        found
    };
    assert_ne!(
        embedding("--compression 0.3 --guide 2"),
        embedding("--compression 0.3"),
        "the guide chooses other pairs"
    );
}
