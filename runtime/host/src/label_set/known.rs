//! Label sets that are known by name.

use std::path::Path;

use super::{Label, LabelSet};
use crate::Error;

/// The names [`LabelSet::resolve`] knows.
pub const NAMES: [&str; 1] = ["imagenet"];

impl LabelSet {
    /// Whether this is the name of a set and no file's.
    pub fn is_known(name: &Path) -> bool {
        NAMES.iter().any(|known| name.as_os_str() == *known)
    }

    /// The labels of a set (one of [`NAMES`]) or of a file; a file of such a name is reached by a path, as `./imagenet`.
    ///
    /// # Errors
    /// [`Error::Labels`] if it is neither, or as [`LabelSet::read`].
    pub fn resolve(name: impl AsRef<Path>) -> Result<Self, Error> {
        let name = name.as_ref();
        match name.to_str() {
            Some("imagenet") => Self::checked("imagenet", labels(include_str!("imagenet.txt"))),
            _ if !name.exists() => {
                let reason = format!("neither a file nor a known set of labels ({})", NAMES.join(", "));
                Err(Error::labels(name.display().to_string(), reason))
            }
            _ => Self::read(name),
        }
    }
}

/// One name a line; behind a tab what prompts say for it.
fn labels(text: &str) -> Vec<Label> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let label = |line: &str| match line.split_once('\t') {
        Some((name, spoken)) => Label { name: name.into(), spoken: Some(spoken.into()), prompts: Vec::new() },
        None => Label { name: line.into(), spoken: None, prompts: Vec::new() },
    };
    lines.map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn imagenet_has_its_thousand_classes_in_order() {
        let set = LabelSet::resolve("imagenet").expect("a known set");
        let labels = set.labels();
        assert_eq!(labels.len(), 1000);
        let name = |index: usize| (labels[index].name.as_str(), labels[index].spoken.as_deref());
        assert_eq!(
            [name(0), name(1), name(207), name(999)].map(|(name, _)| name),
            ["tench", "goldfish", "Golden Retriever", "toilet paper"]
        );
        assert_eq!((name(657), name(744)), (("missile", None), ("missile (projectile)", Some("missile"))));
        let spoken = |label: &Label| label.spoken.clone().unwrap_or(label.name.clone());
        let mut distinct: Vec<String> = labels.iter().map(spoken).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 998);
    }

    #[test]
    fn a_path_is_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("imagenet");
        fs::write(&path, "tench\n").expect("written");
        assert_eq!(LabelSet::resolve(&path).expect("a file").labels().len(), 1);
        let error = LabelSet::resolve("imagenet-21k").expect_err("unknown").to_string();
        assert_eq!(error, "imagenet-21k: neither a file nor a known set of labels (imagenet)");
    }
}
