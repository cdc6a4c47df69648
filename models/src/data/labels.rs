//! Labels of one's own in place of a data set's classes: `cat` for three breeds.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::Dataset;
use crate::error::Error;

/// Labels by the ids of the classes that each stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<Label>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    name: String,
    /// What prompts say in its place.
    names: Vec<String>,
    classes: Vec<String>,
}

impl Labels {
    /// Reads a text file: a label a line, a tab, and the ids of its classes with spaces between; behind another tab, if prompts are not to
    /// name the label itself, the names that they take, with commas between.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] for a line without a label or classes, and for a label or a class that is there twice.
    pub fn read(path: &Path) -> Result<Labels, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let mut labels: Vec<Label> = Vec::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let wrong = |reason: String| Error::malformed(path, format!("line {number}: {reason}"));
            let mut columns = line.split('\t').map(str::trim);
            let mut column = || columns.next().unwrap_or_default();
            let name = column().to_owned();
            let classes: Vec<String> = column().split_whitespace().map(str::to_owned).collect();
            let mut names: Vec<String> =
                column().split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
            if name.is_empty() || classes.is_empty() || columns.next().is_some() {
                return Err(wrong("a label, a tab and ids of classes are needed, and perhaps a tab and names".into()));
            }
            if labels.iter().any(|known| known.name == name) {
                return Err(wrong(format!("`{name}` is there twice")));
            }
            for (place, id) in classes.iter().enumerate() {
                if classes[..place].contains(id) || labels.iter().any(|known| known.classes.contains(id)) {
                    return Err(wrong(format!("class `{id}` is there twice")));
                }
            }
            if names.is_empty() {
                names.push(name.clone());
            }
            labels.push(Label { name, names, classes });
        }
        if labels.is_empty() {
            return Err(Error::malformed(path, "no label"));
        }
        Ok(Labels(labels))
    }

    /// Gives each image its label as its class, with that label's names; images of other classes and of none are left out.
    pub fn apply(&self, dataset: &mut Dataset) {
        let of_class: HashMap<&str, &Label> =
            self.0.iter().flat_map(|label| label.classes.iter().map(move |id| (id.as_str(), label))).collect();
        dataset.items.retain_mut(|item| {
            let Some(&label) = item.class.as_deref().and_then(|id| of_class.get(id)) else { return false };
            (item.captions, item.class) = (label.names.clone(), Some(label.name.clone()));
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
        read("a cat\tn1  n2\n\ndog\tn3\t poodle, ,pug\r\n").unwrap().apply(&mut dataset);
        let found: Vec<_> = dataset.items.iter().map(|item| (item.class.as_deref(), item.captions.join(","))).collect();
        let cat = (Some("a cat"), "a cat".to_owned());
        assert_eq!(found, [cat.clone(), (Some("dog"), "poodle,pug".to_owned()), cat]);
    }

    #[test]
    fn what_is_unclear_is_refused_by_its_line() {
        for (text, reason) in [
            ("cat\tn1\ndog\n", "line 2: a label, a tab"),
            ("\tn1\n", "line 1: a label, a tab"),
            ("cat\tn1\ttabby\tn2\n", "line 1: a label, a tab"),
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
