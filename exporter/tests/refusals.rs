//! Exports that must not happen: one line on standard error, the right status, and nothing left behind.

mod fixture;

use std::fs;
use std::path::Path;

use fixture::{copy, edit, export, files, printed, shared, tensors, write};

/// Exports, expects status 2, and gives the one line that says why.
fn refusal(checkpoint: &Path, line: &str) -> String {
    let out = tempfile::tempdir().expect("a temporary folder");
    fs::write(out.path().join("labels.txt"), "cat\ndog\ncat\n").expect("written");
    fs::write(out.path().join("empty.txt"), "# nothing\n\n").expect("written");
    fs::write(out.path().join("one.txt"), "cat").expect("written");
    let (stdout, stderr) = printed(&export(out.path(), checkpoint, line), 2);
    assert_eq!(stdout, "");
    assert_eq!(files(out.path()), ["empty.txt", "labels.txt", "one.txt"], "{stderr}");
    let said: Vec<&str> = stderr.lines().collect();
    assert!(said.len() == 1 && said[0].starts_with("error: "), "{stderr}");
    said[0].to_owned()
}

fn refused(checkpoint: &Path, line: &str, reason: &str) {
    let said = refusal(checkpoint, line);
    assert!(said.contains(reason), "{said}\nlacks\n{reason}");
}

#[test]
fn checkpoints_that_do_not_fit_together() {
    let folder = copy();
    let mut damaged = tensors();
    damaged.remove("vision_model.encoder.layers.3.mlp.fc1.bias");
    damaged.remove("text_projection.weight");
    write(&folder.path().join("model.safetensors"), &damaged);
    let said = refusal(folder.path(), "-o model.onnx");
    assert!(said.contains("`vision_model.encoder.layers.3.mlp.fc1.bias` is missing"), "{said}");
    assert!(said.contains("`text_projection.weight` is missing"), "{said}");

    let folder = copy();
    edit(folder.path(), "config.json", |config| config["vision_config"]["intermediate_size"] = 168.into());
    refused(
        folder.path(),
        "-o model.onnx",
        "`vision_model.encoder.layers.0.mlp.fc1.weight` is [160, 64], but config.json makes it [168, 64]",
    );

    let folder = copy();
    edit(folder.path(), "config.json", |config| config["text_config"]["hidden_act"] = "relu".into());
    refused(folder.path(), "-o model.onnx", "config.json: text_config.hidden_act: activation `relu` is not supported");

    let folder = copy();
    edit(folder.path(), "config.json", |config| config["text_config"]["eos_token_id"] = 5.into());
    refused(folder.path(), "--text text.onnx", "config.json: eos_token_id: 5, but texts end with token");
}

#[test]
fn files_that_are_damaged_or_missing() {
    let whole = fs::read(shared("tiny-clip/model.safetensors")).expect("read");
    for part in 0..16 {
        let folder = copy();
        fs::write(folder.path().join("model.safetensors"), &whole[..whole.len() * part / 16]).expect("written");
        refused(folder.path(), "-o model.onnx", "model.safetensors: ");
    }
    for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        let folder = copy();
        fs::remove_file(folder.path().join(name)).expect("removed");
        refused(folder.path(), "-o model.onnx", name);
        fs::write(folder.path().join(name), "{").expect("written");
        refused(folder.path(), "-o model.onnx", name);
    }
    let folder = copy();
    fs::write(folder.path().join("tokenizer.json"), "{}").expect("written");
    refused(folder.path(), "--text text.onnx", "tokenizer.json: not a usable tokenizer");
    refused(Path::new("/nowhere"), "-o model.onnx", "/nowhere: No such file");
    refused(&shared("tiny-clip/config.json"), "-o model.onnx", "a configuration, not weights");
}

#[test]
fn labels_that_are_no_labels() {
    let tiny = shared("tiny-clip");
    refused(&tiny, "-o model.onnx --labels labels.txt", "labels.txt: label `cat` is there twice");
    refused(&tiny, "-o model.onnx --labels empty.txt", "empty.txt: no labels");
    refused(
        &tiny,
        "-o model.onnx --labels absent.txt",
        "absent.txt: neither a file nor a known set of labels (imagenet)",
    );
    refused(&tiny, "-o model.onnx --labels one.txt --template photo", "no `{}`");
    refused(&tiny, "-o model.onnx --template {}", "--template needs --labels");
}

#[test]
fn rates_and_schedules_out_of_reach() {
    let tiny = shared("tiny-clip");
    refused(&tiny, "-o model.onnx --compression 0.95", "the largest is 0.");
    refused(&tiny, "-o model.onnx --compression 1", "less than 1");
    refused(&tiny, "-o model.onnx --compression -0.5", "at least 0");
    refused(&tiny, "-o model.onnx --schedule list:8,8", "the list has 2 entries, the image tower 6 blocks");
    refused(&tiny, "-o model.onnx --schedule geo", "--schedule needs --compression");
    refused(&tiny, "-o model.onnx --compression 0.3 --schedule calibrate:/nowhere", "/nowhere: No such file");
    refused(&tiny, "-o model.onnx --image-size 60", "60 is not a multiple of the patch size 8: try 56 or 64");
    refused(&tiny, "-o absent/model.onnx", "absent: No such file");
}

#[test]
fn a_file_that_exists_stays() {
    let out = tempfile::tempdir().expect("a temporary folder");
    fs::write(out.path().join("model.onnx"), "precious").expect("written");
    let (_, err) = printed(&export(out.path(), &shared("tiny-clip"), "-o model.onnx"), 2);
    assert!(err.contains("model.onnx: exists already; give --force"), "{err}");
    assert_eq!(fs::read(out.path().join("model.onnx")).expect("read"), b"precious");
    printed(&export(out.path(), &shared("tiny-clip"), "-o model.onnx --force"), 0);
    assert!(fs::metadata(out.path().join("model.onnx")).expect("written").len() > 100_000);
}

#[test]
fn what_fails_its_verification_is_not_kept() {
    let folder = copy();
    let mut damaged = tensors();
    let (_, _, bias) = damaged.get_mut("vision_model.post_layernorm.bias").expect("there");
    bias[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    write(&folder.path().join("model.safetensors"), &damaged);
    let out = tempfile::tempdir().expect("a temporary folder");
    fs::write(out.path().join("model.onnx"), "precious").expect("written");
    let (stdout, stderr) = printed(&export(out.path(), folder.path(), "-o model.onnx --text text.onnx --force"), 1);
    assert!(stdout.contains("FAILED") && stderr.contains("nothing was written"), "{stdout}\n{stderr}");
    assert_eq!(files(out.path()), ["model.onnx"]);
    assert_eq!(fs::read(out.path().join("model.onnx")).expect("read"), b"precious");
}

#[test]
fn a_checkpoint_is_not_replaced_by_its_export() {
    let folder = copy();
    let weights = folder.path().join("model.safetensors");
    let before = fs::read(&weights).expect("read");
    refused(folder.path(), &format!("-o {} --force", weights.display()), "is the checkpoint itself");
    assert!(fs::read(&weights).expect("read") == before);
}
