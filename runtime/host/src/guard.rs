//! Panics of libraries that are fed from files become errors.

use std::any::Any;
use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};

/// Runs `work`; an error or a panic comes back as one line.
///
/// What `work` borrows mutably must not be trusted afterwards if it panicked.
pub(crate) fn guarded<T, E: Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let text = match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => return Ok(value),
        // Chains of causes are in the alternate form.
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => message(&*panic).to_string(),
    };
    Err(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_are_one_line() {
        assert_eq!(guarded(|| Ok::<_, String>(1)), Ok(1));
        assert_eq!(guarded(|| Err::<(), _>("a\n  b")), Err("a b".into()));
        let result: Result<(), _> = guarded(|| -> Result<(), String> { panic!("no\nway {}", 1) });
        assert_eq!(result, Err("no way 1".into()));
    }
}
