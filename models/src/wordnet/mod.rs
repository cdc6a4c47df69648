//! Captions to WordNet synsets, as CatLIP makes its labels (Mehta et al., arXiv 2404.15653).

mod caption;
mod lemma;
mod nouns;
mod vocabulary;

pub use caption::words;
pub use nouns::WordNet;
pub use vocabulary::{Label, Vocabulary};
