//! Picks the machine's memories, prepares the models' bytes as the features ask, and turns the golden text into a table.

use std::env::{var, var_os};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What erased flash reads as.
const ERASED: u8 = 0xFF;

fn main() {
    let out = PathBuf::from(var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rerun-if-env-changed=MACHINE");
    let machine = match target.as_str() {
        "thumbv7em-none-eabihf" => Some(var("MACHINE").unwrap_or("mps2-an500".into())),
        "thumbv8m.main-none-eabihf" => Some(var("MACHINE").unwrap_or("mps3-an547".into())),
        // The host, which makes the golden scores.
        _ => None,
    };
    if let Some(machine) = machine {
        copy(&format!("machines/{machine}.x"), &out.join("machine.x"));
        copy("memory.x", &out.join("memory.x"));
        println!("cargo:rustc-link-search={}", out.display());
        println!("cargo:rustc-env=MACHINE={machine}");
    }

    for name in ["whole", "merged"] {
        let mut model = read(&format!("models/{name}.onnx"));
        if var_os("CARGO_FEATURE_CORRUPTED").is_some() {
            let half = model.len() / 2;
            model[half..].fill(ERASED);
        }
        if var_os("CARGO_FEATURE_MISSING_MODEL").is_some() {
            model.fill(ERASED);
        }
        write(&out.join(format!("{name}.onnx")), &model);
    }
    let golden = String::from_utf8(read("golden.txt")).expect("golden.txt is text");
    write(&out.join("golden.rs"), golden_table(&golden).as_bytes());
}

/// `[(model, photo, &[(label, score)])]` as Rust source.
fn golden_table(text: &str) -> String {
    let mut table = String::from("&[");
    let mut current = None;
    for line in text.lines() {
        let [model, photo, label, score] =
            line.split('\t').collect::<Vec<_>>().try_into().expect("golden.txt has four columns");
        if current != Some((model, photo)) {
            table.push_str(if current.is_some() { "])," } else { "" });
            write!(table, "({model:?}, {photo:?}, &[").expect("strings grow");
            current = Some((model, photo));
        }
        let score: f32 = score.parse().expect("the fourth column of golden.txt is a number");
        write!(table, "({label:?}, {score:?}),").expect("strings grow");
    }
    table.push_str("])]");
    table
}

fn read(path: &str) -> Vec<u8> {
    println!("cargo:rerun-if-changed={path}");
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn copy(from: &str, to: &Path) {
    write(to, &read(from));
}
