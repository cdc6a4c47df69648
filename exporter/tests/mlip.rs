//! MLIP's image tower, from the tiny checkpoint to a file that runs as PyTorch says; and what is refused.

#[allow(dead_code, reason = "what other tests need of it")]
mod fixture;

use std::fs;
use std::path::Path;

use edgelip::Mapping;
use edgelip_kernels::Kernels;
use edgelip_runtime::{Single, Vision, onnx};
use ndarray::{Array3, Array4};
use serde_json::{Value, json};

use fixture::{copy_of, edit, export, files, printed, shared};

fn summary(folder: &Path, checkpoint: &Path, line: &str) -> Value {
    let output = export(folder, checkpoint, &format!("{line} --json"));
    serde_json::from_str(&printed(&output, 0).0).expect("JSON")
}

/// A copy of the tiny checkpoint with another setting of its image tower.
fn with(key: &str, value: Value) -> tempfile::TempDir {
    let folder = copy_of("tiny-mlip");
    edit(folder.path(), "config.json", |config| config["vision_config"][key] = value);
    folder
}

fn refusal(checkpoint: &Path, line: &str) -> String {
    let out = tempfile::tempdir().expect("a temporary folder");
    fs::write(out.path().join("labels.txt"), "cat\ndog\n").expect("written");
    let (stdout, stderr) = printed(&export(out.path(), checkpoint, line), 2);
    assert_eq!((stdout.as_str(), files(out.path())), ("", vec!["labels.txt".to_owned()]), "{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.starts_with("error: "), "{stderr}");
    stderr
}

#[test]
fn files_give_the_embeddings_of_pytorch() {
    let cases: Value =
        serde_json::from_str(&fs::read_to_string(shared("golden/mlip/cases.json")).expect("read")).expect("JSON");
    let pixels: Array4<u8> = ndarray_npy::read_npy(shared("golden/mlip/pixels_u8.npy")).expect("read");
    let golden: Array3<f32> = ndarray_npy::read_npy(shared("golden/mlip/image_embeds.npy")).expect("read");
    let out = tempfile::tempdir().expect("a temporary folder");
    for (case, golden) in cases.as_array().expect("a list").iter().zip(golden.outer_iter()) {
        let merged = case["merged"].to_string();
        let line = match case["rule"].as_str() {
            Some("none") | None => "-o model.onnx --force".to_owned(),
            Some(rule) => format!(
                "-o model.onnx --force --schedule list:{} --merge {rule} --guide {} {}",
                merged.trim_matches(['[', ']']),
                case["guide"],
                if case["guide"] == 0.0 { String::new() } else { format!("--guide-semantic {}", case["semantic"]) }
            ),
        };
        printed(&export(out.path(), &shared("tiny-mlip"), &line), 0);
        let mapping = Mapping::open(out.path().join("model.onnx")).expect("written");
        let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
        let mut scratch = vec![0.0; vision.scratch_len(1).expect("fits")];
        for (image, golden) in pixels.outer_iter().zip(golden.outer_iter()) {
            let mut embedding = vec![0.0; golden.len()];
            let image = image.as_standard_layout();
            vision.embed(image.as_slice().expect("contiguous"), &mut scratch, &Single, &mut embedding).expect("runs");
            let worst = embedding.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{line}: {worst}");
        }
    }
}

#[test]
fn merging_is_as_it_was_trained_unless_said_otherwise() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let guide = |line: &str| summary(out.path(), &shared("tiny-mlip"), &format!("--dry-run {line}"))["vision"].clone();
    let own = guide("--compression 0.3");
    assert_eq!(
        (&own["merge"], &own["readout"], &own["frequency_blocks"]),
        (&"ward".into(), &"joint".into(), &2.into())
    );
    assert_eq!(own["stem"], json!([12, 24]));
    assert!((own["guide"]["strength"].as_f64().expect("a number") - 0.3).abs() < 1e-6);
    assert_eq!(guide("--compression 0.3 --guide 0")["guide"], Value::Null);
    assert_eq!(guide("")["guide"], Value::Null);
    assert_eq!(
        guide("--compression 0.3 --guide 0.75 --guide-semantic 0.25")["guide"],
        json!({"strength": 0.75, "semantic": 0.25})
    );
    let tome = with("merging", json!({"rule": "tome", "spread": "constant"}));
    let constant = &summary(out.path(), tome.path(), "--dry-run --compression 0.2")["vision"];
    assert_eq!((&constant["merge"], &constant["guide"]), (&"tome".into(), &Value::Null));
    // A checkpoint that knows nothing of a guide can be guided too.
    let line = "-o model.onnx --compression 0.3 --guide 0.5 --precision int8";
    let clip = summary(out.path(), &shared("tiny-clip"), line);
    assert_eq!((&clip["written"], &clip["vision"]["guide"]["strength"]), (&true.into(), &0.5.into()));
}

