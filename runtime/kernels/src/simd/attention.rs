use super::tile::{Ahead, FloatTile, product};
use super::{Isa, Simd, vector};
use crate::LANES;
use crate::attention::QUERY_ROWS;
use crate::table::Head;

/// Queries up to which packing keys and values costs more than it gains.
const FEW_QUERIES: usize = 4;

/// One head of an attention.
#[inline(always)]
pub fn head<I: Isa>(isa: I, head: &Head, scratch: &mut [f32]) {
    if head.q.rows() <= FEW_QUERIES {
        by_query(isa.vector(), head, scratch);
    } else {
        by_block(isa, head, scratch);
    }
}

/// One query after the other, with keys and values where they lie.
#[inline(always)]
fn by_query<S: Simd>(s: S, head: &Head, scratch: &mut [f32]) {
    let [q_column, k_column, v_column, y_column] = head.columns;
    for query in 0..head.q.rows() {
        let logits = &mut scratch[..head.visible(query)];
        let q = &head.q.row(query)[q_column..][..head.dim];
        for (key, logit) in logits.iter_mut().enumerate() {
            *logit = vector::dot(s, q, &head.k.row(key)[k_column..][..head.dim]);
        }
        let sum = exp_logits(s, head, logits);
        // SAFETY: nobody else writes the columns of a head.
        let y = unsafe { head.y.segment(query, y_column..y_column + head.dim) };
        y.fill(0.0);
        for (key, share) in logits.iter().enumerate() {
            vector::scaled_add(s, y, *share / sum, &head.v.row(key)[v_column..][..head.dim]);
        }
    }
}

/// Adds the sizes, subtracts the maximum, exponentiates; returns the sum.
#[inline(always)]
fn exp_logits<S: Simd>(s: S, head: &Head, logits: &mut [f32]) -> f32 {
    if let Some(log_sizes) = head.log_sizes {
        vector::scaled_add(s, logits, 1.0, &log_sizes[..logits.len()]);
    }
    let largest = vector::largest(s, logits);
    vector::exp_from(s, logits, largest)
}

/// A tile of queries at a time, over keys and values packed into panels.
#[inline(always)]
fn by_block<I: Isa>(isa: I, head: &Head, scratch: &mut [f32]) {
    const { assert!(I::Vector::ROWS <= QUERY_ROWS) }
    let s = isa.vector();
    let [q_column, _, _, y_column] = head.columns;
    let (dim, keys, queries) = (head.dim, head.k.rows(), head.q.rows());
    let (key_panels, value_panels) = (keys.div_ceil(LANES), dim.div_ceil(LANES));
    let (width, value_width) = (key_panels * LANES, value_panels * LANES);

    let aligned = scratch.as_ptr().align_offset(64).min(LANES);
    let (packed_keys, scratch) = scratch[aligned..].split_at_mut(width * dim);
    let (packed_values, scratch) = scratch.split_at_mut(keys * value_width);
    let (logits, scratch) = scratch.split_at_mut(QUERY_ROWS * width);
    let sums = &mut scratch[..QUERY_ROWS * value_width];
    pack_keys(s, head, packed_keys);
    pack_values(head, packed_values);

    let blocks = queries.div_ceil(I::Vector::ROWS);
    for block in 0..blocks {
        let (first, end) = (queries * block / blocks, queries * (block + 1) / blocks);
        let by_keys = FloatTile {
            x: head.q.data()[first * head.q.stride() + q_column..].as_ptr(),
            x_stride: head.q.stride(),
            panels: packed_keys.as_ptr(),
            inputs: dim,
            y: logits.as_mut_ptr(),
            y_stride: width,
            ahead: Ahead::NONE,
        };
        // SAFETY: the shapes were checked, and the parts of scratch cut to measure.
        unsafe { product(isa, &by_keys, end - first, key_panels) };
        let mut factors = [0.0; QUERY_ROWS];
        for query in first..end {
            let logits = &mut logits[(query - first) * width..][..keys];
            let (seen, unseen) = logits.split_at_mut(head.visible(query));
            factors[query - first] = 1.0 / exp_logits(s, head, seen);
            unseen.fill(0.0);
        }
        let by_values = FloatTile {
            x: logits.as_ptr(),
            x_stride: width,
            panels: packed_values.as_ptr(),
            inputs: keys,
            y: sums.as_mut_ptr(),
            y_stride: value_width,
            ahead: Ahead::NONE,
        };
        // SAFETY: as above.
        unsafe { product(isa, &by_values, end - first, value_panels) };
        for query in first..end {
            // SAFETY: nobody else writes the columns of a head.
            let y = unsafe { head.y.segment(query, y_column..y_column + dim) };
            vector::scaled(s, y, factors[query - first], &sums[(query - first) * value_width..][..dim]);
        }
    }
}

/// Keys `[keys, dim]` as panels `[keys / 16, dim, 16]`, zero past the keys.
#[inline(always)]
fn pack_keys<S: Simd>(s: S, head: &Head, panels: &mut [f32]) {
    let (column, dim, keys) = (head.columns[1], head.dim, head.k.rows());
    for (panel, first) in panels.chunks_exact_mut(dim * LANES).zip((0..).step_by(LANES)) {
        let lanes = (keys - first).min(LANES);
        let (steps, _) = panel.as_chunks_mut::<LANES>();
        for (steps, start) in steps.chunks_mut(LANES).zip((column..).step_by(LANES)) {
            let mut square = [[0.0; LANES]; LANES];
            for (lane, row) in square[..lanes].iter_mut().enumerate() {
                row[..steps.len()].copy_from_slice(&head.k.row(first + lane)[start..][..steps.len()]);
            }
            s.transpose(&mut square);
            steps.copy_from_slice(&square[..steps.len()]);
        }
    }
}

/// Values `[keys, dim]` as panels `[dim / 16, keys, 16]`, zero past `dim`.
#[inline(always)]
fn pack_values(head: &Head, panels: &mut [f32]) {
    let (column, dim, keys) = (head.columns[2], head.dim, head.v.rows());
    for (panel, first) in panels.chunks_exact_mut(keys * LANES).zip((0..).step_by(LANES)) {
        let lanes = (dim - first).min(LANES);
        for (key, step) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            step[..lanes].copy_from_slice(&head.v.row(key)[column + first..][..lanes]);
            step[lanes..].fill(0.0);
        }
    }
}
