//! From the raw arguments of a C call to borrowed ones.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::path::Path;
use std::slice;

use crate::status::Failure;

/// What a pointer of a call points at.
///
/// # Safety
/// `value` is null, or points to a `T` that stays as it is during `'a`.
pub(crate) unsafe fn reference<'a, T>(what: &str, value: *const T) -> Result<&'a T, Failure> {
    if !value.is_aligned() {
        return Err(Failure::argument(format!("{what} is no pointer that this library gave")));
    }
    // SAFETY: the caller vouches for what is not null; it is aligned.
    unsafe { value.as_ref() }.ok_or_else(|| null(what))
}

/// A place for one value.
///
/// # Safety
/// `place` is null, or points to memory for a `T` that nobody else uses during `'a`.
pub(crate) unsafe fn place<'a, T>(what: &str, place: *mut T) -> Result<&'a mut MaybeUninit<T>, Failure> {
    // SAFETY: the caller vouches for one value's memory.
    let places = unsafe { places(what, place, 1) }?;
    places.first_mut().ok_or_else(|| null(what))
}

/// Places for `count` values; none needs no pointer.
///
/// # Safety
/// `first` is null, or points to memory for `count` values that nobody else uses during `'a`.
pub(crate) unsafe fn places<'a, T>(
    what: &str,
    first: *mut T,
    count: usize,
) -> Result<&'a mut [MaybeUninit<T>], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    check(what, first, count)?;
    // SAFETY: not null, aligned, and of a length that can be; the caller vouches for the memory, whose contents are not read.
    Ok(unsafe { slice::from_raw_parts_mut(first.cast(), count) })
}

/// `count` values.
///
/// # Safety
/// `first` is null, or points to `count` values that stay as they are during `'a`.
pub(crate) unsafe fn values<'a, T>(what: &str, first: *const T, count: usize) -> Result<&'a [T], Failure> {
    check(what, first, count)?;
    // SAFETY: not null, aligned, and of a length that can be; the caller vouches for the memory.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

/// A text.
///
/// # Safety
/// `text` is null, or points to bytes up to a zero byte that stay as they are during `'a`.
pub(crate) unsafe fn text<'a>(what: &str, text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: the caller vouches for the zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::argument(format!("{what} is not UTF-8")))
}

/// The path of a file.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn path<'a>(what: &str, path: *const c_char) -> Result<&'a Path, Failure> {
    // SAFETY: as the caller vouches.
    unsafe { text(what, path) }.map(Path::new)
}

fn check<T>(what: &str, first: *const T, count: usize) -> Result<(), Failure> {
    if first.is_null() {
        return Err(null(what));
    }
    if !first.is_aligned() {
        return Err(Failure::argument(format!("{what} is not aligned")));
    }
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Failure::argument(format!("{what} can't have {count} values"))),
    }
}

fn null(what: &str) -> Failure {
    Failure::argument(format!("{what} is null"))
}
