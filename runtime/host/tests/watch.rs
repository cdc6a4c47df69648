//! `edgelip watch` on what stands in for a camera.

mod craft;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use craft::Models;
use edgelip::display::Canvas;
use edgelip_drawing::Notice;
use serde_json::Value;

/// The binary, behind an emulator if `EDGELIP_RUNNER` says so.
fn edgelip() -> Command {
    let runner = std::env::var("EDGELIP_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace().chain([env!("CARGO_BIN_EXE_edgelip")]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null());
    command
}

/// A model with labels, and a folder of three photos of one colour each.
struct Scene {
    models: Models,
    model: PathBuf,
    photos: PathBuf,
}

const GREYS: [(&str, u8); 3] = [("a.png", 10), ("b.png", 120), ("c.png", 250)];

impl Scene {
    fn new() -> Self {
        let models = Models::new();
        let (model, photos) = (models.path("pets.onnx"), models.path("photos"));
        let [vision, text] = ["vision.onnx", "text.onnx"].map(|name| models.path(name));
        let mut labels = edgelip();
        labels.args(["labels", "cat", "dog", "bird", "--model"]).arg(vision).arg("--text").arg(text);
        assert!(labels.arg("-o").arg(&model).output().unwrap().status.success());
        fs::create_dir(&photos).unwrap();
        for (name, grey) in GREYS {
            image::RgbImage::from_pixel(24, 16, image::Rgb([grey; 3])).save(photos.join(name)).unwrap();
        }
        Scene { models, model, photos }
    }

    fn watch(&self, arguments: &[&str]) -> Command {
        let mut command = edgelip();
        command.arg("watch").args(arguments).arg("--model").arg(&self.model);
        command
    }

    /// The labels that `classify` gives to each photo.
    fn classified(&self) -> Vec<Value> {
        let images = GREYS.map(|(name, _)| self.photos.join(name));
        let output =
            edgelip().arg("classify").args(images).args(["--json", "--model"]).arg(&self.model).output().unwrap();
        let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
        reports.as_array().unwrap().iter().map(|report| report["labels"].clone()).collect()
    }
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asserts that a frame has the labels that `classify` gave.
fn assert_same(frame: &Value, labels: &Value) {
    let found = frame["labels"].as_array().unwrap();
    assert_eq!(frame["label"], found[0]["label"]);
    for (found, wanted) in found.iter().zip(labels.as_array().unwrap()) {
        assert_eq!((&found["label"], &found["score"]), (&wanted["label"], &wanted["score"]));
    }
}

fn error(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    message
}

#[test]
fn photos_of_a_folder_are_labelled_as_they_are_alone() {
    let scene = Scene::new();
    let wanted = scene.classified();
    let output = scene.watch(&[str(&scene.photos), "--json"]).output().unwrap();
    assert!(output.status.success());
    let frames = lines(&output);
    assert_eq!(frames.len(), 3);
    for (index, ((frame, (name, _)), wanted)) in frames.iter().zip(GREYS).zip(&wanted).enumerate() {
        assert_eq!(
            (&frame["image"], &frame["frame"], &frame["dropped"]),
            (&name.into(), &(index + 1).into(), &0.into())
        );
        assert!(frame["time"].as_f64().unwrap() > 1.6e9 && frame["milliseconds"].as_f64().unwrap() > 0.0);
        assert_same(frame, wanted);
    }

    fs::write(scene.photos.join("b.png"), "broken").unwrap();
    let output = scene.watch(&[str(&scene.photos), "--top", "1"]).output().unwrap();
    assert!(error(&output).contains("b.png"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("a.png  ") && text.contains("%"), "{text}");
}

/// Frames of 24×16 as `rpicam-vid` writes them: rows of 64 bytes of luma, of 32 of chroma.
fn rpicam(greys: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let frame = |grey| {
        let row = |value: u8, used: usize, length: usize| (0..length).map(move |x| if x < used { value } else { 99 });
        let luma = (0..16).flat_map(move |_| row(grey, 24, 64));
        luma.chain((0..16).flat_map(move |_| row(128, 12, 32)))
    };
    greys.into_iter().flat_map(frame).collect()
}

/// Runs a command with this on its standard input.
fn fed(command: &mut Command, bytes: Vec<u8>) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // The command may end before it has read everything.
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

#[test]
fn frames_on_standard_input_are_labelled_as_photos_are() {
    let scene = Scene::new();
    let wanted = scene.classified();
    for ((_, grey), wanted) in GREYS.into_iter().zip(&wanted) {
        let mut command = scene.watch(&["-", "--size", "24x16", "--json"]);
        let output = fed(&mut command, rpicam([grey]));
        let frames = lines(&output);
        assert!(output.status.success() && frames.len() == 1, "{output:?}");
        assert_same(&frames[0], wanted);
    }
    assert!(error(&scene.watch(&["-"]).output().unwrap()).contains("--size"));
    let output = fed(&mut scene.watch(&["-", "--size", "24x16", "--stride", "24"]), vec![0; 500]);
    assert!(error(&output).contains("500 bytes are not one of 24x16 with a stride of 24, which has 576"));
}

#[test]
fn frames_that_nobody_has_time_for_are_counted() {
    let scene = Scene::new();
    let output = fed(&mut scene.watch(&["-", "--size", "24x16", "--json"]), rpicam((0..1000).map(|i| (i % 256) as u8)));
    let frames = lines(&output);
    let count = |frame: &Value, key: &str| frame[key].as_u64().unwrap();
    let last = frames.last().unwrap();
    assert_eq!(count(last, "frame") + count(last, "dropped"), 1000);
    assert_eq!(count(last, "frame"), frames.len() as u64);
    assert!(frames.is_sorted_by_key(|frame| count(frame, "dropped")));
}

#[test]
fn labels_stay_until_another_is_clearly_better() {
    // Three photos in which this model sees three things.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let (model, photos) = (fixtures.join("tiny-clip.onnx"), fixtures.join("photos"));
    let changes = |arguments: &[&str]| {
        let mut command = edgelip();
        command.args(["watch", str(&photos), "--model", str(&model), "--json", "--repeat", "--frames", "9"]);
        let frames = lines(&command.args(arguments).output().unwrap());
        assert_eq!(frames.len(), 9);
        frames.windows(2).filter(|pair| pair[0]["label"] != pair[1]["label"]).count()
    };
    assert_eq!(changes(&[]), 8);
    assert_eq!(changes(&["--margin", "1"]), 0);
    assert_eq!(changes(&["--hold", "2"]), 0);
    assert!(changes(&["--smooth", "30"]) < 8);
}

#[test]
fn the_answer_is_drawn() {
    let scene = Scene::new();
    let screen = scene.models.path("screen.png");
    let display = format!("png:{}", screen.display());
    let arguments = [str(&scene.photos), "--display", &display, "--display-size", "240x320"];
    assert!(scene.watch(&arguments).output().unwrap().status.success());
    let picture = image::open(&screen).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (240, 320));
    // The last photo, and the best label's bar.
    for colour in [[250, 250, 250], [94, 214, 150]] {
        assert!(picture.pixels().filter(|pixel| pixel.0 == colour).count() > 100, "{colour:?}");
    }
    assert!(error(&scene.watch(&arguments).output().unwrap()).contains("--force"));
    assert!(scene.watch(&[&arguments[..], &["--force", "--frames", "1"]].concat()).output().unwrap().status.success());
    assert_ne!(image::open(&screen).unwrap().into_rgb8(), picture);
    // What the model sees, with a line around the two patches that it merges.
    let merging = [&arguments[..], &["--force", "--show-merging", "--frames", "1"]].concat();
    assert!(scene.watch(&merging).output().unwrap().status.success());
    let merged = image::open(&screen).unwrap().into_rgb8();
    assert!(merged.pixels().filter(|pixel| pixel.0 == [255; 3]).count() > 50);
    for wrong in ["png", "hologram", "fb:/dev/null"] {
        error(&scene.watch(&[str(&scene.photos), "--display", wrong]).output().unwrap());
    }
}

/// Asserts that a screen shows this error under this title.
fn assert_told(screen: &Path, title: &str, error: &str) {
    let text = error.trim_end().strip_prefix("error: ").unwrap();
    let mut canvas = Canvas::new([320, 240]);
    Notice { title, text }.draw(&mut canvas).unwrap();
    assert!(image::open(screen).unwrap().into_rgb8().into_raw() == canvas.data(), "{title}: {text}");
}

#[test]
fn errors_are_told_on_the_screen_too() {
    let scene = Scene::new();
    let [screen, missing, damaged] = ["screen.png", "none.onnx", "cut.onnx"].map(|name| scene.models.path(name));
    let bytes = fs::read(&scene.model).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let (display, photos) = (format!("png:{}", screen.display()), str(&scene.photos));
    let told = |title: &str, arguments: &[&str], input: Vec<u8>| {
        let mut command = edgelip();
        // A file needs nobody to keep its picture: there is no waiting.
        command.args(["watch", "--display", &display, "--force", "--notice", "9999"]).args(arguments);
        let error = error(&fed(&mut command, input));
        assert_told(&screen, title, &error);
        fs::remove_file(&screen).unwrap();
        error
    };
    assert!(told("Model missing", &[photos, "--model", str(&missing)], vec![]).contains("No such file"));
    told("Model missing", &[photos], vec![]);
    told("Model damaged", &[photos, "--model", str(&damaged)], vec![]);
    let vision = scene.models.path("vision.onnx");
    told("Model refused", &[photos, "--model", str(&vision)], vec![]);
    let model = ["--model", str(&scene.model)];
    let with_model = |arguments: &[&'static str]| [&model[..], arguments].concat();
    told("No labels", &with_model(&["/no/photos", "--labels", "a"]), vec![]);
    told("No camera", &with_model(&["/no/camera"]), vec![]);
    told("No camera", &with_model(&["-", "--size", "24x16"]), vec![0; 500]);
    assert!(told("No camera", &with_model(&["-", "--size", "24x16"]), vec![]).contains("not a single frame"));
}

#[test]
fn a_profile_keeps_settings_and_the_command_line_wins() {
    let scene = Scene::new();
    let profile = scene.models.path("board.toml");
    fs::write(&profile, "source = 'photos'\nmodel = 'pets.onnx'\ntop = 2\njson = true\nframes = 2\n").unwrap();
    let run = |arguments: &[&str]| {
        // Elsewhere, so that only the profile's folder can be meant.
        edgelip().args(["watch", "--profile", str(&profile)]).args(arguments).current_dir("/").output().unwrap()
    };
    let frames = lines(&run(&[]));
    assert_eq!((frames.len(), frames[0]["labels"].as_array().unwrap().len()), (2, 2));
    assert_eq!(lines(&run(&["--top", "1"]))[0]["labels"].as_array().unwrap().len(), 1);
    assert!(String::from_utf8(run(&["--json=false"]).stdout).unwrap().starts_with("a.png  "));
    fs::write(&profile, "source = 'photos'\ncolour = 'red'\n").unwrap();
    assert!(error(&run(&[])).contains("line 2: unknown field `colour`"));
    fs::write(&profile, "source = 'photos'\n").unwrap();
    assert!(error(&run(&[])).contains("the model is missing"));
}

/// Starts to watch without end, and waits for the first line.
#[cfg(unix)]
fn endless(scene: &Scene) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = scene.watch(&[str(&scene.photos), "--repeat", "--json", "--fps", "100"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    (child, out)
}

#[test]
#[cfg(unix)]
fn it_ends_when_it_is_asked_to_or_nobody_reads() {
    let scene = Scene::new();
    for signal in ["INT", "TERM", "HUP"] {
        let (child, _out) = endless(&scene);
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success()
        );
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{signal}: {output:?}");
    }
    let (child, out) = endless(&scene);
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
