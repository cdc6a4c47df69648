//! The synsets that are learned: counted over all captions, the rare ones pruned.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::WordNet;
use crate::data::Dataset;
use crate::error::Error;
use crate::tensor_file::replace;

/// One synset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its offset in WordNet 3.0; `n` and this number is its key, and `int(wnid[1:])` of an ImageNet id.
    pub offset: u32,
    /// Its first word.
    pub name: String,
    /// Images it was found for.
    pub count: u64,
}

/// Synsets by falling count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// The labels in the classifier's order.
    pub labels: Vec<Label>,
}

impl Vocabulary {
    /// Counts the synsets of a data set's images and keeps those of at least `least` images, at most `most` of them. Equal counts are
    /// in the order of offsets.
    pub fn build(dataset: &Dataset, net: &WordNet, least: u64, most: usize) -> Vocabulary {
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for item in &dataset.items {
            for offset in synsets(&item.captions, item.class.as_deref(), net) {
                *counts.entry(offset).or_default() += 1;
            }
        }
        let mut labels: Vec<Label> = counts
            .into_iter()
            .filter(|&(_, count)| count >= least)
            .map(|(offset, count)| Label { offset, name: net.name(offset).unwrap_or_default(), count })
            .collect();
        labels.sort_by_key(|label| (std::cmp::Reverse(label.count), label.offset));
        labels.truncate(most);
        Vocabulary { labels }
    }

    /// The labels of each image of a data set, as rows of the classifier.
    pub fn targets(&self, dataset: &Dataset, net: &WordNet) -> Vec<Vec<i64>> {
        let row: HashMap<u32, i64> = self.labels.iter().zip(0..).map(|(label, row)| (label.offset, row)).collect();
        let of_item = |item: &crate::data::Item| {
            synsets(&item.captions, item.class.as_deref(), net)
                .iter()
                .filter_map(|offset| row.get(offset).copied())
                .collect()
        };
        dataset.items.iter().map(of_item).collect()
    }

    /// The classifier's row of an ImageNet id such as `n02084071`.
    pub fn row(&self, wnid: &str) -> Option<usize> {
        let offset = offset(wnid)?;
        self.labels.iter().position(|label| label.offset == offset)
    }

    /// Reads what [`Vocabulary::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] naming the line, or if there is none.
    pub fn read(path: &Path) -> Result<Vocabulary, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let label = |(number, line): (usize, &str)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let label = match fields.as_slice() {
                [key, count, name] => offset(key).zip(count.parse().ok()).map(|(offset, count)| Label {
                    offset,
                    name: (*name).to_owned(),
                    count,
                }),
                _ => None,
            };
            label.ok_or_else(|| {
                Error::malformed(path, format!("line {} is not `key, count, name` with tabs", number + 1))
            })
        };
        let labels: Vec<Label> = text.lines().enumerate().map(label).collect::<Result<_, _>>()?;
        if labels.is_empty() {
            return Err(Error::malformed(path, "no synset"));
        }
        Ok(Vocabulary { labels })
    }

    /// Writes a line `key<tab>count<tab>name` for each label.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = self.labels.iter().fold(String::new(), |mut text, Label { offset, name, count }| {
            let _ = writeln!(text, "n{offset}\t{count}\t{name}");
            text
        });
        replace(path, text.as_bytes())
    }
}

/// The synsets of all captions of an image, and that of its class's WordNet id.
fn synsets(captions: &[String], class: Option<&str>, net: &WordNet) -> Vec<u32> {
    let mut found: Vec<u32> = captions.iter().flat_map(|caption| net.synsets(caption)).collect();
    found.extend(class.and_then(offset).filter(|&offset| net.name(offset).is_some()));
    found.sort_unstable();
    found.dedup();
    found
}

fn offset(key: &str) -> Option<u32> {
    key.strip_prefix('n')?.parse().ok()
}
