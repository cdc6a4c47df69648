//! What can go wrong between a file on a Linux board and its labels.

use std::io;
use std::path::{Path, PathBuf};

/// One line that names the file or the input and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what it is used as.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime refuses a model file.
    #[error("{}: {source}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// Why.
        source: edgelip_runtime::Error,
    },
    /// The runtime refuses an input.
    #[error(transparent)]
    Runtime(#[from] edgelip_runtime::Error),
    /// Label names, prompts or templates that can't be used.
    #[error("{origin}: {reason}")]
    Labels {
        /// The file, or the option.
        origin: String,
        /// What is wrong, with a line number where there is one.
        reason: String,
    },
    /// A tokenizer that can't be read, or a text it can't split.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The tract engine is asked for in a build without it.
    #[error("this build has no tract engine; build with --features tract")]
    NoTract,
    /// The tract engine can't load or run a graph.
    #[error("tract: {0}")]
    Tract(String),
    /// The onnxruntime engine is asked for in a build without it.
    #[error("this build has no onnxruntime engine; build with --features ort")]
    NoOrt,
    /// onnxruntime can't be loaded, or can't load or run a graph.
    #[error("onnxruntime: {0}")]
    Ort(String),
    /// A model whose work space does not fit into memory.
    #[error("{bytes} bytes of memory are needed, more than there are: take a smaller model")]
    Memory {
        /// What is needed.
        bytes: usize,
    },
    /// Options or models that do not fit together.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// An [`Error::Io`], for `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// An [`Error::Malformed`].
    pub fn malformed(path: impl AsRef<Path>, reason: impl ToString) -> Error {
        Error::Malformed { path: path.as_ref().to_path_buf(), reason: reason.to_string() }
    }

    /// An [`Error::Model`], for `map_err`.
    pub fn model(path: impl AsRef<Path>) -> impl FnOnce(edgelip_runtime::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Model { path, source }
    }

    /// An [`Error::Labels`].
    pub fn labels(origin: impl ToString, reason: impl ToString) -> Error {
        Error::Labels { origin: origin.to_string(), reason: reason.to_string() }
    }
}
