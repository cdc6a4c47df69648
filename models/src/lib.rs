//! Trains image-text models for edgelip: a CLIP baseline, MLIP (our reconstruction of arXiv 2406.01460) and CatLIP (arXiv 2404.15653).
//!
//! A run is one [`config::Config`]; everything random in it depends on the seed and the step alone, so that a run that was killed and
//! resumed ends with the same bits as one that was not.

#![forbid(unsafe_code)]

pub mod config;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod loss;
pub mod merging;
pub mod model;
pub mod nn;
pub mod objective;
pub mod parameters;
pub mod planner;
pub mod publish;
pub mod random;
pub mod resolution;
pub mod tensor_file;
pub mod text;
pub mod train;
pub mod vision;
pub mod wordnet;
