use core::marker::PhantomData;
use core::ops::Range;

use crate::part::Part;
use crate::{LANES, Shape};

/// A matrix `[rows, stride]` of activations. The stride is a multiple of [`LANES`].
///
/// The last row may be shorter than the stride, so that every other row of a matrix is a `Rows` too (twice the stride).
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// The first `rows` rows of `data`. Fails if the stride is no multiple of [`LANES`] or `data` ends before the last row begins.
    pub fn new(data: &'a [f32], rows: usize, stride: usize) -> Result<Self, Shape> {
        let data = data.part(..checked_len(data.len(), rows, stride)?);
        Ok(Rows { data, rows, stride })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Distance between the starts of neighbouring rows, in elements.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Columns that every row has: the stride, or what is there of the last row.
    pub fn columns(&self) -> usize {
        columns(self.data.len(), self.rows, self.stride)
    }

    /// One row, `columns` wide; empty if there is no such row.
    pub fn row(&self, row: usize) -> &'a [f32] {
        self.segment(row, 0..self.columns())
    }

    /// Some columns of a row; empty if they are not there.
    #[inline]
    pub fn segment(&self, row: usize, columns: Range<usize>) -> &'a [f32] {
        debug_assert!(row < self.rows, "row {row} of {}", self.rows);
        let start = row * self.stride;
        self.data.part(start + columns.start..start + columns.end)
    }

    /// Some neighbouring rows, all of which are there.
    pub(crate) fn section(&self, rows: Range<usize>) -> Rows<'a> {
        let elements = rows.start * self.stride..self.data.len().min(rows.end * self.stride);
        Rows { data: self.data.part(elements), rows: rows.len(), stride: self.stride }
    }

    /// All elements, the gaps between rows included.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }
}

/// A matrix `[rows, stride]` to write to. The stride is a multiple of [`LANES`].
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    stride: usize,
}

impl<'a> RowsMut<'a> {
    /// The first `rows` rows of `data`. Fails if the stride is no multiple of [`LANES`] or `data` ends before the last row begins.
    pub fn new(data: &'a mut [f32], rows: usize, stride: usize) -> Result<Self, Shape> {
        let len = checked_len(data.len(), rows, stride)?;
        Ok(RowsMut { data: data.part_mut(..len), rows, stride })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Distance between the starts of neighbouring rows, in elements.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Columns that every row has: the stride, or what is there of the last row.
    pub fn columns(&self) -> usize {
        columns(self.data.len(), self.rows, self.stride)
    }

    /// One row, `columns` wide; empty if there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        debug_assert!(row < self.rows, "row {row} of {}", self.rows);
        let start = row * self.stride;
        let columns = start..start + self.columns();
        self.data.part_mut(columns)
    }

    /// The same rows for a shorter time.
    pub fn reborrow(&mut self) -> RowsMut<'_> {
        RowsMut { data: self.data, rows: self.rows, stride: self.stride }
    }

    /// Some neighbouring rows, all of which are there.
    pub(crate) fn section_mut(&mut self, rows: Range<usize>) -> RowsMut<'_> {
        let elements = rows.start * self.stride..self.data.len().min(rows.end * self.stride);
        RowsMut { data: self.data.part_mut(elements), rows: rows.len(), stride: self.stride }
    }

    /// The same rows, to read.
    pub fn as_rows(&self) -> Rows<'_> {
        Rows { data: self.data, rows: self.rows, stride: self.stride }
    }

    /// The same rows, for several threads to write disjoint parts of.
    pub(crate) fn share(self) -> Output<'a> {
        let columns = self.columns();
        Output { data: self.data.as_mut_ptr(), rows: self.rows, stride: self.stride, columns, life: PhantomData }
    }
}

fn checked_len(available: usize, rows: usize, stride: usize) -> Result<usize, Shape> {
    Shape::require(stride.is_multiple_of(LANES), "the stride of a matrix is no multiple of 16")?;
    let Some(last) = rows.checked_sub(1) else { return Ok(0) };
    let start = last.checked_mul(stride).ok_or(Shape("a matrix is larger than memory"))?;
    Shape::require(start <= available, "a matrix has fewer rows than it should")?;
    Ok(available.min(start.saturating_add(stride)))
}

fn columns(len: usize, rows: usize, stride: usize) -> usize {
    if rows == 0 { stride } else { len - (rows - 1) * stride }
}

/// Rows that several threads write to, each to segments of its own.
pub(crate) struct Output<'a> {
    data: *mut f32,
    rows: usize,
    stride: usize,
    columns: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]`, which is `Send`; access through shared references is the business of `segment`.
unsafe impl Sync for Output<'_> {}

impl Output<'_> {
    /// Where a column of the first row lies, which may be none of its columns, and the distance of rows.
    #[allow(dead_code, reason = "the plain twins take segments")]
    pub fn column(&self, column: usize) -> (*mut f32, usize) {
        (self.data.wrapping_add(column), self.stride)
    }

    /// Columns `range` of a row; empty if they are not there.
    ///
    /// # Safety
    /// No other segment that overlaps this one may be alive.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub unsafe fn segment(&self, row: usize, range: Range<usize>) -> &mut [f32] {
        let there = row < self.rows && range.start <= range.end && range.end <= self.columns;
        debug_assert!(there, "columns {range:?} of row {row}");
        if !there {
            return &mut [];
        }
        // SAFETY: the segment lies within the rows by the check; that it is the only one is the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.data.add(row * self.stride + range.start), range.len()) }
    }
}
