//! `check-ops` on shipped files, crafted ones and damaged ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use edgelip_export::operators::NAMES;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Exit status, standard output and standard error.
fn check(file: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgelip-export"));
    let output = command.arg("check-ops").arg(file).args(arguments).output().expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn report(file: &Path, accelerator: &str) -> (Option<i32>, Value) {
    let (status, stdout, stderr) = check(file, &["--for", accelerator, "--json"]);
    assert_eq!(stderr, "", "{accelerator}");
    (status, serde_json::from_str(&stdout).expect("JSON"))
}

fn refused(report: &Value) -> Vec<(&str, &str)> {
    let list = report["refused"].as_array().expect("a list");
    list.iter().map(|one| (one["operator"].as_str().expect("text"), one["reason"].as_str().expect("text"))).collect()
}

#[test]
fn a_jetson_takes_all_of_a_float_tower() {
    let (status, report) = report(&root().join("fixtures/tiny-clip.onnx"), "tensorrt");
    assert_eq!((status, refused(&report)), (Some(0), vec![]));
    assert!(report["nodes"].as_u64() > Some(100) && report["opset"] == 17);
    assert!(report["source"].as_str().expect("text").contains("onnx-tensorrt"));
    let conditions = report["conditions"].as_array().expect("a list");
    assert!(
        conditions
            .iter()
            .any(|one| one["operator"] == "TopK" && one["condition"].as_str().expect("text").contains("3840"))
    );
}

#[test]
fn integers_are_not_for_every_accelerator() {
    let (status, report) = report(&root().join("models/mlip-tiny/image.onnx"), "tensorrt");
    let refused = refused(&report);
    assert_eq!(status, Some(1));
    assert!(refused.iter().any(|one| one.0 == "MatMulInteger"), "{refused:?}");
    let (status, text, _) = check(&root().join("models/mlip-tiny/image.onnx"), &["--for", "tensorrt"]);
    assert_eq!(status, Some(1));
    assert!(text.contains("MatMulInteger") && text.contains("TensorRT 10.1 does not take"), "{text}");
}

#[test]
fn every_list_judges_every_shipped_file() {
    for file in [
        "fixtures/tiny-clip.onnx",
        "fixtures/tiny-clip-text.onnx",
        "fixtures/tiny-mlip.onnx",
        "models/mlip-tiny/text.onnx",
    ] {
        for name in NAMES {
            let (status, report) = report(&root().join(file), name);
            let refused = refused(&report);
            assert_eq!(status, Some(i32::from(!refused.is_empty())), "{file} {name}");
            assert!(report["nodes"].as_u64().expect("a number") >= refused.len() as u64);
        }
    }
    let (_, mobile) = report(&root().join("fixtures/tiny-clip.onnx"), "ort-mobile");
    let mobile = refused(&mobile);
    assert!(mobile.contains(&("Add", "version 14; it takes those of operator sets 12, 13")), "{mobile:?}");
    assert!(mobile.iter().all(|one| one.0 != "MatMul"), "MatMul is the same in operator sets 13 and 17");
}

/// A length-delimited field.
fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        message.push(length as u8 & 127 | 128);
        length >>= 7;
    }
    message.push(length as u8);
    [&message[..], bytes].concat()
}

/// A node with an operator, inputs, an output, and subgraphs.
fn node(operator: &str, inputs: &[&str], output: &str, subgraphs: &[Vec<u8>]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|input| part(1, input.as_bytes())).collect();
    node.extend(part(2, output.as_bytes()));
    node.extend(part(4, operator.as_bytes()));
    node.extend(subgraphs.iter().flat_map(|graph| part(5, &[part(1, b"body"), part(6, graph)].concat())));
    part(1, &node)
}

/// A model of such nodes, of an operator set, with an f32 initializer `w` and an f64 one `d`.
fn model(opset: u8, nodes: &[Vec<u8>]) -> Vec<u8> {
    let initializer = |name: &str, element: u8| part(5, &[vec![2 << 3, element], part(8, name.as_bytes())].concat());
    let graph = [nodes.concat(), initializer("w", 1), initializer("d", 11)].concat();
    [part(7, &graph), part(8, &[2 << 3, opset])].concat()
}

#[test]
fn types_constants_subgraphs_and_operator_sets_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("crafted.onnx");
    let judge = |opset: u8, nodes: &[Vec<u8>], accelerator: &str| {
        fs::write(&path, model(opset, nodes)).expect("written");
        let (_, report) = report(&path, accelerator);
        refused(&report).into_iter().map(|(operator, reason)| format!("{operator}: {reason}")).collect::<Vec<_>>()
    };
    let relu = [node("Relu", &["x"], "y", &[])];
    assert_eq!(judge(17, &relu, "tensorrt"), Vec::<String>::new());
    assert_eq!(judge(21, &relu, "tensorrt"), ["Relu: operator set 21; it takes 9 to 20"]);
    let double = [node("Sqrt", &["d"], "a", &[]), node("Exp", &["a"], "b", &[])];
    let types = judge(17, &double, "tensorrt");
    assert!(types.len() == 2 && types[1].starts_with("Exp: data of type f64"), "{types:?}");
    assert_eq!(judge(17, &double, "xnnpack"), Vec::<String>::new(), "both are computed when the file is loaded");
    let gemm = |second| [node("Gemm", &["x", second], "y", &[])];
    assert_eq!(judge(17, &gemm("w"), "coreml"), Vec::<String>::new());
    assert_eq!(judge(17, &gemm("z"), "coreml"), ["Gemm: input 1 is computed; it takes a constant"]);
    let inner = node("StringNormalizer", &["x"], "s", &[]);
    let nested = node("If", &["x"], "t", &[inner]);
    assert_eq!(
        judge(17, &[node("If", &["x"], "y", &[nested])], "tensorrt"),
        ["StringNormalizer: the list does not have it"]
    );
}

#[test]
fn what_is_no_onnx_file_is_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.onnx");
    let whole = fs::read(root().join("fixtures/tiny-clip.onnx")).expect("read");
    for share in 0..16 {
        fs::write(&path, &whole[..whole.len() * share / 16]).expect("written");
        let (status, stdout, stderr) = check(&path, &["--for", "tensorrt"]);
        assert_eq!((status, stdout.as_str()), (Some(2), ""));
        assert!(
            stderr.starts_with("error: ") && stderr.contains("damaged.onnx") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
    let mut deep = node("Relu", &["x"], "y", &[]);
    for _ in 0..100 {
        deep = node("If", &["x"], "y", &[deep]);
    }
    fs::write(&path, model(17, &[deep])).expect("written");
    assert_eq!(check(&path, &["--for", "tensorrt"]).0, Some(2), "subgraphs without end");
    assert_eq!(check(&folder.path().join("none.onnx"), &["--for", "tensorrt"]).0, Some(2));
    let (status, _, stderr) = check(&path, &["--for", "npu"]);
    assert!(status == Some(2) && stderr.contains("tensorrt"), "{stderr}");
}
