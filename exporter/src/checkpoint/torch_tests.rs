//! Archives of PyTorch, made on the spot: such as torch makes, and such as it would never make.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use half::f16;
use tempfile::TempDir;

use super::*;

/// A zip archive; `method` 8 claims compression.
fn zip(entries: &[(&str, &[u8])], method: u16) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let header = bytes.len() as u32;
        let size = (content.len() as u32).to_le_bytes();
        let common = [
            &[20, 0, 0, 0][..],
            &method.to_le_bytes(),
            &[0; 8],
            &size,
            &size,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        bytes.extend([b"PK\x03\x04", common.as_slice(), name.as_bytes(), content].concat());
        directory.extend(
            [b"PK\x01\x02\x14\x00", common.as_slice(), &[0; 10], &header.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let (start, count) = (bytes.len() as u32, entries.len() as u16);
    let size = directory.len() as u32;
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count.to_le_bytes()[..], &count.to_le_bytes(), &size.to_le_bytes()].concat());
    bytes.extend([&start.to_le_bytes()[..], &[0, 0]].concat());
    bytes
}

/// An archive with one storage of 12 halves: 0, 1, … 11.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = (0..12).flat_map(|i| f16::from_f32(i as f32).to_le_bytes()).collect();
    zip(&[("m/data.pkl", pickle), ("m/byteorder", b"little"), ("m/data/0", &storage), ("m/version", b"3\n")], 0)
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

fn tuple(items: &[i32]) -> Vec<u8> {
    [b"(".to_vec(), items.iter().flat_map(|&item| int(item)).collect(), b"t".to_vec()].concat()
}

/// The persistent id of a storage of `count` elements.
fn storage(kind: &str, key: &str, count: i32) -> Vec<u8> {
    let global = format!("ctorch\n{kind}\n").into_bytes();
    [b"(".to_vec(), text("storage"), global, text(key), text("cpu"), int(count), b"tQ".to_vec()].concat()
}

fn tensor_of(storage: Vec<u8>, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let hooks = b"\x89ccollections\nOrderedDict\n)RtR".to_vec();
    let begin = b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    [begin, storage, int(offset), tuple(shape), tuple(strides), hooks].concat()
}

fn tensor(offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    tensor_of(storage("HalfStorage", "0", 12), offset, shape, strides)
}

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    [b"}(".to_vec(), entries.collect(), b"u".to_vec()].concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

