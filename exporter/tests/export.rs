//! Exports that work, run by the binary on the tiny checkpoint.

mod fixture;

use std::fs;
use std::path::Path;

use edgelip::Mapping;
use edgelip_kernels::Kernels;
use edgelip_runtime::onnx;
use edgelip_runtime::plan::Merge;
use edgelip_runtime::{Text, Vision};
use half::bf16;
use safetensors::tensor::Dtype;
use serde_json::Value;

use fixture::{copy, edit, export, files, printed, shared, tensors, write};

fn json(folder: &Path, checkpoint: &Path, line: &str) -> Value {
    let output = export(folder, checkpoint, &format!("{line} --json"));
    serde_json::from_str(&printed(&output, 0).0).expect("JSON")
}

#[test]
fn every_precision_and_rule_is_verified_and_opens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for precision in ["f32", "f16", "int8"] {
        for merging in
            ["", "--compression 0.4", "--compression 0.3 --merge tome", "--compression 0.2 --schedule constant"]
        {
            let line = format!("-o model.onnx --text text.onnx --force --precision {precision} {merging}");
            let summary = json(folder.path(), &shared("tiny-clip"), &line);
            let reports = summary["verification"].as_array().expect("reports");
            assert_eq!(reports.len(), 2);
            assert!(reports.iter().all(|report| report["passed"] == true), "{line}");
            assert_eq!(summary["written"], true);

            let mapping = Mapping::open(folder.path().join("model.onnx")).expect("written");
            let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
            let real = summary["vision"]["compression"]["real"].as_f64().expect("a number");
            assert!((vision.plan().saving() - real).abs() < 1e-12);
            assert_eq!(summary["vision"]["bytes"], mapping.len());
            assert_eq!(vision.plan().merge() == Merge::None, merging.is_empty());
            let file = vision.file();
            assert_eq!(file.metadata("edgelip.source"), Some("tiny-clip"));
            assert_eq!(file.metadata("edgelip.source_sha256").map(str::len), Some(64));
            let text = Mapping::open(folder.path().join("text.onnx")).expect("written");
            assert!(Text::open(&text, Kernels::detect()).is_ok());
        }
    }
    assert_eq!(files(folder.path()), ["model.onnx", "text.onnx"]);
}

#[test]
fn labels_are_what_transformers_makes_of_them() {
    let captions: Vec<String> =
        serde_json::from_str(&fs::read_to_string(shared("golden/captions.json")).expect("read")).expect("JSON");
    let golden: ndarray::Array2<f32> = ndarray_npy::read_npy(shared("golden/text_embeds.npy")).expect("read");
    let named: Vec<(usize, &String)> = captions.iter().enumerate().filter(|(_, caption)| !caption.is_empty()).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names: Vec<&str> = named.iter().map(|(_, name)| name.trim()).collect();
    fs::write(folder.path().join("labels.json"), serde_json::to_string(&names).expect("JSON")).expect("written");
    for text in ["", "--text text.onnx"] {
        let line = format!("-o model.onnx --labels labels.json --templates none --force {text}");
        let (out, _) = printed(&export(folder.path(), &shared("tiny-clip"), &line), 0);
        assert!(out.contains("edgelip classify photo.jpg --model model.onnx\n"), "{out}");
        let mapping = Mapping::open(folder.path().join("model.onnx")).expect("written");
        let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
        let labels = vision.labels().expect("a label bank");
        assert_eq!(labels.len(), names.len());
        for (index, (row, name)) in named.iter().enumerate() {
            assert_eq!(labels.name(index), Some(name.trim()));
            let ours = labels.rows().nth(index).expect("a row");
            let worst = ours.iter().zip(golden.row(*row)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{name}: {worst}");
        }
    }
    assert_eq!(files(folder.path()), ["labels.json", "model.onnx", "text.onnx"]);
}

#[test]
fn the_shipped_files_are_what_the_exporter_makes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(shared("labels.txt"), folder.path().join("labels.txt")).expect("copied");
    let line = "-o tiny-clip.onnx --text tiny-clip-text.onnx --compression 0.4 --labels labels.txt --no-verify";
    printed(&export(folder.path(), &shared("tiny-clip"), line), 0);
    for name in ["tiny-clip.onnx", "tiny-clip-text.onnx"] {
        let [made, shipped] = [folder.path().join(name), shared(name)].map(|path| fs::read(path).expect("read"));
        let [made, shipped] = [&made, &shipped].map(|bytes| onnx::File::parse(bytes).expect("an ONNX file"));
        let metadata = |file: &onnx::File<'_>| {
            let entries = file.metadata_entries().map(|(key, value)| (key.to_owned(), value.to_owned()));
            entries.filter(|(key, _)| key != "edgelip.licence").collect::<Vec<_>>()
        };
        assert_eq!(metadata(&made), metadata(&shipped), "{name}: run fixtures/export.sh");
        assert_eq!(made.initializers().count(), shipped.initializers().count());
        for (made, shipped) in made.initializers().zip(shipped.initializers()) {
            // The label bank is computed, and its last bits depend on the CPU.
            let same = made.name == "labels.weight" || made.raw == shipped.raw;
            assert!(same && made.name == shipped.name && made.dims() == shipped.dims(), "{name}: {}", made.name);
        }
    }
}

