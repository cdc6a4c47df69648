//! Morphy, WordNet's own lemmatiser, for nouns (morphy(7WN)), with NLTK's choice of the shortest lemma.

use super::WordNet;

/// Detachments: an ending and what takes its place.
const ENDINGS: [(&str, &str); 9] = [
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
];

impl WordNet {
    /// The word's lemma as a noun; the word itself if WordNet knows none.
    pub fn lemma(&self, word: &str) -> String {
        // min_by_key takes the first of equals, as Python's min does.
        self.lemmas(word).into_iter().min_by_key(String::len).unwrap_or_else(|| word.to_owned())
    }

    fn lemmas(&self, word: &str) -> Vec<String> {
        let known = |forms: Vec<String>| {
            let mut kept: Vec<String> = Vec::new();
            for form in forms {
                if self.has(&form) && !kept.contains(&form) {
                    kept.push(form);
                }
            }
            kept
        };
        if let Some(lemmas) = self.exceptions.get(word) {
            return known(std::iter::once(word.to_owned()).chain(lemmas.iter().cloned()).collect());
        }
        let mut forms = detach(&[word.to_owned()]);
        let mut found = known(std::iter::once(word.to_owned()).chain(forms.iter().cloned()).collect());
        while found.is_empty() && !forms.is_empty() {
            forms = detach(&forms);
            found = known(forms.clone());
        }
        found
    }
}

fn detach(forms: &[String]) -> Vec<String> {
    let each = |form: &String| {
        let of_form =
            ENDINGS.iter().filter_map(|(ending, instead)| Some(form.strip_suffix(ending)?.to_owned() + instead));
        of_form.collect::<Vec<_>>()
    };
    forms.iter().flat_map(each).collect()
}
