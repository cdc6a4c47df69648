//! The noun files of WordNet 3.0 (Princeton University), in the format of wndb(5WN): what a synset is called, and which one a word means.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::error::Error;

/// WordNet's nouns.
#[derive(Debug, Default)]
pub struct WordNet {
    /// Lemma to its first synset.
    first: HashMap<String, u32>,
    /// Synset to its first word.
    names: HashMap<u32, String>,
}

impl WordNet {
    /// Reads `index.noun` and `data.noun` of a folder.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] naming the first line that is not of the format.
    pub fn read(folder: &Path) -> Result<WordNet, Error> {
        let mut net = WordNet::default();
        lines(&folder.join("index.noun"), |fields| {
            // lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...
            let pointers: usize = fields.get(3)?.parse().ok()?;
            let offset = fields.get(pointers.checked_add(6)?)?.parse().ok()?;
            net.first.insert((*fields.first()?).to_owned(), offset);
            Some(())
        })?;
        lines(&folder.join("data.noun"), |fields| {
            // synset_offset lex_filenum ss_type w_cnt word lex_id...
            net.names.insert(fields.first()?.parse().ok()?, fields.get(4)?.replace('_', " "));
            Some(())
        })?;
        Ok(net)
    }

    /// The first word of the synset at an offset of `data.noun`.
    pub fn name(&self, synset: u32) -> Option<&str> {
        self.names.get(&synset).map(String::as_str)
    }

    /// The first noun sense of a word or several.
    pub fn synset(&self, words: &str) -> Option<u32> {
        let lemma = words.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase();
        self.first.get(&lemma).copied()
    }
}

/// Gives the fields of each line to `take`, which returns `None` for a malformed one. The licence at the top is indented.
fn lines(path: &Path, mut take: impl FnMut(&[&str]) -> Option<()>) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with(' ') && !line.is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        take(&fields).ok_or_else(|| {
            Error::malformed(path, format!("line {} is not WordNet's, as wndb(5WN) has it", number + 1))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two synsets in WordNet's format, the second with a pointer between.
    fn write(folder: &Path) {
        let index = "  1 a licence\ncar n 1 0 1 1 02958343  \nauto n 1 1 @ 1 0 02958343  \nhot_dog n 2 2 @ ~ 2 0 07697537 10187710  \n";
        let data = "  1 a licence\n02958343 06 n 02 car 0 auto 0 000 | a motor vehicle  \n07697537 13 n 01 hot_dog 0 000 | food  \n";
        fs::write(folder.join("index.noun"), index).expect("written");
        fs::write(folder.join("data.noun"), data).expect("written");
    }

    #[test]
    fn words_have_first_senses_and_synsets_first_words() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path());
        let net = WordNet::read(folder.path()).expect("WordNet");
        assert_eq!(
            (net.synset("Auto"), net.synset("hot  dog"), net.synset("cat")),
            (Some(2958343), Some(7697537), None)
        );
        assert_eq!((net.name(7697537), net.name(1)), (Some("hot dog"), None));
    }

    #[test]
    fn what_is_not_wordnets_is_told_by_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(WordNet::read(folder.path()).is_err());
        write(folder.path());
        for (file, line) in [("index.noun", "car n 1 18446744073709551615 @"), ("data.noun", "x 06 n 02 car")] {
            write(folder.path());
            fs::write(folder.path().join(file), format!("  licence\n{line}\n")).expect("written");
            let error = WordNet::read(folder.path()).expect_err("malformed").to_string();
            assert!(error.contains(file) && error.contains("line 2 is not WordNet's"), "{error}");
        }
    }
}
