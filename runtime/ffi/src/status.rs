//! How a call went, and why.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use edgelip::Error;

/// How a call went.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgelipStatus {
    /// It did what was asked.
    Ok = 0,
    /// An argument is null, not UTF-8, or of a length that can't be.
    Argument = 1,
    /// A file can't be read.
    Io = 2,
    /// A model, an image or labels that can't be used.
    Refused = 3,
    /// A fault in edgelip itself. The model can only be closed now.
    Internal = 4,
}

/// Why a call did not do what was asked.
pub(crate) struct Failure {
    pub status: EdgelipStatus,
    pub reason: String,
}

impl Failure {
    /// An argument that can't be.
    pub(crate) fn argument(reason: impl Into<String>) -> Failure {
        Failure { status: EdgelipStatus::Argument, reason: reason.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = match error {
            Error::Io { .. } => EdgelipStatus::Io,
            _ => EdgelipStatus::Refused,
        };
        Failure { status, reason: error.to_string() }
    }
}

thread_local! {
    static REASON: RefCell<CString> = RefCell::default();
}

/// Runs a call and keeps its reason for [`edgelip_error`].
pub(crate) fn call(work: impl FnOnce() -> Result<(), Failure>) -> EdgelipStatus {
    let failure = match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return EdgelipStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure {
            status: EdgelipStatus::Internal,
            reason: format!("a fault in edgelip itself: {}; please report it", message(&*panic)),
        },
    };
    let line = failure.reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = CString::new(line.replace('\0', "")).unwrap_or_default();
    // A thread that is ending has no place for a reason any more.
    let _ = REASON.try_with(|reason| *reason.borrow_mut() = line);
    failure.status
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason")
}

/// Why the latest call of this thread that failed did so: one line that names the file and what to do; empty before any.
/// It stays until the next call of this thread that fails.
#[unsafe(no_mangle)]
pub extern "C" fn edgelip_error() -> *const c_char {
    REASON.try_with(|reason| reason.borrow().as_ptr()).unwrap_or(ptr::null())
}

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn edgelip_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    CStr::from_bytes_with_nul(VERSION.as_bytes()).unwrap_or_default().as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status_and_a_line() {
        assert_eq!(call(|| panic!("no\nway")), EdgelipStatus::Internal);
        let reason = REASON.with(|reason| reason.borrow().to_str().unwrap().to_string());
        assert_eq!(reason, "a fault in edgelip itself: no way; please report it");
        assert_eq!(call(|| Ok(())), EdgelipStatus::Ok);
    }
}
