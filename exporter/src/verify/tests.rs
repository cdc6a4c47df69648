use std::path::{Path, PathBuf};

use edgelip::onnx::{OnnxModel, attach_labels};

use super::*;
use crate::graph::{self, Guide, Merge, Precision, TextOptions, VisionOptions};
use crate::layout::{self, Layout};

fn tiny() -> Layout {
    Layout::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-clip"), &layout::Options::default())
        .unwrap()
}

fn write(model: OnnxModel, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("model.onnx");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    model.write(&mut file).unwrap();
    path
}

fn image_tower(clip: &Layout, merge: Merge, precision: Precision) -> OnnxModel<'_> {
    let schedule = if merge == Merge::None { vec![] } else { vec![14, 10, 8, 6, 4, 0] };
    graph::vision(clip, &VisionOptions { merge, schedule, compression: 0.3, guide: Guide::default(), precision })
        .unwrap()
}

#[test]
fn exports_pass_in_every_precision_and_rule() {
    let (clip, folder) = (tiny(), tempfile::tempdir().unwrap());
    for precision in [Precision::F32, Precision::F16, Precision::I8] {
        for merge in [Merge::None, Merge::Ward, Merge::Tome] {
            let path = write(image_tower(&clip, merge, precision), &folder);
            let report = vision(&clip, &path, &Options::default()).unwrap();
            assert!(report.passed, "{merge:?}\n{report}");
            assert_eq!((report.merges, report.comparisons.len()), (merge != Merge::None, 3));
        }
        let tokenizer = "{}".to_owned();
        let path = write(graph::text(&clip, &TextOptions { precision, tokenizer }).unwrap(), &folder);
        let report = text(&clip, &path, &Options::default()).unwrap();
        assert!(report.passed, "{report}");
    }
}

#[test]
fn labels_are_compared_too() {
    let (clip, folder) = (tiny(), tempfile::tempdir().unwrap());
    let mut model = image_tower(&clip, Merge::None, Precision::F32);
    let names = ["one", "two", "three"].map(String::from);
    let mut rows = vec![0.0; 3 * 32];
    for label in 0..3 {
        rows[label * 32 + label] = 1.0;
    }
    attach_labels(&mut model, &names, &rows, 32, 100.0, 0.0, &[]).unwrap();
    let report = vision(&clip, &write(model, &folder), &Options::default()).unwrap();
    assert!(report.passed, "{report}");
    assert_eq!(report.comparisons.last().unwrap().output, "logits_per_image");
}

#[test]
fn a_wrong_weight_is_noticed() {
    let (clip, folder) = (tiny(), tempfile::tempdir().unwrap());
    let path = write(image_tower(&clip, Merge::None, Precision::F32), &folder);
    let mut bytes = std::fs::read(&path).unwrap();
    let bias = onnx::File::parse(&bytes).unwrap().initializer("vision.blocks.2.fc1.bias").unwrap().raw;
    let start = bias.as_ptr().addr() - bytes.as_ptr().addr();
    bytes[start..start + 64].fill(0x3f);
    std::fs::write(&path, bytes).unwrap();
    let report = vision(&clip, &path, &Options::default()).unwrap();
    assert!(!report.passed, "{report}");
    // Both engines read the same wrong weight.
    assert!(report.comparisons[2].passed);
}

#[test]
fn a_damaged_file_is_an_error() {
    let (clip, folder) = (tiny(), tempfile::tempdir().unwrap());
    let path = write(image_tower(&clip, Merge::None, Precision::F32), &folder);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(vision(&clip, &path, &Options::default()).is_err());
    assert!(tract::run(&path, tract::Values::new(), &|_| ()).is_err());
}