#[test]
fn the_shipped_file_is_what_the_exporter_makes() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let line = "-o tiny-mlip.onnx --compression 0.2 --no-verify";
    printed(&export(out.path(), &shared("tiny-mlip"), line), 0);
    let [made, shipped] =
        [out.path().join("tiny-mlip.onnx"), shared("tiny-mlip.onnx")].map(|path| fs::read(path).expect("read"));
    let [made, shipped] = [&made, &shipped].map(|bytes| onnx::File::parse(bytes).expect("an ONNX file"));
    for (made, shipped) in made.initializers().zip(shipped.initializers()) {
        let same = made.raw == shipped.raw && made.dims() == shipped.dims();
        assert!(same && made.name == shipped.name, "{}: run fixtures/export.sh", made.name);
    }
    assert_eq!(made.initializers().count(), shipped.initializers().count());
    assert_eq!(made.metadata("edgelip.schedule"), shipped.metadata("edgelip.schedule"));
}

#[test]
fn labels_take_a_text_tower_of_the_same_width() {
    let said = refusal(&shared("tiny-mlip"), "-o model.onnx --labels labels.txt");
    assert!(said.contains("has no text tower to make labels with: give --text-model FILE.onnx"), "{said}");
    assert!(said.contains("embeds to 20 values") && said.contains("`edgelip labels --text FILE.onnx`"), "{said}");
    let text = shared("tiny-clip-text.onnx");
    let said =
        refusal(&shared("tiny-mlip"), &format!("-o model.onnx --labels labels.txt --text-model {}", text.display()));
    assert!(said.contains("embeds to 32 values, the image tower to 20"), "{said}");

    let out = tempfile::tempdir().expect("a temporary folder");
    fs::write(out.path().join("labels.txt"), "cat\ndog\n").expect("written");
    let line = format!("-o model.onnx --labels labels.txt --text-model {} --compression 0.3", text.display());
    let labelled = summary(out.path(), &shared("tiny-clip"), &line);
    assert_eq!((&labelled["written"], &labelled["vision"]["labels"]), (&true.into(), &2.into()));
    let mapping = Mapping::open(out.path().join("model.onnx")).expect("written");
    let vision = Vision::open(&mapping, Kernels::detect()).expect("opens");
    assert_eq!(vision.labels().expect("a bank").len(), 2);
}

#[test]
fn settings_that_do_not_fit_are_named() {
    for (key, value, reason) in [
        ("stem_widths", json!([12, 25]), "the last of [12, 25] is not hidden_size 24"),
        ("stem_widths", json!([6, 12, 24]), "3 convolutions make patches of 8, not patch_size 4"),
        ("stem_widths", json!([]), "stem_widths: [] is not a list of 1 to"),
        ("num_frequency_layers", json!(-1), "num_frequency_layers: -1 is not a whole number"),
        ("num_frequency_layers", json!(0), "readout: `joint` needs frequency layers"),
        ("num_frequency_layers", json!(3), "`vision_model.frequency.layers.2.layer_norm1.weight` is missing"),
        ("num_frequency_layers", json!(1), "`vision_model.frequency.layers.1.frequency.filter` is not part of"),
        ("readout", json!("sum"), "readout: `sum` is not supported"),
        ("merging", json!({"rule": "random"}), "merging.rule: `random` is not supported"),
        ("merging", json!({"spread": "list:1"}), "merging.spread: is not one of"),
        ("merging", json!({"guide": -1}), "merging.guide: -1 is below 0"),
        ("merging", json!({"guide": 1, "semantic": 2}), "merging.semantic: 2 is not from 0 to 1"),
    ] {
        let said = refusal(with(key, value).path(), "-o model.onnx");
        assert!(said.contains(reason), "{said}\nlacks\n{reason}");
    }
    let said = refusal(&shared("tiny-mlip"), "-o model.onnx --image-size 56");
    assert!(said.contains("the filters of the frequency stage are for images of 28: leave --image-size out"), "{said}");
    let said = refusal(&shared("tiny-mlip"), "--text text.onnx");
    assert!(said.contains("lacks a text tower"), "{said}");
    let own = with("merging", json!({"guide": 0.0}));
    let said = refusal(own.path(), "-o model.onnx --compression 0.3 --guide-semantic 0.5");
    assert!(said.contains("--guide-semantic needs --guide above 0"), "{said}");
}
