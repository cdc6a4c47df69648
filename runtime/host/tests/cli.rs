//! The binary itself, on tiny models.

mod craft;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use craft::Models;
use serde_json::Value;

/// The words that start the binary: behind an emulator, `EDGELIP_RUNNER` says how, as cargo's own runner cannot.
fn program() -> Vec<String> {
    let runner = std::env::var("EDGELIP_RUNNER").unwrap_or_default();
    runner.split_whitespace().chain([env!("CARGO_BIN_EXE_edgelip")]).map(String::from).collect()
}

fn edgelip(arguments: &[&str]) -> Output {
    let program = program();
    Command::new(&program[0]).args(&program[1..]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a command that must succeed.
fn succeed(arguments: &[&str]) -> String {
    let output = edgelip(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_string()
}

/// The one error line of a command that must exit with 2.
fn fail(arguments: &[&str]) -> String {
    let output = edgelip(arguments);
    let message = text(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{arguments:?}: {message}");
    message
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn labels_made_on_the_board_are_the_labels_made_on_the_fly() {
    let models = Models::new();
    let (vision, tower, pets) = (models.path("vision.onnx"), models.path("text.onnx"), models.path("pets.onnx"));
    let image = models.image("a.png", 40, 30);
    let (vision, tower, pets, image) = (str(&vision), str(&tower), str(&pets), str(&image));

    let message = fail(&["classify", image, "--model", vision]);
    assert!(message.contains("vision.onnx: the model has no labels"), "{message}");
    succeed(&["labels", "--model", vision, "--text", tower, "cat", "dog", "bird", "-o", pets]);
    let baked = json(&succeed(&["classify", image, "--model", pets, "--json"]));
    let made =
        json(&succeed(&["classify", image, "--model", vision, "--labels", "cat, dog,bird", "--text", tower, "--json"]));
    assert_eq!(baked[0]["labels"], made[0]["labels"]);
    let labels = baked[0]["labels"].as_array().unwrap();
    let scores: Vec<f64> = labels.iter().map(|label| label["score"].as_f64().unwrap()).collect();
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-5 && scores.is_sorted_by(|a, b| a >= b));
    assert!(baked[0]["milliseconds"].as_f64().unwrap() > 0.0 && baked[0]["image"] == image);

    let table = succeed(&["classify", image, "--model", pets, "--top", "2"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains('%') && table.contains("ms") && !table.contains('\x1b'));

    let again = ["labels", "--model", pets, "--text", tower, "a cat", "-o", pets, "--template", "none"];
    assert!(fail(&again).contains("--force"));
    succeed(&[&again[..], &["--force"]].concat());
    let report = json(&succeed(&["inspect", pets, "--json"]));
    assert_eq!((&report["labels"], &report["templates"]), (&json(r#"["a cat"]"#), &json(r#"["{}"]"#)));

    let own = models.path("own.json");
    fs::write(&own, r#"{"cat": ["a cat", "my {}"], "dog": "a dog"}"#).unwrap();
    succeed(&["labels", "--model", vision, "--text", tower, "--file", str(&own), "-o", pets, "--force"]);
    let report = json(&succeed(&["inspect", pets, "--json"]));
    assert_eq!((&report["labels"], &report["templates"]), (&json(r#"["cat","dog"]"#), &json("[]")));
    assert!(!succeed(&["inspect", pets]).contains("templates"));
}

#[test]
fn one_bad_image_does_not_stop_the_others() {
    let models = Models::new();
    let (vision, tower, bad) = (models.path("vision.onnx"), models.path("text.onnx"), models.path("bad.jpg"));
    fs::write(&bad, b"").unwrap();
    let images = [models.image("a.png", 1, 1), bad, models.path(""), models.image("b.png", 300, 2)];
    let images: Vec<&str> = images.iter().map(|path| str(path)).collect();
    let options = ["--model", str(&vision), "--text", str(&tower), "--labels", "cat,dog", "--json"];
    let output = edgelip(&[&["classify"], &images[..], &options].concat());
    assert_eq!(output.status.code(), Some(2));
    let results = json(text(&output.stdout));
    assert_eq!(
        results.as_array().unwrap().iter().map(|r| r["image"].as_str().unwrap()).collect::<Vec<_>>(),
        [images[0], images[3]]
    );
    let errors: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].contains("bad.jpg") && errors.iter().all(|line| line.starts_with("error: ")), "{errors:?}");
}

#[test]
#[cfg(unix)]
fn an_image_comes_from_a_file_or_standard_input_and_never_waits_in_a_pipe() {
    let models = Models::new();
    let (vision, tower, image, pipe) =
        (models.path("vision.onnx"), models.path("text.onnx"), models.image("a.png", 9, 7), models.path("pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let options = ["--model", str(&vision), "--text", str(&tower), "--labels", "cat,dog", "--json"];
    assert!(fail(&[&["classify", str(&pipe)], &options[..]].concat()).contains("not a regular file"));

    let program = program();
    let piped = Command::new(&program[0])
        .args(&program[1..])
        .args(["classify", "-"])
        .args(options)
        .stdin(fs::File::open(&image).unwrap())
        .output()
        .unwrap();
    let named = json(&succeed(&[&["classify", str(&image)], &options[..]].concat()));
    assert_eq!(json(text(&piped.stdout))[0]["labels"], named[0]["labels"]);
}

#[test]
fn threads_do_not_change_a_bit() {
    let models = Models::new();
    let (vision, image) = (models.path("vision.onnx"), models.image("a.png", 99, 77));
    let rows = ["1", "2", "2", "5"].map(|threads| {
        let out = models.path("rows.npy");
        succeed(&[
            "embed",
            str(&image),
            str(&image),
            "--model",
            str(&vision),
            "-o",
            str(&out),
            "--threads",
            threads,
            "--force",
        ]);
        fs::read(out).unwrap()
    });
    assert!(rows.iter().all(|other| *other == rows[0]));
}

#[test]
fn arrays_have_the_shapes_that_are_told() {
    let models = Models::new();
    let (vision, tower, image) = (models.path("vision.onnx"), models.path("text.onnx"), models.image("a.png", 9, 7));
    let (out, texts) = (models.path("out.npy"), models.path("texts.txt"));
    let header = || String::from_utf8_lossy(&fs::read(&out).unwrap()[..100]).to_string();
    let [vision, tower, image, name] = [&vision, &tower, &image, &out].map(|path| str(path));

    succeed(&["preprocess", image, "--model", vision, "-o", name]);
    assert!(header().contains("'<f4'") && header().contains("(3, 16, 24)"), "{}", header());
    assert!(fail(&["preprocess", image, "--model", vision, "-o", name]).contains("exists already"));
    succeed(&["preprocess", image, "--model", vision, "-o", name, "--u8", "--force"]);
    assert!(header().contains("'|u1'") && header().contains("(16, 24, 3)"), "{}", header());

    fs::write(&texts, "a cat\n\na photo of a dog\n").unwrap();
    succeed(&["embed", "--texts", str(&texts), "--model", tower, "-o", name, "--force"]);
    assert!(header().contains("(3, 16)"), "{}", header());
    let listing = fs::read_dir(models.path("")).unwrap().count();
    assert!(fail(&["embed", image, "no.png", "--model", vision, "-o", name, "--force"]).contains("no.png"));
    assert_eq!(fs::read_dir(models.path("")).unwrap().count(), listing, "nothing is left behind");
}

#[test]
fn tokens() {
    let models = Models::new();
    let tower = models.path("text.onnx");
    let texts = ["a photo of a CAT", "", "a a a a a a a a a a"];
    let ids = [vec![6, 0, 1, 2, 0, 3, 7], vec![6, 7], vec![6, 0, 0, 0, 0, 0, 0, 7]];
    let tokens = json(&succeed(&[&["tokenize", "--text", str(&tower), "--json"], &texts[..]].concat()));
    for ((token, text), ids) in tokens.as_array().unwrap().iter().zip(texts).zip(&ids) {
        assert_eq!((token["text"].as_str().unwrap(), &token["ids"]), (text, &serde_json::to_value(ids).unwrap()));
    }
    let file = models.path("texts.txt");
    fs::write(&file, texts.join("\n") + "\n").unwrap();
    let lines = succeed(&["tokenize", "--text", str(&tower), "--file", str(&file)]);
    assert_eq!(lines, "6 0 1 2 0 3 7\n6 7\n6 0 0 0 0 0 0 7\n");
    let list = models.path("texts.json");
    fs::write(&list, r#"["a\ncat", "a\u0000"]"#).unwrap();
    assert_eq!(succeed(&["tokenize", "--text", str(&tower), "--file", str(&list)]), "6 0 3 7\n6 0 7 7\n");
}

#[test]
fn inspection_tells_the_plan_and_the_measurements_follow_it() {
    let models = Models::new();
    let (vision, tower) = (models.path("vision.onnx"), models.path("text.onnx"));
    let report = json(&succeed(&["inspect", str(&vision), "--json"]));
    assert_eq!(
        (&report["kind"], &report["plan"][0]["merged"], &report["plan"][1]["tokens"]),
        (&"vision".into(), &1.into(), &6.into())
    );
    assert_eq!(report["memory"]["file"].as_u64().unwrap(), fs::metadata(&vision).unwrap().len());
    let text = succeed(&["inspect", str(&vision)]);
    assert!(text.contains("by tome") && text.contains("16x24 pixels"), "{text}");
    assert_eq!(json(&succeed(&["inspect", str(&tower), "--json"]))["context"], 8);

    let csv = models.path("bench.csv");
    let bench = ["bench", "--model", str(&vision), "--model", str(&tower), "--rounds", "3", "--min-seconds", "0"];
    let report = json(&succeed(&[&bench[..], &["--json", "--csv", str(&csv), "--threads", "2"]].concat()));
    let model = &report["models"][0];
    assert_eq!((&model["threads"], &model["rounds"]), (&2.into(), &3.into()));
    assert!(model["min_ms"].as_f64().unwrap() <= model["median_ms"].as_f64().unwrap());
    assert_eq!(fs::read_to_string(csv).unwrap().lines().count(), 3);
    assert!(!succeed(&bench).contains("time saved"), "towers of different kinds are not compared");
    assert!(succeed(&[&bench[..], &["--model", str(&vision)]].concat()).contains("time saved"));
    let output = edgelip(&[&bench[..], &["--assert-max-ms", "0"]].concat());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn stems_frequency_blocks_and_guides_are_told() {
    let models = Models::new();
    let (mlip, image) = (models.path("mlip.onnx"), models.image("a.png", 40, 30));
    let (mlip, image) = (str(&mlip), str(&image));
    let report = json(&succeed(&["inspect", mlip, "--json"]));
    assert_eq!(report["stem"], json("[16,16,16]"));
    assert_eq!((&report["frequency_blocks"], &report["readout"]), (&1.into(), &"joint".into()));
    assert!((report["guide"]["strength"].as_f64().unwrap() - 0.3).abs() < 1e-6);
    // 8·12, 4·6 and 2·3 windows; transforms of 6 patches to 8 real coefficients and back.
    assert_eq!(report["embedding_macs"], 96 * 27 * 16 + (24 + 6) * 144 * 16);
    assert_eq!(report["frequency_macs"], 2 * 8 * 6 * 16 + 2 * 8 * 16 + 2 * 6 * 16 * 32);
    let text = succeed(&["inspect", mlip]);
    for part in ["convolutions to 16, 16, 16", "1 block of the same width before", "frequency feature", "strength 0.3"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let patches = |line: &str| line.split_whitespace().take(4).eq(["f0", "6", "0", "6"]);
    assert!(text.lines().any(patches), "{text}");

    let embeddings = models.path("embeddings.npy");
    succeed(&["embed", image, "--model", mlip, "-o", str(&embeddings)]);
    assert!(fs::metadata(embeddings).unwrap().len() > 64);
    let plain = json(&succeed(&["inspect", str(&models.path("vision.onnx")), "--json"]));
    assert_eq!((&plain["stem"], &plain["guide"], &plain["frequency_macs"]), (&json("[]"), &Value::Null, &0.into()));
}

#[test]
fn a_sweep_is_compared_plotted_and_profiled() {
    let models = Models::new();
    let (vision, merged, plot) = (models.path("vision.onnx"), models.path("vision.onnx"), models.path("rates.svg"));
    let [vision, merged, plot] = [&vision, &merged, &plot].map(|path| str(path));
    let sweep = ["bench", vision, merged, "--threads", "1,2", "--rounds", "2", "--min-seconds", "0"];
    let report = json(&succeed(&[&sweep[..], &["--json", "--plot", plot]].concat()));
    let rows = report["models"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["threads"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(rows[1]["macs_saved"], 0.0);
    assert!(rows[3]["cosine"].as_f64().unwrap() > 0.999_999 && rows[3]["time_saved"].is_f64());
    assert!(fs::read_to_string(plot).unwrap().matches("<circle").count() == 4);
    assert!(fail(&[&sweep[..], &["--plot", plot]].concat()).contains("--force"));
    assert!(fail(&[&sweep[..], &["--plot", "rates.png"]].concat()).contains("ends in .svg"));
    assert!(fail(&["bench", vision, "--peer", "other=/no/such/program"]).contains("other"));
    let (both, photos) = (models.path("both.svg"), models.path("photos"));
    assert!(fail(&[&sweep[..], &["--plot", str(&both), "--csv", str(&both)]].concat()).contains("at once"));
    assert!(fail(&[&sweep[..], &["--csv", vision, "--force"]].concat()).contains("is a model"));
    fs::create_dir_all(photos.join("cat")).unwrap();
    fs::write(photos.join("cat/1.png"), "").unwrap();
    // So many runs would take hours: that it has no labels is known before.
    let late = ["bench", vision, "--rounds", "10000000", "--labelled", str(&photos)];
    assert!(fail(&late).contains("labels"));

    let profiles = json(&succeed(&[&sweep[..], &["--json", "--profile"]].concat()));
    let profile = &profiles[0];
    let sum =
        |list: &str| profile[list].as_array().unwrap().iter().map(|part| part["ms"].as_f64().unwrap()).sum::<f64>();
    assert!((sum("blocks") - sum("operators")).abs() < 1e-9);
    let names: Vec<_> =
        profile["operators"].as_array().unwrap().iter().map(|part| part["operator"].as_str().unwrap()).collect();
    assert_eq!(names, ["embed", "norm", "qkv", "attention", "out", "match", "merge", "fc1", "fc2", "project"]);
    assert!(
        profile["blocks"][1]["operators"]["match"].is_f64() && profile["blocks"][2]["operators"]["match"].is_null()
    );
    assert!(succeed(&["bench", vision, "--profile", "--rounds", "1"]).contains("merging takes"));
}

#[test]
fn tuning_finds_what_is_fast_enough_or_says_so() {
    let models = Models::new();
    let vision = models.path("vision.onnx");
    let tune = ["tune", str(&vision), "--rounds", "2", "--min-seconds", "0", "--budget-ms"];
    let answer = json(&succeed(&[&tune[..], &["100000", "--json"]].concat()));
    assert_eq!(answer["chosen"]["model"], str(&vision));
    assert!(answer["chosen"]["compression"].as_f64().unwrap() > 0.0);
    assert!(succeed(&[&tune[..], &["100000", "--by", "p90"]].concat()).contains("Take "));
    let none = edgelip(&[&tune[..], &["0"]].concat());
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).starts_with("error: no model is within 0 ms"));
}

#[test]
#[cfg(target_os = "linux")]
fn threads_honour_the_affinity() {
    let models = Models::new();
    let vision = models.path("vision.onnx");
    let command = [&["-c".to_string(), "0".into()], &program()[..]].concat();
    let bench = ["bench", str(&vision), "--rounds", "1", "--min-seconds", "0", "--json"];
    // Where there is no `taskset` there is nothing to see.
    let Ok(output) = Command::new("taskset").args(command).args(bench).output() else { return };
    assert_eq!(json(text(&output.stdout))["models"][0]["threads"], 1);
}

#[test]
fn bad_arguments_are_errors() {
    let models = Models::new();
    let (vision, tower, image) = (models.path("vision.onnx"), models.path("text.onnx"), models.image("a.png", 9, 7));
    let [vision, tower, image] = [&vision, &tower, &image].map(|path| str(path));
    let usage = edgelip(&["classify", image, "--model", vision, "--threads", "0"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage.stderr).starts_with("error: "));
    let make =
        |names: &[&str]| fail(&[&["labels", "--model", vision, "--text", tower, "-o", "x.onnx"], names].concat());
    assert!(make(&["cat", "cat"]).contains("`cat` is there twice"));
    assert!(make(&["cat", " "]).contains("label 2 is empty"));
    assert!(make(&["cat", "--template", "a photo"]).contains("no `{}`"));
    assert!(fail(&["classify", image, "--model", vision, "--labels", "a"]).contains("--text"));
    assert!(fail(&["classify", image, "--model", vision, "--text", tower]).contains("--labels"));
    assert!(fail(&["classify", image, "--model", tower]).contains("vision"));
    assert!(fail(&["tokenize", "--text", vision, "a"]).contains("vision.onnx"));
    assert!(fail(&["classify", image, "--model", vision, "--preprocess", "clip"]).contains("--engine tract"));
    if !cfg!(feature = "tract") {
        let message = fail(&["classify", image, "--model", vision, "--engine", "tract"]);
        assert!(message.contains("this build has no tract engine; build with --features tract"), "{message}");
    }
}

#[test]
fn a_hundred_thousand_labels() {
    let models = Models::new();
    let (vision, tower, out) = (models.path("vision.onnx"), models.path("text.onnx"), models.path("many.onnx"));
    let (names, image) = (models.path("names.txt"), models.image("a.png", 20, 20));
    fs::write(&names, (0..100_000).map(|i| format!("name {i}\n")).collect::<String>()).unwrap();
    succeed(&["labels", "--model", str(&vision), "--text", str(&tower), "--file", str(&names), "-o", str(&out)]);
    let result = json(&succeed(&["classify", str(&image), "--model", str(&out), "--json"]));
    assert_eq!(result[0]["labels"].as_array().unwrap().len(), 5);
}

#[test]
fn a_closed_pipe_is_quiet() {
    let models = Models::new();
    let tower = models.path("text.onnx");
    let texts = models.path("texts.txt");
    fs::write(&texts, "a cat\n".repeat(100_000)).unwrap();
    let pipe =
        format!("{} tokenize --text {} --file {} | head -n 1", program().join(" "), tower.display(), texts.display());
    let output = Command::new("sh").args(["-c", &pipe]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("6 0 3 7\n", ""));
}
