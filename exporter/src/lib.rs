//! Turns a trained image-text checkpoint into one ONNX file that boards execute in place.
//!
//! [`checkpoint`] reads bytes into tensors, [`layout`] knows what they mean and offers them as a [`source::Source`].
//! [`schedule`] turns a compression rate into tokens merged per block, [`calibrate`] tries several on photos.
//! [`graph`] folds and packs a source into an ONNX model; [`reference`](mod@reference) computes the source's own
//! embeddings, and [`verify`] holds the written file against them. [`operators`] says which nodes an accelerator won't take.
//! [`vocabulary`] and [`wordnet`] say what the rows of a classifier are called.

#![forbid(unsafe_code)]

pub mod calibrate;
pub mod checkpoint;
pub mod error;
pub mod graph;
pub mod layout;
pub mod operators;
pub mod reference;
pub mod schedule;
pub mod source;
pub mod verify;
pub mod vocabulary;
pub mod wordnet;

pub use error::Error;
