//! Zero-shot image labelling on small Linux boards: what the runtime needs from an operating system, and the `edgelip` command line.
//!
//! [`Mapping`] lends a model file to the runtime, [`threads`] says how many workers it gets.
//! [`tokenizer`] and [`label_set`] turn words into token ids and prompts.

#![deny(unsafe_code)]

mod error;
pub mod label_set;
pub mod machine;
mod mapping;
pub mod output;
pub mod stats;
pub mod threads;
pub mod tokenizer;

pub use error::Error;
pub use mapping::Mapping;
