//! The tensors that a configuration asks for, held against those that the checkpoint has.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::error::Error;

/// A tensor that must be there: canonical name, the checkpoint's name, shape.
pub(super) struct Expected {
    pub(super) canonical: String,
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
}

/// Adds a tensor.
pub(super) fn push(expected: &mut Vec<Expected>, canonical: String, name: String, shape: &[usize]) {
    expected.push(Expected { canonical, name, shape: shape.to_vec() });
}

/// Adds a weight and its bias.
pub(super) fn push_pair(expected: &mut Vec<Expected>, canonical: &str, name: &str, weight: &[usize]) {
    push(expected, format!("{canonical}.weight"), format!("{name}.weight"), weight);
    push(expected, format!("{canonical}.bias"), format!("{name}.bias"), &weight[..1]);
}

/// Canonical names to the checkpoint's, which begin with `prefix`, if exactly the expected tensors are there. `family` is what the
/// checkpoint should be; a tensor that `ignored` knows, by its name without the prefix, may be there as well.
///
/// # Errors
/// [`Error::Tensors`] listing all that is missing, not known or of another shape.
pub(super) fn match_tensors(
    checkpoint: &Checkpoint,
    prefix: &str,
    expected: Vec<Expected>,
    family: &str,
    ignored: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, Error> {
    let mut problems = Vec::new();
    let mut names = BTreeMap::new();
    for Expected { canonical, name, shape } in expected {
        let name = format!("{prefix}{name}");
        match checkpoint.shape(&name) {
            None => problems.push(format!("`{name}` is missing")),
            Some(found) if found != shape && !(shape.is_empty() && found == [1]) => {
                problems.push(format!("`{name}` is {found:?}, but config.json makes it {shape:?}"));
            }
            Some(_) => {}
        }
        names.insert(canonical, name);
    }
    let known: BTreeSet<&str> = names.values().map(String::as_str).collect();
    for name in checkpoint.names() {
        if !known.contains(name) && !ignored(name.strip_prefix(prefix).unwrap_or(name)) {
            problems.push(format!("`{name}` is not part of a {family} of this configuration"));
        }
    }
    if problems.is_empty() {
        return Ok(names);
    }
    Err(Error::Tensors { path: checkpoint.folder().into(), problems })
}
