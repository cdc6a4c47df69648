//! Checkpoints good and bad, made on the spot.

use std::collections::HashMap;
use std::fs;

use ::safetensors::tensor::{Dtype, TensorView, serialize};
use half::{bf16, f16};
use tempfile::TempDir;

use super::*;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

const VALUES: [f32; 6] = [0.0, -1.5, 2.0, 0.125, -65504.0, 3.0];

fn bytes(dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => VALUES.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F16 => VALUES.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        _ => VALUES.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
    }
}

fn file(names: &[&str], dtype: Dtype) -> Vec<u8> {
    let data = bytes(dtype);
    let views = names.iter().map(|&name| (name, TensorView::new(dtype, vec![2, 3], &data).expect("a valid view")));
    serialize(views.collect::<HashMap<_, _>>(), None).expect("serialisable")
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("written");
    }
    folder
}

fn complaint(folder: &TempDir) -> String {
    Checkpoint::open(folder.path()).expect_err("malformed").to_string()
}

#[test]
fn every_float_type_is_widened() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let folder = folder(&[(SINGLE, &file(&["a", "b"], dtype))]);
        let checkpoint = Checkpoint::open(folder.path()).expect("opens");
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
        let tensor = checkpoint.tensor("b").expect("reads");
        assert_eq!(tensor.shape, [2, 3]);
        let expected = VALUES.map(|v| if dtype == Dtype::BF16 { bf16::from_f32(v).to_f32() } else { v });
        assert_eq!(tensor.data, expected);
        assert!(matches!(checkpoint.tensor("c"), Err(Error::MissingTensor(name)) if name == "c"));
    }
}

#[test]
fn shards_are_found_by_the_index() {
    let index = br#"{"metadata": {}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
    let one = file(&["a"], Dtype::F32);
    let two = file(&["b"], Dtype::BF16);
    let folder = folder(&[(INDEX, index), ("1.safetensors", &one), ("2.safetensors", &two)]);
    let checkpoint = Checkpoint::open(folder.path()).expect("opens");
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(checkpoint.tensor("a").expect("reads").data, VALUES);
    let whole: Vec<u8> = one.iter().chain(&two).copied().collect();
    let expected: String = Sha256::digest(&whole).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(checkpoint.sha256().expect("reads"), expected);
    assert_eq!(checkpoint.byte_len().expect("reads"), whole.len() as u64);
}

#[test]
fn an_index_must_tell_the_truth() {
    let one = file(&["a"], Dtype::F32);
    let lacking = folder(&[(INDEX, br#"{"weight_map": {"b": "1.safetensors"}}"#), ("1.safetensors", &one)]);
    assert!(complaint(&lacking).contains("places `b` in 1.safetensors, which lacks it"));
    let escaping = folder(&[(INDEX, br#"{"weight_map": {"a": "../1.safetensors"}}"#)]);
    assert!(complaint(&escaping).contains("`../1.safetensors` is not the name of a file"));
    let absent = folder(&[(INDEX, br#"{"weight_map": {"a": "1.safetensors"}}"#)]);
    assert!(complaint(&absent).contains("1.safetensors: No such file"));
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    let whole = file(&["a", "b"], Dtype::F16);
    for length in 0..whole.len() {
        let folder = folder(&[(SINGLE, &whole[..length])]);
        assert!(complaint(&folder).contains(SINGLE), "{length}");
    }
}

#[test]
fn hostile_headers_are_errors() {
    let header = |json: &str, data: usize| {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let cases = [
        header("[]", 0),
        header(r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}"#, 4),
        header(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}"#, 8),
        header(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}"#, 4),
        header(r#"{"a": {"dtype": "F32", "shape": [18446744073709551615, 2], "data_offsets": [0, 4]}}"#, 4),
        header(r#"{"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}"#, 4),
        u64::MAX.to_le_bytes().to_vec(),
        [(99_999_999u64).to_le_bytes().as_slice(), b"{}"].concat(),
    ];
    for bytes in cases {
        assert!(complaint(&folder(&[(SINGLE, &bytes)])).contains(SINGLE));
    }
}

#[test]
fn other_layouts_get_a_hint() {
    assert!(complaint(&folder(&[])).contains("neither"));
    assert!(complaint(&folder(&[("pytorch_model.bin", b"")])).contains("too few"));
    assert!(
        complaint(&folder(&[("a.pt", b"PK"), ("b.pth", b"PK")])).contains("several files of weights, a.pt and b.pth")
    );
    assert!(complaint(&folder(&[(SINGLE, b"version https://git-lfs.github.com/spec/v1")])).contains("git lfs pull"));
    let legacy = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
    assert!(
        complaint(&folder(&[("old.pt", legacy)]))
            .contains("convert it with `python -c \"import torch; torch.save(torch.load('")
    );
    let integers = {
        let data = [0; 8];
        let view = TensorView::new(Dtype::I64, vec![1], &data).expect("a valid view");
        serialize([("ids", view)], None).expect("serialisable")
    };
    let folder = folder(&[(SINGLE, &integers)]);
    let error = Checkpoint::open(folder.path()).expect("opens").tensor("ids").expect_err("integers").to_string();
    assert!(error.contains("`ids` is of type I64"), "{error}");
}
