//! Labels of one's own in place of a data set's classes: `cat` for three breeds.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::Dataset;
use crate::error::Error;

/// Labels, and the ids of the classes that each stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<(String, Vec<String>)>);

impl Labels {
    /// Reads a text file: a label a line, a tab, and the ids of its classes with spaces between.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] for a line without a label or classes, and for a label or a class that is there twice.
    pub fn read(path: &Path) -> Result<Labels, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let mut labels: Vec<(String, Vec<String>)> = Vec::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let wrong = |reason: String| Error::malformed(path, format!("line {number}: {reason}"));
            let (label, ids) = line.split_once('\t').unwrap_or((line, ""));
            let (label, ids) = (label.trim().to_owned(), ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
            if label.is_empty() || ids.is_empty() {
                return Err(wrong("a label, a tab and ids of classes are needed".into()));
            }
            if labels.iter().any(|(known, _)| *known == label) {
                return Err(wrong(format!("`{label}` is there twice")));
            }
            for (place, id) in ids.iter().enumerate() {
                if ids[..place].contains(id) || labels.iter().any(|(_, known)| known.contains(id)) {
                    return Err(wrong(format!("class `{id}` is there twice")));
                }
            }
            labels.push((label, ids));
        }
        if labels.is_empty() {
            return Err(Error::malformed(path, "no label"));
        }
        Ok(Labels(labels))
    }

    /// Gives each image its label as its class and only name; images of other classes and of none are left out.
    pub fn apply(&self, dataset: &mut Dataset) {
        let of_class: HashMap<&str, &String> =
            self.0.iter().flat_map(|(label, ids)| ids.iter().map(move |id| (id.as_str(), label))).collect();
        dataset.items.retain_mut(|item| {
            let Some(&label) = item.class.as_deref().and_then(|id| of_class.get(id)) else { return false };
            (item.captions, item.class) = (vec![label.clone()], Some(label.clone()));
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Item, Photo};

    fn read(text: &str) -> Result<Labels, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.tsv");
        fs::write(&path, text).unwrap();
        Labels::read(&path)
    }

    #[test]
    fn classes_become_labels_and_the_rest_goes() {
        let item = |class: Option<&str>| Item {
            photo: Photo { width: 1, height: 1, pixels: vec![0; 3] },
            captions: vec!["tabby".into(), "queen".into()],
            class: class.map(str::to_owned),
        };
        let items = vec![item(Some("n2")), item(None), item(Some("n9")), item(Some("n3")), item(Some("n1"))];
        let mut dataset = Dataset { items, ..Dataset::default() };
        read("a cat\tn1  n2\n\ndog\tn3\r\n").unwrap().apply(&mut dataset);
        let found: Vec<_> = dataset.items.iter().map(|item| (item.class.as_deref(), item.captions.join(","))).collect();
        let named = |name: &'static str| (Some(name), name.to_owned());
        assert_eq!(found, [named("a cat"), named("dog"), named("a cat")]);
    }

    #[test]
    fn what_is_unclear_is_refused_by_its_line() {
        for (text, reason) in [
            ("cat\tn1\ndog\n", "line 2: a label, a tab"),
            ("\tn1\n", "line 1: a label, a tab"),
            ("cat\tn1\ncat\tn2\n", "line 2: `cat` is there twice"),
            ("cat\tn1\ndog\tn2 n1\n", "line 2: class `n1` is there twice"),
            ("cat\tn1 n1\n", "line 1: class `n1` is there twice"),
            ("\n", "no label"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
