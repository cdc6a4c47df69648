//! The screens of whole models on photos, pixel by pixel as in `tests/screenshots/`. `UPDATE_SCREENSHOTS=1` writes them anew, to be looked at.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn simulator(arguments: &[&str]) -> Output {
    // From the root, as a person would.
    Command::new(env!("CARGO_BIN_EXE_edgelip-simulator")).args(arguments).current_dir(ROOT).output().unwrap()
}

fn screenshot(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screenshots").join(name)
}

fn check(name: &str, arguments: &[&str]) {
    let path = screenshot(name);
    let flag = if std::env::var_os("UPDATE_SCREENSHOTS").is_some() { "--dump" } else { "--check" };
    let output = simulator(&[arguments, &[flag, path.to_str().unwrap()]].concat());
    if output.status.success() {
        return;
    }
    let drawn = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    simulator(&[arguments, &["--dump", drawn.to_str().unwrap()]].concat());
    panic!("{} is drawn now: {}", drawn.display(), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_small_panel() {
    for (size, photo) in [("128x160", "coffee.jpg"), ("240x320", "cat.png"), ("320x240", "rocket.webp")] {
        let photo = format!("fixtures/photos/{photo}");
        check(&format!("tiny-clip-{size}.png"), &[&photo, "--model", "fixtures/tiny-clip.onnx", "--size", size]);
    }
}

#[test]
fn a_larger_screen_with_two_models() {
    let folder = "firmware-examples/cortex-m/models";
    let [whole, merged] = ["whole", "merged"].map(|name| format!("{folder}/{name}.onnx"));
    let models = ["--model", &whole, "--model", &merged];
    check("two-models-640x480.png", &[&["fixtures/photos/coffee.jpg", "--size", "640x480"], &models[..]].concat());
    check("plain-320x240.png", &[&["fixtures/photos/coffee.jpg", "--plain"], &models[..]].concat());
}

#[test]
fn a_difference_is_told() {
    let model = ["--model", "fixtures/tiny-clip.onnx"];
    let path = screenshot("tiny-clip-320x240.png");
    let check = ["--check", path.to_str().unwrap()];
    for other in
        [["fixtures/photos/coffee.jpg", "--size", "320x240"], ["fixtures/photos/rocket.webp", "--size", "128x160"]]
    {
        let output = simulator(&[&other[..], &model, &check].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stdout).unwrap().contains("differs"));
    }
    for (arguments, reason) in [
        (&["no.png", "--model", "fixtures/tiny-clip.onnx", "--dump", "x.png"][..], "no.png"),
        (
            &["fixtures/photos/cat.png", "--model", "fixtures/tiny-clip-text.onnx", "--dump", "x.png"],
            "tiny-clip-text.onnx",
        ),
        (&["fixtures/photos/cat.png", "--model", "fixtures/tiny-clip.onnx", "--check", "no.png"], "no.png"),
    ] {
        let output = simulator(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            message.starts_with("error: ") && message.contains(reason) && message.lines().count() == 1,
            "{message}"
        );
    }
}
