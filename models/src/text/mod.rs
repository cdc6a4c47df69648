//! Text: tokens, a frozen encoder and what it says of all captions.

mod bank;
mod minilm;
mod tokenizer;

pub use bank::Bank;
pub use minilm::MiniLm;
pub use tokenizer::Tokenizer;
