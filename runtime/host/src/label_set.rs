//! Label names and the prompts that stand for them, before any arithmetic.

pub mod known;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::Error;

/// The prompt of a label when none is asked for.
pub const DEFAULT_TEMPLATE: &str = "a photo of a {}.";

/// A label and, if the user wrote them out, its own prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What is shown.
    pub name: String,
    /// What prompts say for it, if not the name: that of two labels that are called the same.
    pub spoken: Option<String>,
    /// Texts that describe it, in which `{}` stands for it; if empty, the templates are used.
    pub prompts: Vec<String>,
}

impl Label {
    /// One that templates are for.
    fn named(name: impl Into<String>) -> Self {
        Label { name: name.into(), spoken: None, prompts: Vec::new() }
    }
}

/// Labels without duplicates, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet(Vec<Label>);

impl LabelSet {
    /// Checks names that were given one by one. White space around them is dropped.
    ///
    /// # Errors
    /// [`Error::Labels`] if there are none, one is empty, spans lines or is there twice; `origin` says where they come from.
    pub fn from_names<S: AsRef<str>>(origin: &str, names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let labels = names.into_iter().map(|name| Label::named(name.as_ref().trim()));
        Self::checked(origin, labels.collect())
    }

    /// Names between commas.
    ///
    /// # Errors
    /// As [`LabelSet::from_names`].
    pub fn from_list(origin: &str, list: &str) -> Result<Self, Error> {
        Self::from_names(origin, list.split(','))
    }

    /// Reads a file: JSON (a list of names, or an object of names and prompts), CSV, or one name a line, with comments after `#` at
    /// a line's start; ImageNet's `n01440764 tench` lines lose their number.
    ///
    /// # Errors
    /// [`Error::Io`], or as [`LabelSet::from_names`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let text = read_text(path)?;
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let labels = match extension.as_str() {
            "json" => json(&origin, &text)?,
            "csv" => csv(&origin, &text)?,
            _ => lines(&text),
        };
        Self::checked(&origin, labels)
    }

    /// The labels, in the order given.
    pub fn labels(&self) -> &[Label] {
        &self.0
    }

    /// What is shown for each of them.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|label| label.name.clone()).collect()
    }

    fn checked(origin: &str, labels: Vec<Label>) -> Result<Self, Error> {
        if labels.is_empty() {
            return Err(Error::labels(origin, "no labels"));
        }
        let mut seen = HashSet::with_capacity(labels.len());
        for (index, label) in labels.iter().enumerate() {
            let number = index + 1;
            if label.name.is_empty() {
                return Err(Error::labels(origin, format!("label {number} is empty")));
            }
            if label.name.contains(['\n', '\r', '\0']) {
                return Err(Error::labels(origin, format!("label {number} spans several lines")));
            }
            if !seen.insert(label.name.as_str()) {
                return Err(Error::labels(origin, format!("label `{}` is there twice", label.name)));
            }
        }
        Ok(LabelSet(labels))
    }
}

/// Reads a text file: UTF-8, with or without a byte order mark.
///
/// # Errors
/// [`Error::Io`], or [`Error::Malformed`] if it is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, Error> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        Error::malformed(path, format!("line {line} is not UTF-8 text"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// Checks templates: each must say where the name goes, by `{}` or `{c}`; `none` is the bare name.
///
/// # Errors
/// [`Error::Labels`] if there are none, or one has no place for the name.
pub fn templates<S: AsRef<str>>(origin: &str, lines: impl IntoIterator<Item = S>) -> Result<Vec<String>, Error> {
    let mut templates = Vec::new();
    for line in lines {
        let template = match line.as_ref().trim() {
            "none" => "{}".to_string(),
            other => other.replace("{c}", "{}"),
        };
        if !template.contains("{}") {
            return Err(Error::labels(origin, format!("template `{template}` has no `{{}}` where the label goes")));
        }
        templates.push(template);
    }
    if templates.is_empty() {
        return Err(Error::labels(origin, "no templates"));
    }
    Ok(templates)
}

/// Reads a file of templates, one a line; lines that are empty or start with `#` are skipped.
///
/// # Errors
/// [`Error::Io`], or as [`templates`].
pub fn read_templates(path: impl AsRef<Path>) -> Result<Vec<String>, Error> {
    let path = path.as_ref();
    templates(&path.display().to_string(), content_lines(&read_text(path)?))
}

fn content_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn lines(text: &str) -> Vec<Label> {
    let names: Vec<&str> = content_lines(text).collect();
    let all_synsets = names.iter().all(|line| without_synset(line).is_some());
    let name = |line: &&str| if all_synsets { without_synset(line).unwrap_or(line) } else { line }.to_string();
    names.iter().map(|line| Label::named(name(line))).collect()
}

fn without_synset(line: &str) -> Option<&str> {
    let (id, name) = line.split_once(char::is_whitespace)?;
    let digits = id.strip_prefix('n')?;
    (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| name.trim())
}

