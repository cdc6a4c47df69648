//! The noun files of WordNet 3.0 (Princeton University), in the format of wndb(5WN).

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::error::Error;

/// WordNet's nouns: what lemmatising and the first sense need.
#[derive(Debug, Default)]
pub struct WordNet {
    /// Lemma to the offset of its first synset.
    first: HashMap<String, u32>,
    /// Offset of a synset to its first word, in lower case.
    head: HashMap<u32, String>,
    /// Irregular plural to its lemmas.
    pub(super) exceptions: HashMap<String, Vec<String>>,
}

impl WordNet {
    /// Reads `index.noun`, `data.noun` and `noun.exc` of a folder.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] naming the first line that is not of the format.
    pub fn read(folder: &Path) -> Result<WordNet, Error> {
        let mut net = WordNet::default();
        lines(&folder.join("index.noun"), |fields| {
            // lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...
            let pointers: usize = fields.get(3)?.parse().ok()?;
            net.first.insert((*fields.first()?).to_owned(), fields.get(6 + pointers)?.parse().ok()?);
            Some(())
        })?;
        lines(&folder.join("data.noun"), |fields| {
            // synset_offset lex_filenum ss_type w_cnt word lex_id...
            net.head.insert(fields.first()?.parse().ok()?, fields.get(4)?.to_lowercase());
            Some(())
        })?;
        lines(&folder.join("noun.exc"), |fields| {
            let lemmas = fields[1..].iter().map(|&lemma| lemma.to_owned()).collect();
            net.exceptions.insert((*fields.first()?).to_owned(), lemmas);
            Some(())
        })?;
        Ok(net)
    }

    /// Whether the word is a noun's lemma.
    pub fn has(&self, lemma: &str) -> bool {
        self.first.contains_key(lemma)
    }

    /// The synset of a word: its lemma's first noun sense, if that synset is named after the lemma (`lemma.n.01`).
    pub fn synset(&self, word: &str) -> Option<u32> {
        let lemma = self.lemma(word);
        let offset = *self.first.get(&lemma)?;
        (self.head.get(&offset)? == &lemma).then_some(offset)
    }

    /// The distinct synsets of a caption's words, in the order of their first word.
    pub fn synsets(&self, caption: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for offset in super::words(caption).iter().filter_map(|word| self.synset(word)) {
            if !found.contains(&offset) {
                found.push(offset);
            }
        }
        found
    }

    /// The name of a synset: its first word.
    pub fn name(&self, offset: u32) -> Option<String> {
        self.head.get(&offset).map(|head| head.replace('_', " "))
    }
}

/// Gives the fields of each line to `take`, which returns `None` for a malformed one. The licence at the top is indented.
fn lines(path: &Path, mut take: impl FnMut(&[&str]) -> Option<()>) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with(' ') && !line.is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        take(&fields).ok_or_else(|| Error::malformed(path, format!("line {} is not WordNet's", number + 1)))?;
    }
    Ok(())
}
