//! What the tensors of a checkpoint mean: naming schemes and configurations turned into a [`Source`](crate::source::Source).

pub mod clip;
mod clip_config;
mod fields;
mod position;
pub mod preprocess;
mod tensors;
pub mod tokenizer;
