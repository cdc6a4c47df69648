//! The tensors that a configuration asks for, held against those that the checkpoint has.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::Tensor;

/// A tensor that must be there.
pub(super) struct Expected {
    pub(super) canonical: String,
    /// The checkpoint's name.
    pub(super) name: String,
    /// The shape it has in the checkpoint.
    pub(super) shape: Vec<usize>,
    /// What makes it the canonical one.
    pub(super) view: View,
}

/// Where a canonical tensor lies.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) view: View,
}

/// What is to be done to a tensor of the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum View {
    /// Nothing.
    Whole,
    /// One of several equal parts along the first axis: queries, keys or values of a fused projection.
    Part {
        /// Counted from 0.
        index: usize,
        /// How many there are.
        of: usize,
    },
    /// The axes of a matrix are swapped.
    Transposed,
    /// The first row by itself.
    FirstRow,
    /// Zeros of the same shape, for what a layout does without.
    Zeros,
    /// The same values in another shape.
    Shaped(Vec<usize>),
}

impl View {
    /// The canonical tensor; one whose shape was not checked before comes back as it is.
    pub(super) fn of(&self, mut tensor: Tensor) -> Tensor {
        match self {
            View::Whole => {}
            View::Part { index, of } => {
                let rows = tensor.shape.first().map_or(0, |rows| rows / of);
                let length = tensor.data.len() / of;
                tensor.data = tensor.data[index * length..][..length].to_vec();
                tensor.shape[0] = rows;
            }
            View::Transposed => {
                if let [rows, columns] = tensor.shape[..] {
                    let data = &tensor.data;
                    let swapped =
                        (0..columns).flat_map(|column| (0..rows).map(move |row| data[row * columns + column]));
                    tensor = Tensor { data: swapped.collect(), shape: vec![columns, rows] };
                }
            }
            View::FirstRow => {
                tensor.truncate(1);
                tensor.shape.remove(0);
            }
            View::Zeros => tensor.data.fill(0.0),
            View::Shaped(shape) => tensor.shape.clone_from(shape),
        }
        tensor
    }
}

/// Adds a tensor.
pub(super) fn push(expected: &mut Vec<Expected>, canonical: String, name: String, shape: &[usize]) {
    push_view(expected, canonical, name, shape, View::Whole);
}

/// Adds a tensor that is stored otherwise.
pub(super) fn push_view(expected: &mut Vec<Expected>, canonical: String, name: String, shape: &[usize], view: View) {
    expected.push(Expected { canonical, name, shape: shape.to_vec(), view });
}

/// Adds a weight and its bias.
pub(super) fn push_pair(expected: &mut Vec<Expected>, canonical: &str, name: &str, weight: &[usize]) {
    push(expected, format!("{canonical}.weight"), format!("{name}.weight"), weight);
    push(expected, format!("{canonical}.bias"), format!("{name}.bias"), &weight[..1]);
}

/// The only value of a tensor.
///
/// # Errors
/// [`Error::Tensors`] if it is not a number, [`Error::Io`] if the file can't be read.
pub(super) fn scalar(checkpoint: &Checkpoint, name: &str) -> Result<f32, Error> {
    let stored = checkpoint.tensor(name)?;
    match stored.data[..] {
        [value] if value.is_finite() => Ok(value),
        _ => Err(Error::Tensors {
            path: checkpoint.path().into(),
            problems: vec![format!("`{name}` is {:?}", stored.data)],
        }),
    }
}

/// Canonical names to the checkpoint's, which begin with `prefix`, if exactly the expected tensors are there. `family` is what the
/// checkpoint should be, `says` what asks for the shapes; a tensor that `ignored` knows, by its name without the prefix, may be there as well.
///
/// # Errors
/// [`Error::Tensors`] listing all that is missing, not known or of another shape.
pub(super) fn match_tensors(
    checkpoint: &Checkpoint,
    prefix: &str,
    expected: Vec<Expected>,
    [family, says]: [&str; 2],
    ignored: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Stored>, Error> {
    let mut problems = Vec::new();
    let mut tensors = BTreeMap::new();
    let mut known = BTreeSet::new();
    for Expected { canonical, name, shape, view } in expected {
        let name = format!("{prefix}{name}");
        if known.insert(name.clone()) {
            match checkpoint.shape(&name) {
                None => problems.push(format!("`{name}` is missing")),
                Some(found) if found != shape && !(shape.is_empty() && found == [1]) => {
                    problems.push(format!("`{name}` is {found:?}, but {says} makes it {shape:?}"));
                }
                Some(_) => {}
            }
        }
        tensors.insert(canonical, Stored { name, view });
    }
    for name in checkpoint.names() {
        if !known.contains(name) && !ignored(name.strip_prefix(prefix).unwrap_or(name)) {
            problems.push(format!("`{name}` is not part of a {family} of this configuration"));
        }
    }
    if problems.is_empty() {
        return Ok(tensors);
    }
    Err(Error::Tensors { path: checkpoint.path().into(), problems })
}
