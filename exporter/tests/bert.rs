//! A text tower of sentence-transformers: exported by the binary, run by the host's library, held against transformers.

#[allow(dead_code, reason = "what other tests need of it")]
mod fixture;

use std::fs;

use edgelip::tokenizer::Tokenizer;
use edgelip::{Engine, Mapping, TextTower};
use edgelip_runtime::onnx;
use ndarray::Array2;
use serde_json::Value;

use fixture::{export, files, printed, shared};

fn golden() -> (Vec<(String, Vec<u32>)>, Array2<f32>) {
    let tokens = fs::read_to_string(shared("golden/bert/tokens.json")).expect("read");
    let tokens: Vec<Value> = serde_json::from_str(&tokens).expect("JSON");
    let ids = |value: &Value| serde_json::from_value(value["ids"].clone()).expect("ids");
    let texts = tokens.iter().map(|entry| (entry["text"].as_str().expect("a text").to_owned(), ids(entry)));
    (texts.collect(), ndarray_npy::read_npy(shared("golden/bert/text_embeds.npy")).expect("read"))
}

#[test]
fn every_precision_is_verified_and_near_transformers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (texts, embeddings) = golden();
    for (precision, least) in [("f32", 0.99999), ("f16", 0.9999), ("int8", 0.995)] {
        // Both options name the file of the only tower.
        for option in ["-o", "--text"] {
            let line = format!("{option} text.onnx --force --precision {precision} --json");
            let (out, _) = printed(&export(folder.path(), &shared("tiny-bert"), &line), 0);
            let summary: Value = serde_json::from_str(&out).expect("JSON");
            assert_eq!(summary["towers"], serde_json::json!(["text"]));
            assert_eq!((&summary["verification"][0]["passed"], &summary["vision"]), (&true.into(), &Value::Null));
        }
        let path = folder.path().join("text.onnx");
        let mapping = Mapping::open(&path).expect("written");
        let mut tower = TextTower::open(&mapping, &path, Engine::Native, 2).expect("opens");
        for ((text, ids), golden) in texts.iter().zip(embeddings.outer_iter()) {
            assert_eq!(&tower.tokenizer().expect("a tokenizer").encode(text).expect("ids"), ids, "{text:?}");
            let cosine: f32 = tower.embed(text).expect("runs").iter().zip(golden).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{precision} {text:?}: {cosine}");
        }
    }
    assert_eq!(files(folder.path()), ["text.onnx"]);
}

#[test]
fn a_cut_context_cuts_texts_and_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    printed(&export(folder.path(), &shared("tiny-bert"), "-o text.onnx --context 8 --licence MIT"), 0);
    let mapping = Mapping::open(folder.path().join("text.onnx")).expect("written");
    let file = onnx::File::parse(&mapping).expect("an ONNX file");
    assert_eq!(file.initializer("text.position").expect("there").dims(), [8, 32]);
    let metadata =
        ["family", "norm", "pooling", "context", "licence"].map(|key| file.metadata(&format!("edgelip.{key}")));
    assert_eq!(metadata, ["bert", "post", "mean", "8", "MIT"].map(Some));
    let ids = Tokenizer::from_text_model(&file).expect("reads").encode("one two three four five six seven eight nine");
    let ids = ids.expect("ids");
    assert_eq!((ids.len(), ids[0], ids[7]), (8, 2, 3));
}

#[test]
fn what_only_an_image_tower_can_follow_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("labels.txt"), "cat\ndog\n").expect("written");
    for (checkpoint, line, reason) in [
        (
            "tiny-bert",
            "-o text.onnx --compression 0.5",
            "--compression is about the image tower, which the checkpoint lacks",
        ),
        (
            "tiny-bert",
            "-o text.onnx --labels labels.txt",
            "--labels is about the image tower, which the checkpoint lacks",
        ),
        ("tiny-bert", "-o model.onnx --text text.onnx", "the checkpoint lacks an image tower"),
        ("tiny-bert", "-o text.onnx --context 33", "this checkpoint takes 3 to 32"),
        ("tiny-clip", "-o model.onnx --context 32", "--context is about the text tower"),
        ("tiny-clip", "--text text.onnx --context 32", "a CLIP's text tower is exported with all of it"),
    ] {
        let (_, err) = printed(&export(folder.path(), &shared(checkpoint), line), 2);
        assert!(err.contains(reason) && err.lines().count() == 1, "{line}: {err}");
    }
    let (out, _) = printed(&export(folder.path(), &shared("tiny-bert"), "--dry-run --precision int8"), 0);
    assert!(out.contains("text tower    32 tokens of 609, 3 blocks of width 24"), "{out}");
    assert_eq!(files(folder.path()), ["labels.txt"]);
}

#[test]
fn the_shipped_file_is_what_the_exporter_makes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    printed(&export(folder.path(), &shared("tiny-bert"), "-o tiny-bert.onnx --precision int8 --no-verify"), 0);
    let [made, shipped] =
        [folder.path().join("tiny-bert.onnx"), shared("tiny-bert.onnx")].map(|path| fs::read(path).expect("read"));
    let [made, shipped] = [&made, &shipped].map(|bytes| onnx::File::parse(bytes).expect("an ONNX file"));
    let described = |file: &onnx::File<'_>| {
        let entries = file.metadata_entries().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let entries: Vec<_> = entries.filter(|(key, _)| key != "edgelip.licence").collect();
        // The weights depend on ranges that are computed, whose last bits depend on the CPU.
        (
            entries,
            file.initializers().map(|tensor| (tensor.name.to_owned(), tensor.dims().to_vec())).collect::<Vec<_>>(),
        )
    };
    assert_eq!(described(&made), described(&shipped), "run fixtures/export.sh");
}
