use core::mem::take;
use core::slice::SliceIndex;

/// Slicing that cannot panic: what is not there is empty, and a debug build says so.
///
/// Shapes are checked once, where an operator begins; the slices within it are then known to be there, but not to the compiler. With these
/// methods a microcontroller's image holds neither the branches to panics nor the panics.
pub trait Part<T> {
    /// The elements in `range`.
    fn part(&self, range: impl SliceIndex<[T], Output = [T]>) -> &[T];

    /// The elements in `range`, to write.
    fn part_mut(&mut self, range: impl SliceIndex<[T], Output = [T]>) -> &mut [T];

    /// The elements before `middle`, and the others.
    fn cut(&self, middle: usize) -> (&[T], &[T]);

    /// The elements before `middle`, and the others, to write.
    fn cut_mut(&mut self, middle: usize) -> (&mut [T], &mut [T]);

    /// One piece of `len` elements after the other; what is left over isn't given.
    fn pieces(&self, len: usize) -> Pieces<&[T]>;

    /// One piece of `len` elements after the other, to write.
    fn pieces_mut(&mut self, len: usize) -> Pieces<&mut [T]>;

    /// Element `index`, or the type's default.
    fn at(&self, index: usize) -> T
    where
        T: Copy + Default;

    /// Writes element `index`.
    fn put(&mut self, index: usize, value: T);

    /// Copies a slice of the same length.
    fn copy_from(&mut self, from: &[T])
    where
        T: Copy;
}

/// Pieces of a slice; see [`Part::pieces`]. The standard library's iterators divide by the length, and panic at zero.
#[derive(Debug)]
pub struct Pieces<S> {
    rest: S,
    len: usize,
}

impl<'a, T> Iterator for Pieces<&'a [T]> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        let (piece, rest) = self.rest.split_at_checked(self.len)?;
        self.rest = rest;
        Some(piece)
    }
}

impl<'a, T> Iterator for Pieces<&'a mut [T]> {
    type Item = &'a mut [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a mut [T]> {
        let (piece, rest) = take(&mut self.rest).split_at_mut_checked(self.len)?;
        self.rest = rest;
        Some(piece)
    }
}

impl<T> Part<T> for [T] {
    #[inline(always)]
    fn part(&self, range: impl SliceIndex<[T], Output = [T]>) -> &[T] {
        let part = self.get(range);
        debug_assert!(part.is_some(), "there is no such part of {} elements", self.len());
        part.unwrap_or_default()
    }

    #[inline(always)]
    fn part_mut(&mut self, range: impl SliceIndex<[T], Output = [T]>) -> &mut [T] {
        let part = self.get_mut(range);
        debug_assert!(part.is_some(), "there is no such part");
        part.unwrap_or_default()
    }

    #[inline(always)]
    fn cut(&self, middle: usize) -> (&[T], &[T]) {
        debug_assert!(middle <= self.len(), "{middle} of {} elements", self.len());
        self.split_at_checked(middle).unwrap_or_default()
    }

    #[inline(always)]
    fn cut_mut(&mut self, middle: usize) -> (&mut [T], &mut [T]) {
        debug_assert!(middle <= self.len(), "{middle} of {} elements", self.len());
        self.split_at_mut_checked(middle).unwrap_or_default()
    }

    #[inline(always)]
    fn pieces(&self, len: usize) -> Pieces<&[T]> {
        debug_assert!(len > 0, "pieces of nothing");
        Pieces { rest: self, len: len.max(1) }
    }

    #[inline(always)]
    fn pieces_mut(&mut self, len: usize) -> Pieces<&mut [T]> {
        debug_assert!(len > 0, "pieces of nothing");
        Pieces { rest: self, len: len.max(1) }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> T
    where
        T: Copy + Default,
    {
        debug_assert!(index < self.len(), "element {index} of {}", self.len());
        self.get(index).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn put(&mut self, index: usize, value: T) {
        debug_assert!(index < self.len(), "element {index} of {}", self.len());
        if let Some(element) = self.get_mut(index) {
            *element = value;
        }
    }

    #[inline(always)]
    fn copy_from(&mut self, from: &[T])
    where
        T: Copy,
    {
        debug_assert!(self.len() == from.len(), "{} elements from {}", self.len(), from.len());
        for (to, from) in self.iter_mut().zip(from) {
            *to = *from;
        }
    }
}