#[test]
fn a_dry_run_tells_the_size_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("labels.txt"), "cat\ndog\n").expect("written");
    let line =
        "-o model.onnx --text text.onnx --labels labels.txt --templates simple-7 --compression 0.4 --precision f16";
    let planned = json(folder.path(), &shared("tiny-clip"), &format!("{line} --dry-run"));
    assert_eq!(files(folder.path()), ["labels.txt"]);
    assert_eq!(planned["written"], false);
    let done = json(folder.path(), &shared("tiny-clip"), line);
    // The checksum of the weights is only computed for a real export; it and its key take this much metadata.
    let bytes = |summary: &Value, tower: &str| summary[tower]["bytes"].as_u64().expect("a number");
    assert!(bytes(&done, "vision").abs_diff(bytes(&planned, "vision")) <= 192);
    assert!(
        bytes(&done, "text").abs_diff(fs::metadata(folder.path().join("text.onnx")).expect("written").len()) <= 192
    );
    assert_eq!(planned["vision"]["blocks"], done["vision"]["blocks"]);
    let (out, _) = printed(&export(folder.path(), &shared("tiny-clip"), "--dry-run"), 0);
    assert!(out.contains("Hugging Face CLIP") && out.contains("no merging"), "{out}");
}

#[test]
fn sharded_bf16_weights_are_read() {
    let folder = copy();
    fs::remove_file(folder.path().join("model.safetensors")).expect("removed");
    let mut halves = [tensors(), tensors()];
    let names: Vec<String> = halves[0].keys().cloned().collect();
    let mut map = serde_json::Map::new();
    for (index, name) in names.iter().enumerate() {
        let shard = index % 2;
        map.insert(name.clone(), format!("model-{shard}.safetensors").into());
        halves[1 - shard].remove(name);
    }
    for (shard, tensors) in halves.iter_mut().enumerate() {
        for (dtype, _, data) in tensors.values_mut() {
            let words = data.as_chunks::<4>().0.iter().map(|&word| bf16::from_f32(f32::from_le_bytes(word)));
            *data = words.flat_map(bf16::to_le_bytes).collect();
            *dtype = Dtype::BF16;
        }
        write(&folder.path().join(format!("model-{shard}.safetensors")), tensors);
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).expect("written");
    let out = tempfile::tempdir().expect("a temporary folder");
    let summary = json(out.path(), folder.path(), "-o model.onnx --text text.onnx --compression 0.2");
    assert_eq!((&summary["weight_files"], &summary["written"]), (&2.into(), &true.into()));
}

#[test]
fn other_image_sizes_and_vocabularies_work() {
    let folder = copy();
    fs::remove_file(folder.path().join("tokenizer.json")).expect("removed");
    let out = tempfile::tempdir().expect("a temporary folder");
    let summary = json(
        out.path(),
        folder.path(),
        "-o model.onnx --text text.onnx --image-size 96 --compression 0.5 --licence MIT",
    );
    assert_eq!(summary["vision"]["image"], serde_json::json!([96, 96]));
    assert_eq!(summary["vision"]["blocks"][0]["tokens"], 145);
    let mapping = Mapping::open(out.path().join("model.onnx")).expect("written");
    let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
    assert_eq!(vision.preprocess().output(300, 200).expect("a size"), [96, 96]);
    assert_eq!(vision.file().metadata("edgelip.licence"), Some("MIT"));
}

#[test]
fn schedules_are_calibrated_and_listed() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let photos = shared("photos");
    let line = format!("-o model.onnx --compression 0.3 --schedule calibrate:{}", photos.display());
    let summary = json(out.path(), &shared("tiny-clip"), &line);
    let candidates = summary["calibration"].as_array().expect("candidates");
    assert_eq!(candidates.len(), 5);
    let cosines: Vec<f64> = candidates.iter().filter_map(|candidate| candidate["cosine"].as_f64()).collect();
    assert!(cosines.is_sorted_by(|a, b| a >= b) && cosines[0] > 0.5, "{cosines:?}");
    assert_eq!(files(out.path()), ["model.onnx"]);

    let output = export(out.path(), &shared("tiny-clip"), "-o model.onnx --force --schedule list:8,8,8,8,8,8");
    let (_, err) = printed(&output, 0);
    assert!(err.contains("warning: the last block"), "{err}");
    let mapping = Mapping::open(out.path().join("model.onnx")).expect("written");
    let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
    assert_eq!(vision.plan().blocks().map(|block| block.merged).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 0]);
}

#[test]
fn one_tower_is_enough() {
    for (start, line, towers) in
        [(["vision", "visual"], "-o model.onnx", "image"), (["text_m", "text_p"], "--text text.onnx", "text")]
    {
        let folder = copy();
        let mut tensors = tensors();
        tensors.retain(|name, _| start.iter().any(|start| name.starts_with(start)));
        write(&folder.path().join("model.safetensors"), &tensors);
        let out = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(json(out.path(), folder.path(), line)["towers"], serde_json::json!([towers]));
        let other = if towers == "image" { "--text text.onnx --force" } else { "-o model.onnx --text other.onnx" };
        let (_, err) = printed(&export(out.path(), folder.path(), other), 2);
        assert!(err.starts_with("error: the checkpoint lacks"), "{err}");
        edit(folder.path(), "config.json", |config| config["transformers_version"] = "5".into());
        let (out, _) = printed(&export(out.path(), folder.path(), "--dry-run"), 0);
        assert!(out.contains(&format!("{towers} tower   ")), "{out}");
    }
}
