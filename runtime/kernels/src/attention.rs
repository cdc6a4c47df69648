use crate::parallel::{Slots, Tasks, complete};
use crate::table::Head;
use crate::{Kernels, LANES, Parallel, Rows, RowsMut, Shape, padded};

/// Most query rows that a kernel works on at once.
pub(crate) const QUERY_ROWS: usize = 16;

/// Queries up to which packing keys and values costs more than it gains.
pub(crate) const FEW_QUERIES: usize = 4;

/// Multi-head attention `softmax(q kᵀ + log_sizes) v`, the heads side by side in columns.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries, already scaled: `[queries, ..]`, the first head at column `q_column`.
    pub q: Rows<'a>,
    /// First column of the queries.
    pub q_column: usize,
    /// Keys: `[keys, ..]`, the first head at column `k_column`.
    pub k: Rows<'a>,
    /// First column of the keys.
    pub k_column: usize,
    /// Values: `[keys, ..]`, the first head at column `v_column`.
    pub v: Rows<'a>,
    /// First column of the values.
    pub v_column: usize,
    /// Number of heads.
    pub heads: usize,
    /// Columns of a head; any number.
    pub head_dim: usize,
    /// `[keys]`, added to the logits of each query (proportional attention).
    pub log_sizes: Option<&'a [f32]>,
    /// With `Some(first)`, row `i` of the queries sees keys `0..=first + i` only.
    pub causal_from: Option<usize>,
}

/// `f32`s of scratch that [`Kernels::attention`] needs so that all `workers` can work at once.
pub const fn attention_scratch(_queries: usize, keys: usize, head_dim: usize, workers: usize) -> usize {
    workers.saturating_mul(slot(keys, head_dim))
}

/// Offsets of logits, packed keys, packed values, logits and results of a block of queries, and room to align them.
const fn slot(keys: usize, head_dim: usize) -> usize {
    padded(keys)
        + padded(keys) * head_dim
        + keys * padded(head_dim)
        + QUERY_ROWS * (padded(keys) + padded(head_dim))
        + LANES
}

impl Kernels {
    /// Writes the heads side by side into `out [queries, heads · head_dim..]`, and zeros into the columns from there to the
    /// next multiple of [`LANES`]. Uses as many workers as the scratch has room for (see [`attention_scratch`]).
    pub fn attention(
        &self,
        attention: &Attention<'_>,
        out: RowsMut<'_>,
        scratch: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Shape> {
        let &Attention { q, k, v, heads, head_dim, log_sizes, causal_from, .. } = attention;
        let keys = k.rows();
        let width = heads.checked_mul(head_dim).ok_or(Shape("attention is wider than memory"))?;
        let reaches = |rows: Rows<'_>, column: usize, message| {
            Shape::require(column.checked_add(width).is_some_and(|end| end <= rows.columns()), message)
        };
        reaches(q, attention.q_column, "the queries are narrower than heads × head width")?;
        reaches(k, attention.k_column, "the keys are narrower than heads × head width")?;
        reaches(v, attention.v_column, "the values are narrower than heads × head width")?;
        Shape::require(padded(width) <= out.columns(), "an attention's result is narrower than heads × head width")?;
        Shape::require(out.rows() == q.rows(), "an attention's result has not as many rows as queries")?;
        Shape::require(v.rows() == keys, "keys and values differ in rows")?;
        Shape::require(keys > 0 && head_dim > 0, "attention without keys or with heads of no width")?;
        Shape::require(log_sizes.is_none_or(|sizes| sizes.len() == keys), "the sizes are not as many as the keys")?;
        let slots = Slots::new(scratch, slot(keys, head_dim), parallel.workers());
        Shape::require(!slots.is_empty(), "too little scratch for an attention")?;

        let table = self.table();
        let y = out.share();
        let tasks = Tasks::new(heads);
        let body = || {
            let Some((_, scratch)) = slots.claim() else { return };
            while let Some(head) = tasks.claim() {
                let offset = head * head_dim;
                let columns =
                    [attention.q_column + offset, attention.k_column + offset, attention.v_column + offset, offset];
                let head = Head { q, k, v, columns, dim: head_dim, log_sizes, causal_from, y: &y };
                // SAFETY: a `Kernels` proves the instructions, the shapes are checked, and the head's columns are this task's alone.
                unsafe { (table.head)(&head, scratch) }
            }
        };
        complete(parallel, &body);
        for row in 0..q.rows() {
            // SAFETY: all tasks are done, and the columns lie past the heads.
            unsafe { y.segment(row, width..padded(width)) }.fill(0.0);
        }
        Ok(())
    }
}
