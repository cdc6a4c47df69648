//! What the tensors of a checkpoint mean: naming schemes and configurations turned into a [`Source`](crate::source::Source).

mod any;
pub mod bert;
mod bert_config;
pub mod clip;
mod clip_config;
mod fields;
mod mlip;
mod position;
pub mod preprocess;
mod tensors;
pub mod tokenizer;

pub use any::Layout;
