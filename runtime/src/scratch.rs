//! Cuts the caller's scratch slice into buffers.

use edgelip_kernels::Part;

use crate::Error;

/// Floats in a cache line: each buffer starts on one.
const LINE: usize = 16;

/// Hands out consecutive parts of one slice.
pub(crate) struct Arena<'s> {
    rest: &'s mut [f32],
    needed: usize,
}

impl<'s> Arena<'s> {
    /// An arena over `scratch`, of which `needed` floats will be taken in all.
    ///
    /// # Errors
    /// [`Error::Scratch`] if the slice is shorter than that.
    pub(crate) fn new(scratch: &'s mut [f32], needed: usize) -> Result<Self, Error> {
        if scratch.len() < needed {
            return Err(Error::Scratch { needed });
        }
        let skip = scratch.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE - 1);
        let rest = scratch.get_mut(skip..).ok_or(Error::Scratch { needed })?;
        Ok(Arena { rest, needed })
    }

    /// The next `length` floats. Their values are whatever was there.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'s mut [f32], Error> {
        let rest = core::mem::take(&mut self.rest);
        let (part, rest) =
            rest.split_at_mut_checked(length.next_multiple_of(LINE)).ok_or(Error::Scratch { needed: self.needed })?;
        self.rest = rest;
        Ok(part.part_mut(..length))
    }
}

/// The scratch length that holds buffers of these lengths.
///
/// # Errors
/// [`Error::TooLarge`] if the sum overflows.
pub(crate) fn total(lengths: &[usize]) -> Result<usize, Error> {
    lengths.iter().try_fold(LINE, |sum, &length| {
        sum.checked_add(length.checked_next_multiple_of(LINE).ok_or(Error::TooLarge)?).ok_or(Error::TooLarge)
    })
}
