//! Damaged model files: an error line or an answer, never a panic or a hang.

mod craft;

use std::fs;
use std::path::Path;

use craft::Models;
use edgelip::decode;
use edgelip::onnx::{OnnxModel, Payload, attach_labels};
use edgelip::{Classifier, ImageTower, LabelSource, Mapping, Options, TextTower};

/// Opens and uses a file as both towers; whether it worked does not matter.
fn try_all(path: &Path) -> Result<(), String> {
    let mapping = Mapping::open(path).map_err(|error| error.to_string())?;
    let options = Options { threads: 1, ..Options::default() };
    let image = decode::RgbImage { data: vec![200; 3 * 20 * 30], height: 20, width: 30, is_turned: false };
    let vision = Classifier::open(&mapping, path, &options, LabelSource::Model)
        .and_then(|mut classifier| classifier.classify(image.view()).map(|scores| scores.top(5).len()));
    let text = TextTower::open(&mapping, path, options.engine, 1)
        .and_then(|mut tower| tower.embed("a photo of a cat").map(<[f32]>::len));
    for error in [vision.as_ref().err(), text.as_ref().err()].into_iter().flatten() {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    vision.or(text).map(drop).map_err(|error| error.to_string())
}

fn labelled() -> Vec<u8> {
    let mut model: OnnxModel<'_> = craft::vision();
    let rows: Vec<f32> = (0..32).map(|i| f32::from(u8::from(i % 17 == 0))).collect();
    attach_labels(&mut model, &["cat".into(), "dog".into()], &rows, 16, 10.0, 0.0, &["{}".into()]).unwrap();
    let mut bytes = Vec::new();
    model.write(&mut bytes).unwrap();
    bytes
}

fn both(models: &Models) -> [Vec<u8>; 2] {
    [labelled(), fs::read(models.path("text.onnx")).unwrap()]
}

#[test]
fn whole_files_work() {
    let models = Models::new();
    let path = models.path("whole.onnx");
    for bytes in both(&models) {
        fs::write(&path, bytes).unwrap();
        try_all(&path).unwrap();
    }
}

#[test]
fn truncated_files_are_errors() {
    let models = Models::new();
    let path = models.path("cut.onnx");
    for bytes in both(&models) {
        for part in 0..64 {
            fs::write(&path, &bytes[..bytes.len() * part / 64]).unwrap();
            assert!(try_all(&path).is_err(), "{part}/64");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let models = Models::new();
    let path = models.path("flipped.onnx");
    for bytes in both(&models) {
        // Headers and metadata are where a flip can mislead; they make up much of such a small file.
        for at in (0..bytes.len()).step_by(13) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at / 13 % 8);
            fs::write(&path, flipped).unwrap();
            let _ = try_all(&path);
        }
    }
}

/// Sets all values of a tensor.
fn set(model: &mut OnnxModel<'_>, name: &str, value: f32) {
    let tensor = model.initializers.iter_mut().find(|tensor| tensor.name == name).unwrap();
    tensor.payload = Payload::Owned(value.to_le_bytes().repeat(tensor.byte_len() as usize / 4));
}

#[test]
fn swapped_shapes_and_lost_tensors_are_named() {
    let models = Models::new();
    let path = models.path("wrong.onnx");
    type Damage = fn(&mut OnnxModel<'_>);
    let damages: [(Damage, &str); 6] = [
        (|model| model.initializers.retain(|tensor| tensor.name != "vision.blocks.1.fc1.bias"), "fc1.bias"),
        (
            |model| model.initializers.iter_mut().find(|t| t.name == "vision.position").unwrap().dims.swap(0, 1),
            "vision.position",
        ),
        (|model| model.metadata.retain(|entry| entry.0 != "edgelip.heads"), "edgelip.heads"),
        (|model| model.set_metadata("edgelip.schedule", "9,0"), "schedule"),
        (|model| set(model, "vision.class", f32::NAN), "not finite"),
        (|model| set(model, "vision.projection.weight", f32::INFINITY), "not finite"),
    ];
    for (damage, named) in damages {
        let mut model = craft::vision();
        damage(&mut model);
        craft::write(&path, &model);
        let message = try_all(&path).unwrap_err();
        let mapping = Mapping::open(&path).unwrap();
        let options = Options { threads: 1, ..Options::default() };
        let mut tower = ImageTower::open(&mapping, &path, &options);
        let vision =
            tower.as_mut().map_or_else(|error| error.to_string(), |tower| tower.run().unwrap_err().to_string());
        assert!(vision.contains(named), "{vision} / {message}");
    }
}
