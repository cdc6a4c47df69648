//! Writes ONNX files, and re-writes edgelip's own with other labels.
//!
//! A file lies as docs/file-format.md says: fields in a fixed order and every large `raw_data` at a multiple of
//! [`ALIGNMENT`] bytes, so that a runtime can use the weights where they are. Payloads may be streamed: a file larger
//! than memory can be written.

mod edit;
mod labels;
mod layout;
mod model;
mod node;
mod wire;

#[cfg(test)]
mod tests;

use std::io;

pub use labels::{attach_classifier, attach_labels};
pub use layout::ALIGNMENT;
pub use model::{Dim, ElementType, Initializer, OnnxModel, Payload, Stream, ValueInfo};
pub use node::{Attribute, Node};

/// Why a payload's stream stopped.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong in writing or editing an ONNX file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read as ONNX.
    #[error(transparent)]
    Read(#[from] edgelip_runtime::Error),
    /// The file has something that a re-written one would lose.
    #[error("{0}: re-writing this file would lose it; export the model again")]
    Unsupported(String),
    /// Protobuf's limit.
    #[error("the file would have {0} bytes, more than an ONNX file without external data can have (2 GiB)")]
    TooLarge(u64),
    /// A payload that does not fit its declared shape.
    #[error("initializer `{name}` declares {declared} bytes but has {given}")]
    PayloadLength {
        /// The initializer.
        name: String,
        /// Bytes by shape and element type.
        declared: u64,
        /// Bytes given; of a stream that wants to write more than declared, the bytes until it was stopped.
        given: u64,
    },
    /// A streamed payload could not be made.
    #[error("initializer `{name}`: {source}")]
    Payload {
        /// The initializer.
        name: String,
        /// Why not.
        source: BoxError,
    },
    /// The output can't be written.
    #[error("writing the model: {0}")]
    Io(#[from] io::Error),
    /// A label bank that does not fit the model, or names that can't be stored.
    #[error("labels: {0}")]
    Labels(String),
}