fn json(origin: &str, text: &str) -> Result<Vec<Label>, Error> {
    use serde_json::Value;
    let refuse = |reason: &str| Error::labels(origin, reason);
    let string = |value: Value| match value {
        Value::String(text) => Ok(text.trim().to_string()),
        other => Err(refuse(&format!("`{other}` is not a text"))),
    };
    match serde_json::from_str(text).map_err(|error| refuse(&format!("not JSON: {error}")))? {
        Value::Array(names) => names.into_iter().map(|name| Ok(Label::named(string(name)?))).collect(),
        Value::Object(_) => entries(origin, text)?
            .into_iter()
            .map(|(name, prompts)| {
                let prompts = match prompts {
                    Value::Array(prompts) => prompts.into_iter().map(string).collect::<Result<Vec<_>, _>>()?,
                    prompt => vec![string(prompt)?],
                };
                if prompts.is_empty() || prompts.iter().any(String::is_empty) {
                    return Err(refuse(&format!("label `{name}` has an empty prompt or none")));
                }
                Ok(Label { prompts, ..Label::named(name.trim()) })
            })
            .collect(),
        _ => Err(refuse("neither a list of names nor an object of names and prompts")),
    }
}

/// The entries of an object as they stand, duplicates included, which a map would lose.
fn entries(origin: &str, text: &str) -> Result<Vec<(String, serde_json::Value)>, Error> {
    struct Entries;
    impl<'de> serde::de::Visitor<'de> for Entries {
        type Value = Vec<(String, serde_json::Value)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    use serde::Deserializer;
    serde_json::Deserializer::from_str(text)
        .deserialize_map(Entries)
        .map_err(|error| Error::labels(origin, format!("not JSON: {error}")))
}

/// The column called `label`, `name` or `class`, or else the first one.
fn csv(origin: &str, text: &str) -> Result<Vec<Label>, Error> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.records() {
        rows.push(row.map_err(|error| Error::labels(origin, error))?);
    }
    let is_header = |field: &str| ["label", "name", "class"].contains(&field.to_ascii_lowercase().as_str());
    let header = rows.first().and_then(|row| row.iter().position(is_header));
    let column = header.unwrap_or(0);
    rows.iter()
        .enumerate()
        .skip(usize::from(header.is_some()))
        .map(|(index, row)| {
            let name = row.get(column);
            let name = name.ok_or_else(|| Error::labels(origin, format!("row {} has no label", index + 1)))?;
            Ok(Label::named(name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let set = LabelSet::read(&path).map_err(|error| error.to_string())?;
        Ok(set.labels().iter().map(|label| label.name.clone()).collect())
    }

    #[test]
    fn one_a_line() {
        assert_eq!(read("a.txt", "\u{feff}cat\r\n# no\n\n  red apple \n").unwrap(), ["cat", "red apple"]);
        assert_eq!(read("a", "C#\n#x").unwrap(), ["C#"]);
    }

    #[test]
    fn synsets_lose_their_number_only_if_all_have_one() {
        assert_eq!(
            read("a.txt", "n01440764 tench\nn01443537 goldfish, Carassius").unwrap(),
            ["tench", "goldfish, Carassius"]
        );
        assert_eq!(read("a.txt", "n01440764 tench\ncat").unwrap(), ["n01440764 tench", "cat"]);
    }

    #[test]
    fn json_and_csv() {
        assert_eq!(read("a.json", r#"["cat", "dog"]"#).unwrap(), ["cat", "dog"]);
        assert_eq!(read("a.json", r#"{"z": ["a {}"], "a": "b"}"#).unwrap(), ["z", "a"]);
        assert!(read("a.json", r#"{"z": ["a"], "z": ["b"]}"#).unwrap_err().contains("twice"));
        assert!(read("a.json", r#"{"z": []}"#).unwrap_err().contains("empty prompt"));
        assert!(read("a.json", "[1]").unwrap_err().contains("not a text"));
        assert!(read("a.json", "[").unwrap_err().contains("not JSON"));
        assert_eq!(read("a.csv", "id,Label\n1,\"cat, big\"\n2,dog\n").unwrap(), ["cat, big", "dog"]);
        assert_eq!(read("a.csv", "cat,1\ndog,2\n").unwrap(), ["cat", "dog"]);
    }

    #[test]
    fn what_can_not_be_labels() {
        for (text, reason) in [("", "no labels"), ("# only\n", "no labels"), ("cat\ndog\ncat", "`cat` is there twice")]
        {
            assert!(read("a.txt", text).unwrap_err().ends_with(reason), "{text:?}");
        }
        assert!(LabelSet::from_list("--labels", "a,,b").unwrap_err().to_string().contains("label 2 is empty"));
        assert!(LabelSet::from_names("labels", ["a\nb"]).is_err());
    }

    #[test]
    fn text_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, b"cat\n\xff\xfe").unwrap();
        assert!(LabelSet::read(&path).unwrap_err().to_string().contains("line 2 is not UTF-8"));
    }

    #[test]
    fn templates_have_a_place_for_the_name() {
        assert_eq!(templates("--template", ["a {c}!", "none"]).unwrap(), ["a {}!", "{}"]);
        assert!(templates("--template", ["a photo"]).unwrap_err().to_string().contains("no `{}`"));
        assert!(templates::<&str>("--template", []).is_err());
    }
}
