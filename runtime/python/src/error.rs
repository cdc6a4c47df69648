//! The library's errors as Python's.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    edgelip,
    Error,
    PyValueError,
    "A model, an image or labels that can't be used; the text says which and why."
);

/// What can't be read is an `OSError` (`FileNotFoundError` and the like), all else an [`Error`].
pub fn raise(error: host::Error) -> PyErr {
    match error {
        host::Error::Io { path, source } => match source.raw_os_error() {
            Some(number) => {
                let reason = source.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default().to_string();
                PyOSError::new_err((number, reason, path))
            }
            None => PyOSError::new_err(format!("{}: {source}", path.display())),
        },
        other => Error::new_err(other.to_string()),
    }
}
