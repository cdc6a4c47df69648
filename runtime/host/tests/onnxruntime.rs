//! The onnxruntime engine beside the native one. Where there is no onnxruntime to load, its tests say so and see nothing.

use std::path::Path;
use std::process::{Command, Output};

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).to_str().unwrap().to_string()
}

fn edgelip(arguments: &[&str]) -> Output {
    let runner = std::env::var("EDGELIP_RUNNER").unwrap_or_default();
    let words: Vec<&str> = runner.split_whitespace().chain([env!("CARGO_BIN_EXE_edgelip")]).collect();
    Command::new(words[0]).args(&words[1..]).args(arguments).output().unwrap()
}

fn fail(arguments: &[&str]) -> String {
    let output = edgelip(arguments);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.starts_with("error: ") && complaint.lines().count() == 1, "{complaint}");
    complaint
}

#[test]
fn arguments_for_onnxruntime_need_the_engine_and_the_engine_its_feature() {
    let (photo, model) = (root("fixtures/photos/cat.png"), root("fixtures/tiny-clip.onnx"));
    let classify = ["classify", &photo, "--model", &model];
    assert!(fail(&[&classify[..], &["--provider", "cuda"]].concat()).contains("--engine ort"));
    assert!(fail(&["bench", &model, "--onnxruntime", "lib"]).contains("--engine ort"));
    let with_engine = fail(&[&classify[..], &["--engine", "ort", "--onnxruntime", "/no/such/library.so"]].concat());
    match cfg!(feature = "ort") {
        true => assert!(with_engine.contains("/no/such/library.so"), "{with_engine}"),
        false => assert!(with_engine.contains("build with --features ort"), "{with_engine}"),
    }
}

#[cfg(feature = "ort")]
mod with_the_library {
    use edgelip::engine::{Engine, Provider, ort};
    use edgelip::{ImageTower, Mapping, Options, TextTower, decode};

    use super::*;

    /// Whether there is an onnxruntime, by `ORT_DYLIB_PATH` or the system's.
    fn is_there() -> bool {
        ort::load(None).map_err(|error| eprintln!("not tested: {error}")).is_ok()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    fn photos() -> Vec<std::path::PathBuf> {
        ["cat.png", "coffee.jpg", "rocket.webp"].map(|name| root(&format!("fixtures/photos/{name}")).into()).to_vec()
    }

    #[test]
    fn images_have_the_embeddings_of_the_native_engine() {
        if !is_there() {
            return;
        }
        for (path, near) in [
            ("fixtures/tiny-clip.onnx", 0.99999),
            ("fixtures/tiny-mlip.onnx", 0.99999),
            ("models/mlip-tiny/image.onnx", 0.999),
        ] {
            let path = root(path);
            let mapping = Mapping::open(&path).unwrap();
            let open = |engine| {
                let options = Options { engine, threads: 1, ..Options::default() };
                ImageTower::open(&mapping, path.as_ref(), &options).unwrap()
            };
            let (mut native, mut ort) = (open(Engine::Native), open(Engine::Ort(Provider::Cpu)));
            for photo in photos() {
                let photo = decode::rgb8(&photo).unwrap();
                native.load(photo.view()).unwrap();
                ort.load(photo.view()).unwrap();
                let native = native.run().unwrap().embedding.unwrap();
                let ort = ort.run().unwrap();
                let found = cosine(native, ort.embedding.unwrap());
                assert!(found > near, "{path}: cosine {found}");
            }
        }
    }

    #[test]
    fn texts_have_the_embeddings_of_the_native_engine() {
        if !is_there() {
            return;
        }
        for path in ["fixtures/tiny-clip-text.onnx", "fixtures/tiny-bert.onnx"].map(root) {
            let mapping = Mapping::open(&path).unwrap();
            let open = |engine| TextTower::open(&mapping, path.as_ref(), engine, 1).unwrap();
            let (mut native, mut ort) = (open(Engine::Native), open(Engine::Ort(Provider::Cpu)));
            for text in ["", "a cup of coffee", "ein Bild von einer Katze 🐈"] {
                let found = cosine(native.embed(text).unwrap(), ort.embed(text).unwrap());
                assert!(found > 0.99999, "{path}: {text}: cosine {found}");
            }
        }
    }

    #[test]
    fn a_provider_that_is_not_there_is_an_error_that_names_those_that_are() {
        if !is_there() {
            return;
        }
        let (photo, model) = (root("fixtures/photos/cat.png"), root("fixtures/tiny-clip.onnx"));
        let ask = ["classify", &photo, "--model", &model, "--engine", "ort", "--provider"];
        // Apple's and Windows' own are in no library for Linux.
        let absent = if cfg!(target_os = "linux") { "directml" } else { "nnapi" };
        let complaint = fail(&[&ask[..], &[absent]].concat());
        assert!(complaint.contains(&format!("no provider `{absent}`; it has cpu")), "{complaint}");
        let unknown = edgelip(&[&ask[..], &["gpu"]].concat());
        assert!(unknown.status.code() == Some(2) && String::from_utf8_lossy(&unknown.stderr).contains("tensorrt"));
        let output = edgelip(&[&ask[..], &["cpu", "--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let native = edgelip(&["classify", &photo, "--model", &model, "--json"]);
        let best = |output: &Output| {
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (report[0]["labels"][0]["label"].clone(), report[0]["labels"][0]["score"].as_f64().unwrap())
        };
        let (ort, native) = (best(&output), best(&native));
        assert!(ort.0 == native.0 && (ort.1 - native.1).abs() < 1e-4, "{ort:?} {native:?}");
    }

    #[test]
    fn damaged_files_are_errors() {
        if !is_there() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.onnx");
        let whole = std::fs::read(root("fixtures/tiny-clip.onnx")).unwrap();
        for share in 1..16 {
            std::fs::write(&path, &whole[..whole.len() * share / 16]).unwrap();
            let mapping = Mapping::open(&path).unwrap();
            let options = Options { engine: Engine::Ort(Provider::Cpu), threads: 1, ..Options::default() };
            assert!(ImageTower::open(&mapping, &path, &options).is_err(), "{share}/16");
        }
    }
}
