//! Checkpoints of made-up shapes, for tests of layouts.

use std::collections::BTreeMap;
use std::fs;

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;
use tempfile::TempDir;

use super::{Layout, Options};

/// Shapes by the checkpoint's names.
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// A folder with weights that count up from 0 in each tensor, and a configuration of this name if there is one.
pub(super) fn folder(config: Option<(&str, &Value)>, weights: &str, shapes: &Shapes) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if let Some((name, config)) = config {
        fs::write(folder.path().join(name), config.to_string()).expect("written");
    }
    let data: Vec<Vec<u8>> = shapes
        .values()
        .map(|shape| (0..shape.iter().product::<usize>()).flat_map(|i| (i as f32).to_le_bytes()).collect())
        .collect();
    let views = shapes
        .iter()
        .zip(&data)
        .map(|((name, shape), data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).expect("a valid view")));
    let bytes = serialize(views, None).expect("serialisable");
    fs::write(folder.path().join(weights), bytes).expect("written");
    folder
}

/// Holds what is said of a checkpoint that can't be read against the reason for it: one line.
pub(super) fn refused(folder: &TempDir, options: &Options, reason: &str) {
    let said = Layout::open(folder.path(), options).map(drop).expect_err(reason).to_string();
    assert!(said.contains(reason) && !said.contains('\n'), "{said}\nlacks\n{reason}");
}
