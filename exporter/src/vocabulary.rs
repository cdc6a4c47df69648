//! What the rows of a classifier are called: names, or WordNet's synsets as CatLIP has them.

use std::collections::HashMap;
use std::path::Path;

use edgelip::label_set::{self, LabelSet};

use crate::checkpoint;
use crate::error::Error;
use crate::wordnet::WordNet;

/// Labels named in an error.
const NAMED: usize = 5;

/// A name for each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    names: Vec<String>,
    /// Where a name is a synset's.
    synsets: Vec<Option<u32>>,
}

/// What a file says of a row.
struct Entry {
    synset: Option<u32>,
    name: Option<String>,
}

impl Vocabulary {
    /// Reads names for `rows` rows: a known set of labels or a file of them, a file with a synset such as `n02958343` at the start of each
    /// line (and a name behind it, and a count between, as the trainer's `synsets.tsv`), or corenet's pickled counts of synsets. Synsets
    /// without a name get WordNet's. Synsets are sorted by how often they were found and a model has the first ones, so that there may be
    /// more of them than rows.
    ///
    /// # Errors
    /// [`Error::Labels`] if there are too few or too many, or one can't be named; [`Error::Io`], and for pickles [`Error::Malformed`].
    pub fn read(path: &Path, rows: usize, net: Option<&WordNet>) -> Result<Vocabulary, Error> {
        let refusal = |reason: String| Error::Labels { origin: path.display().to_string(), reason };
        let mut entries = entries(path)?;
        let are_synsets = entries.iter().all(|entry| entry.synset.is_some());
        if are_synsets {
            entries.truncate(rows);
        }
        if entries.len() != rows {
            return Err(refusal(format!("{} names for the {rows} rows of the classifier", entries.len())));
        }
        let mut names = Vec::with_capacity(rows);
        for (row, entry) in entries.iter().enumerate() {
            let of_net = || Some(net?.name(entry.synset?)?.to_owned());
            names.push(entry.name.clone().or_else(of_net).ok_or_else(|| {
                let row = row + 1;
                match net {
                    None => {
                        refusal(format!("row {row} is a synset without a name: give --wordnet FOLDER, WordNet 3.0's"))
                    }
                    Some(_) => refusal(format!("row {row} is a synset that the noun files of WordNet 3.0 lack")),
                }
            })?);
        }
        let synsets: Vec<Option<u32>> = entries.iter().map(|entry| entry.synset).collect();
        tell_apart(&mut names, |row| synsets[row].map(|synset| format!("n{synset:08}")));
        Ok(Vocabulary { names, synsets })
    }

    /// Names that are known already.
    ///
    /// # Errors
    /// [`Error::Host`] if one is empty, spans lines or is there twice.
    pub fn of_names(origin: &str, names: Vec<String>) -> Result<Vocabulary, Error> {
        let names = LabelSet::from_names(origin, &names)?.names();
        Ok(Vocabulary { synsets: vec![None; names.len()], names })
    }

    /// Whether all rows are synsets.
    pub fn are_synsets(&self) -> bool {
        self.synsets.iter().all(Option::is_some)
    }

    /// The names, in the order of the rows.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The rows that labels stand for: by their names, by synsets such as `n02958343`, or with WordNet by the first sense of a noun.
    ///
    /// # Errors
    /// [`Error::Labels`] naming those that no row is for, and those that are for one row.
    pub fn rows(&self, origin: &str, labels: &[String], net: Option<&WordNet>) -> Result<Vec<usize>, Error> {
        let by_name: HashMap<&str, usize> =
            self.names.iter().zip(0..).map(|(name, row)| (name.as_str(), row)).collect();
        let by_synset: HashMap<u32, usize> =
            self.synsets.iter().zip(0..).filter_map(|(synset, row)| Some(((*synset)?, row))).collect();
        let row = |label: &String| {
            let sense = || synset(label).or_else(|| net?.synset(label));
            by_name.get(label.as_str()).or_else(|| by_synset.get(&sense()?)).copied()
        };
        let refusal = |reason| Err(Error::Labels { origin: origin.into(), reason });
        let missing: Vec<&String> = labels.iter().filter(|label| row(label).is_none()).collect();
        if let Some(first) = missing.first() {
            let named: Vec<String> = missing.iter().take(NAMED).map(|label| format!("`{label}`")).collect();
            let more =
                if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
            let like = self.names.iter().find(|name| name.eq_ignore_ascii_case(first));
            let like = like.map_or(String::new(), |name| format!(" (there is `{name}`)"));
            return refusal(format!("the classifier has no row for {}{more}{like}", named.join(", ")));
        }
        let rows: Vec<usize> = labels.iter().filter_map(row).collect();
        let mut label_of: HashMap<usize, &String> = HashMap::new();
        for (row, label) in rows.iter().zip(labels) {
            if let Some(other) = label_of.insert(*row, label) {
                return refusal(format!(
                    "`{other}` and `{label}` are one row of the classifier, `{}`",
                    self.names[*row]
                ));
            }
        }
        Ok(rows)
    }
}

fn entries(path: &Path) -> Result<Vec<Entry>, Error> {
    if path.extension().is_some_and(|extension| extension == "pkl" || extension == "pickle") {
        let keys = checkpoint::pickled_keys(path)?;
        return keys
            .into_iter()
            .map(|key| match synset(&key) {
                Some(synset) => Ok(Entry { synset: Some(synset), name: None }),
                None => Err(Error::malformed(path, format!("`{key}` is not a noun's synset such as `n2958343`"))),
            })
            .collect();
    }
    if !LabelSet::is_known(path) && path.exists() {
        let text = label_set::read_text(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let synsets: Option<Vec<Entry>> = lines.map(line_of_synset).collect();
        if let Some(synsets) = synsets.filter(|synsets| !synsets.is_empty()) {
            return Ok(synsets);
        }
    }
    let set = LabelSet::resolve(path)?;
    Ok(set.names().into_iter().map(|name| Entry { synset: None, name: Some(name) }).collect())
}

/// `key`, `key name`, `key<tab>name` or `key<tab>count<tab>name`.
fn line_of_synset(line: &str) -> Option<Entry> {
    let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let name = match rest.split_once('\t') {
        Some((count, name)) if count.trim().parse::<u64>().is_ok() => name,
        _ => rest,
    };
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    Some(Entry { synset: Some(synset(key)?), name })
}

/// The number of a noun's synset, with or without zeros in front.
fn synset(key: &str) -> Option<u32> {
    let digits =
        key.strip_prefix('n').filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Puts what a row is called otherwise behind a name that several rows have: there are two kinds of cranes.
pub(crate) fn tell_apart(names: &mut [String], otherwise: impl Fn(usize) -> Option<String>) {
    let mut count: HashMap<String, usize> = HashMap::new();
    names.iter().for_each(|name| *count.entry(name.clone()).or_default() += 1);
    for (row, name) in names.iter_mut().enumerate().filter(|(_, name)| count[name.as_str()] > 1) {
        if let Some(other) = otherwise(row) {
            *name = format!("{name} ({other})");
        }
    }
}

#[cfg(test)]
#[path = "vocabulary_tests.rs"]
mod tests;