fn write(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.pt");
    fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn open(value: &[u8]) -> Checkpoint {
    let (folder, path) = write(&archive(&pickle(value)));
    let checkpoint = Checkpoint::open(&path).expect("opens");
    // An open file outlives its name.
    drop(folder);
    checkpoint
}

/// Why a file is refused: one line, soon, and nothing run.
fn refusal(bytes: &[u8]) -> String {
    let (_folder, path) = write(bytes);
    let begin = Instant::now();
    let error = Checkpoint::open(&path).map(drop).expect_err("refused").to_string();
    assert!(begin.elapsed() < Duration::from_secs(20), "{error}");
    assert!(!error.contains('\n') && error.len() < 1000, "{error}");
    assert!(error.contains("model.pt"), "{error}");
    error
}

fn refused(value: &[u8], reason: &str) {
    let error = refusal(&archive(&pickle(value)));
    assert!(error.contains(reason), "{error}\nlacks\n{reason}");
}

#[test]
fn shared_and_strided_storages_are_read() {
    let checkpoint = open(&dict(&[
        ("whole", tensor(0, &[3, 4], &[4, 1])),
        ("part", tensor(4, &[2, 2], &[2, 1])),
        ("swapped", tensor(0, &[4, 3], &[1, 4])),
        ("every.other", tensor(1, &[3], &[4])),
        ("scalar", tensor(7, &[], &[])),
        ("none", tensor(0, &[0, 5], &[5, 1])),
    ]));
    let read = |name: &str| checkpoint.tensor(name).expect(name);
    assert_eq!(read("whole").data, (0..12).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!((read("part").shape, read("part").data), (vec![2, 2], vec![4.0, 5.0, 6.0, 7.0]));
    let swapped = [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0];
    assert_eq!((read("swapped").shape, read("swapped").data), (vec![4, 3], swapped.to_vec()));
    assert_eq!(read("every.other").data, [1.0, 5.0, 9.0]);
    assert_eq!((read("scalar").shape, read("scalar").data), (vec![], vec![7.0]));
    assert_eq!((read("none").shape, read("none").data), (vec![0, 5], vec![]));
    assert!(!checkpoint.is_script());
}

#[test]
fn state_dicts_are_found_and_unwrapped() {
    let state = dict(&[("module.a.weight", tensor(0, &[2], &[1])), ("module.b", tensor(2, &[1], &[1]))]);
    let optimizer = dict(&[("state", tensor(0, &[12], &[1]))]);
    let namespace = b"cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrG\0\0\0\0\0\0\0\0sb".to_vec();
    let whole =
        dict(&[("epoch", int(3)), ("state_dict", state.clone()), ("optimizer", optimizer), ("args", namespace)]);
    for value in [state.clone(), whole, dict(&[("model", dict(&[("state_dict", state)]))])] {
        assert_eq!(open(&value).names().collect::<Vec<_>>(), ["a.weight", "b"]);
    }
    let mixed = dict(&[("module.a", tensor(0, &[2], &[1])), ("b", tensor(2, &[1], &[1]))]);
    assert_eq!(open(&mixed).names().collect::<Vec<_>>(), ["b", "module.a"]);
}

#[test]
fn objects_of_torchscript_are_dicts_of_attributes() {
    let object =
        |attributes: Vec<u8>| [b"c__torch__.clip.model\nLinear\n)\x81".to_vec(), attributes, b"b".to_vec()].concat();
    let sizes = b"ctorch.jit._pickle\nbuild_intlist\n](K\x01K\x02e\x85R".to_vec();
    let inner =
        object(dict(&[("training", b"\x89".to_vec()), ("weight", tensor(0, &[2, 2], &[2, 1])), ("sizes", sizes)]));
    let value = pickle(&object(dict(&[("visual", inner), ("logit_scale", tensor(5, &[], &[]))])));
    let storage = [0; 24];
    let (_folder, path) = write(&zip(
        &[("m/data.pkl", &value), ("m/constants.pkl", b"\x80\x02)."), ("m/code/x.py", b""), ("m/data/0", &storage)],
        0,
    ));
    let checkpoint = Checkpoint::open(&path).expect("opens");
    assert!(checkpoint.is_script());
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["logit_scale", "visual.weight"]);
}

#[test]
fn what_torch_itself_wrote_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/torch");
    for file in ["saved.pt", "script.pt"] {
        let checkpoint = Checkpoint::open(&folder.join(file)).expect(file);
        assert_eq!(
            checkpoint.names().collect::<Vec<_>>(),
            ["inner.bias", "inner.weight", "short", "swapped"],
            "{file}"
        );
        assert_eq!(checkpoint.tensor("inner.weight").expect("there").data, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], "{file}");
        assert_eq!(checkpoint.tensor("inner.bias").expect("there").data, [-1.0, 0.25]);
        let swapped = checkpoint.tensor("swapped").expect("there");
        assert_eq!((swapped.shape, swapped.data), (vec![3, 2], vec![0.5, 2.0, 1.0, 2.5, 1.5, 3.0]), "{file}");
        assert_eq!(checkpoint.tensor("short").expect("there").data, [65504.0, -0.5], "{file}");
        assert_eq!(checkpoint.is_script(), file == "script.pt");
    }
    let error = Checkpoint::open(&folder.join("legacy.pt")).map(drop).expect_err("refused").to_string();
    assert!(error.contains("PyTorch wrote before 1.6: convert it with"), "{error}");
}

#[test]
fn nothing_is_run() {
    let witness = std::env::temp_dir().join(format!("edgelip-witness-{}", std::process::id()));
    let command = text(&format!("touch {}", witness.display()));
    for name in [
        "posix\nsystem",
        "os\nsystem",
        "nt\nsystem",
        "builtins\neval",
        "builtins\nexec",
        "subprocess\nPopen",
        "torch\nload",
    ] {
        let call = [format!("c{name}\n").into_bytes(), command.clone(), b"\x85R".to_vec()].concat();
        refused(&call, &format!("it names `{}`", name.replace('\n', ".")));
        let hidden = dict(&[("state_dict", dict(&[("a", tensor(0, &[1], &[1]))])), ("hook", call)]);
        refused(&hidden, "nothing was run");
    }
    // Protocol 4 takes names from the stack.
    refused(&[text("os"), text("system"), b"\x93".to_vec()].concat(), "it names `os.system`");
    refused(b"cos\nsystem\x1b[31m\n", "it names `os.system\\u{1b}[31m`");
    refused(b"(S'x'\nios\nsystem\n", "instruction 0x53");
    refused(b"cclip.model\nCLIP\n)\x81", "it names `clip.model.CLIP`");
    assert!(!witness.exists());
}

