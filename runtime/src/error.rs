//! What can be wrong with a model file, a plan or an input.

use core::fmt;

/// Why something cannot be opened or run. Small and `Copy`; its `Display` is one line that says what to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end inside a field: the file was cut short.
    Truncated,
    /// The bytes are not a well-formed ONNX protobuf.
    Malformed,
    /// An ONNX model, but not one made by `edgelip-export` (or its metadata was lost).
    NotEdgelip,
    /// The file's format is newer than this runtime.
    Version(u32),
    /// The file holds another tower than the one asked for.
    WrongTower {
        /// The tower that was asked for.
        expected: &'static str,
    },
    /// A metadata entry is missing or makes no sense.
    Metadata {
        /// The entry's key.
        key: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// An initializer is missing or does not fit the metadata.
    Tensor {
        /// Its canonical name, as in `vision.position`; in a block without the block's prefix, as in `qkv.weight`, or in a frequency block
        /// `frequency.filter`.
        name: &'static str,
        /// Its block, if it belongs to one.
        block: Option<u16>,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The schedule merges more tokens in this block than can be merged there.
    Schedule {
        /// The block.
        block: u16,
    },
    /// A model or an image whose buffers do not fit this machine's address space, or the runtime's limits.
    TooLarge,
    /// The scratch slice is too short.
    Scratch {
        /// The length it must have, in `f32`s.
        needed: usize,
    },
    /// The model needs a part that this build of the runtime leaves out.
    Feature(&'static str),
    /// A slice given by the caller has another length than the model needs.
    Length {
        /// What the slice is.
        what: &'static str,
        /// The length it must have.
        expected: usize,
    },
    /// A kernel was given buffers that do not fit each other: a mistake in the runtime.
    Kernel(edgelip_kernels::Shape),
    /// An image without pixels, or whose byte count contradicts its size.
    Image,
    /// A token id outside the vocabulary, or a sequence that is empty or longer than the context.
    Tokens,
    /// A sequence without the end token that the text tower reads its result from.
    NoEndToken,
}

/// What is wrong with a part of a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// Its value is not one the runtime knows, or contradicts another.
    Invalid,
    /// Its element type is not the one the precision asks for.
    Type,
    /// Its shape contradicts the metadata.
    Shape,
    /// Its bytes do not match its shape.
    Size,
    /// It does not lie at an address its elements can be read from.
    Alignment,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::Missing => "is missing",
            Problem::Invalid => "has an invalid value",
            Problem::Type => "has an unexpected element type",
            Problem::Shape => "has a shape that contradicts the metadata",
            Problem::Size => "has fewer or more bytes than its shape says",
            Problem::Alignment => "is not aligned in memory (the file must start at a multiple of 64 bytes)",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Truncated => f.write_str("the file ends too early: it was cut short"),
            Error::Malformed => f.write_str("not a well-formed ONNX file"),
            Error::NotEdgelip => f.write_str(
                "an ONNX model without edgelip metadata (`edgelip.format` is missing): export it with edgelip-export, or run its graph with the tract engine",
            ),
            Error::Version(version) => {
                write!(f, "file format {version} is newer than this runtime knows: update edgelip")
            }
            Error::WrongTower { expected } => write!(f, "this file does not hold a {expected} tower"),
            Error::Metadata { key, problem } => write!(f, "metadata `{key}` {problem}"),
            Error::Tensor { name, block: Some(block), problem } => {
                write!(f, "initializer `{name}` of block {block} {problem}")
            }
            Error::Tensor { name, block: None, problem } => write!(f, "initializer `{name}` {problem}"),
            Error::Schedule { block } => {
                write!(f, "the schedule merges more tokens in block {block} than there are to merge")
            }
            Error::TooLarge => f.write_str(
                "too large for this machine or the runtime (48 blocks, 16383 patches, width 8192, MLP 65536, context 4096, 5 convolutions of width 4096, 64 patches along a side with frequency blocks)",
            ),
            Error::Scratch { needed } => write!(f, "the scratch buffer is too short: {needed} floats are needed"),
            Error::Feature(feature) => write!(f, "this build of the runtime lacks its feature `{feature}`, which the model needs"),
            Error::Length { what, expected } => write!(f, "{what}: a length of {expected} is needed"),
            Error::Kernel(shape) => write!(f, "internal: {shape}"),
            Error::Image => f.write_str("the image is empty, or its bytes contradict its size"),
            Error::Tokens => f.write_str("token ids outside the vocabulary, or too few or too many of them"),
            Error::NoEndToken => f.write_str("the tokens contain no end token"),
        }
    }
}

impl core::error::Error for Error {}

impl From<edgelip_kernels::Shape> for Error {
    fn from(shape: edgelip_kernels::Shape) -> Self {
        Error::Kernel(shape)
    }
}
