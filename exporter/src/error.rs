//! What can be wrong with a checkpoint, a schedule, a label file or an export.

use std::io;
use std::path::{Path, PathBuf};

/// One line that names the file, tensor or setting and says what to do.
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
    /// A file is not what its name says.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting of a model that can't be exported.
    #[error("{}: {key}: {reason}", path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// The setting.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor was asked for that the checkpoint lacks.
    #[error("the checkpoint has no tensor `{0}`")]
    MissingTensor(String),
    /// Tensors and configuration do not fit together; every mismatch is listed.
    #[error("{}: {}", path.display(), listed(problems))]
    Tensors {
        /// The checkpoint.
        path: PathBuf,
        /// One entry for each tensor that is missing, not known, or of another shape than the configuration says.
        problems: Vec<String>,
    },
    /// A tower was asked for that the checkpoint lacks.
    #[error("the checkpoint lacks {0} tower")]
    NoTower(&'static str),
    /// A merge schedule that can't be made.
    #[error("{0}")]
    Schedule(String),
    /// Label names or templates that can't be used.
    #[error("{origin}: {reason}")]
    Labels {
        /// The file, or the option.
        origin: String,
        /// What is wrong, with a line number where there is one.
        reason: String,
    },
    /// The graph of a model can't be built.
    #[error("graph: {0}")]
    Graph(String),
    /// Arithmetic of the reference can't be done.
    #[error("reference: {0}")]
    Reference(String),
    /// A model can't be held against its source.
    #[error("verification: {0}")]
    Verify(String),
    /// Photos to calibrate on that can't be used.
    #[error("calibration: {0}")]
    Calibration(String),
    /// A list of operators that there is not, or that can't be read.
    #[error("operators: {0}")]
    Operators(String),
    /// The runtime refuses something.
    #[error(transparent)]
    Runtime(#[from] edgelip_runtime::Error),
    /// The host's library refuses something.
    #[error(transparent)]
    Host(#[from] edgelip::Error),
    /// A model can't be written.
    #[error(transparent)]
    Onnx(#[from] edgelip::onnx::Error),
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

    /// An [`Error::Tensors`] of one problem.
    pub fn tensors(path: impl AsRef<Path>, problem: impl ToString) -> Error {
        Error::Tensors { path: path.as_ref().to_path_buf(), problems: vec![problem.to_string()] }
    }

    /// An [`Error::Config`].
    pub fn config(path: impl AsRef<Path>, key: impl ToString, reason: impl ToString) -> Error {
        Error::Config { path: path.as_ref().to_path_buf(), key: key.to_string(), reason: reason.to_string() }
    }
}

/// Problems that are told one by one; a checkpoint of another model has hundreds.
const TOLD: usize = 12;

fn listed(problems: &[String]) -> String {
    let (told, more) = problems.split_at(problems.len().min(TOLD));
    let rest = if more.is_empty() { String::new() } else { format!("; and {} more", more.len()) };
    told.join("; ") + &rest
}