#[test]
fn nesting_and_recursion_end() {
    let deep = |open: &[u8], close: &[u8], depth: usize| [open.repeat(depth), close.repeat(depth)].concat();
    // Lists in lists take no call stack, to be read or to be dropped.
    refused(&deep(b"]", b"a", 200_000)[..399_999], "describes no tensors");
    refused(&deep(b"(", b"t", 200_000), "describes no tensors");
    let nested = deep(b"}X\x01\0\0\0a", b"s", 1000);
    refused(&[&nested[..7000], b"}", &nested[7000..]].concat(), "modules more than 64 deep");
    refused(b"}q\0X\x01\0\0\0ah\0s", "contains itself");
    refused(b"}q\0X\x05\0\0\0modelh\0s", "contains itself");
    refused(b"]q\0h\0a", "describes no tensors");
    let twice: Vec<u8> = (0..60).flat_map(|_| b"q\0}(X\x01\0\0\0ah\0X\x01\0\0\0bh\0u".to_vec()).collect();
    refused(&[b"}", twice.as_slice()].concat(), "values in a state dict");
    refused(&b")".repeat(600_000), "more than 524288 values");
    refused(&[b"N".to_vec(), b"2".repeat(600_000)].concat(), "more than 524288 values at a time");
    refused(&b"(".repeat(600_000), "more than 524288 marks");
    refused(&[b"}".to_vec(), b"\x94".repeat(600_000)].concat(), "values to remember");
    let name = [b"X".to_vec(), 1_000_000u32.to_le_bytes().to_vec(), vec![b'a'; 1_000_000]].concat();
    let many = [b"}(".to_vec(), name, b"q\0N".to_vec(), b"h\0N".repeat(200_000), b"u".to_vec()].concat();
    refused(&many, "describes no tensors");
}

#[test]
fn sizes_must_be_true() {
    let bad = |value: Vec<u8>, reason: &str| refused(&dict(&[("a", value)]), reason);
    bad(tensor(0, &[13], &[1]), "a tensor of shape [13] in a storage of 12 elements");
    bad(tensor(10, &[3], &[1]), "a tensor of shape [3] in a storage of 12");
    bad(tensor(0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0]), "in a storage of 12");
    bad(tensor(0, &[100_000], &[0]), "a tensor of shape [100000] in a storage of 12");
    bad(tensor(0, &[2, 2], &[i32::MAX, i32::MAX]), "in a storage of 12");
    bad(tensor(-1, &[1], &[1]), "a length of -1");
    bad(tensor(0, &[-1], &[1]), "a length of -1");
    bad(tensor(0, &[2], &[]), "1 axes with 0 strides");
    bad(tensor(0, &[1; 9], &[1; 9]), "9 axes");
    bad(tensor_of(storage("HalfStorage", "0", i32::MAX), 0, &[i32::MAX], &[1]), "for which the file has 24 bytes");
    bad(tensor_of(storage("FloatStorage", "0", 12), 0, &[12], &[1]), "for which the file has 24 bytes");
    bad(tensor_of(storage("HalfStorage", "1", 12), 0, &[12], &[1]), "lacks m/data/1, the bytes of `a`");
    bad(tensor_of(storage("HalfStorage", "../data.pkl", 12), 0, &[12], &[1]), "lacks m/data/../data.pkl");
    bad(tensor_of(storage("QInt8Storage", "0", 12), 0, &[12], &[1]), "it names `torch.QInt8Storage`");
    refused(b"X\xff\xff\xff\xff", "it is cut off");
    refused(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "it is cut off");
    refused(b"\x8a\xff", "it is cut off");
    refused(b"h\x05", "value 5 was never remembered");
    refused(b"t", "no mark");
    refused(b"", "its stack is empty");
    let integers = open(&dict(&[("a", tensor_of(storage("ShortStorage", "0", 12), 0, &[12], &[1]))]));
    assert!(integers.tensor("a").expect_err("integers").to_string().contains("`a` is of type I16"));
}

#[test]
fn archives_must_be_whole() {
    let value = pickle(&dict(&[("a", tensor(0, &[12], &[1]))]));
    let whole = archive(&value);
    for length in (2..whole.len()).step_by(3) {
        refusal(&whole[..length]);
    }
    let entries: [(&str, &[u8]); 2] = [("m/data.pkl", &value), ("m/data/0", &[0; 24])];
    assert!(refusal(&zip(&entries, 8)).contains("entry `m/data.pkl` is compressed"));
    assert!(refusal(&zip(&entries[1..], 0)).contains("without data.pkl"));
    assert!(refusal(&zip(&[entries[0], entries[0]], 0)).contains("`m/data.pkl` is there twice"));
    assert!(refusal(&zip(&[entries[0], ("x/data.pkl", &value)], 0)).contains("more than one data.pkl"));
    let big = zip(&[entries[0], ("m/byteorder", b"big"), entries[1]], 0);
    assert!(refusal(&big).contains("its byte order is `big`"));
    // The second entry's header is said to be the first one's.
    let mut overlapping = zip(&entries, 0);
    let at = overlapping.len() - 22 - 8 - 4;
    overlapping[at..at + 4].fill(0);
    assert!(refusal(&overlapping).contains("reaches into what follows"));
    overlapping[at..at + 4].fill(0xee);
    assert!(refusal(&overlapping).contains("reaches into what follows"));
    for byte in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x5a;
        let (_folder, path) = write(&damaged);
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            for name in checkpoint.names() {
                let _ = checkpoint.tensor(name);
            }
        }
    }
}
