use super::tile::{Ahead, FloatTile, ZEROS, product};
use super::{Isa, Simd, by_fours, vector};
use crate::attention::{FEW_QUERIES, QUERY_ROWS};
use crate::table::Head;
use crate::{LANES, padded};

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
    let width = padded(head.k.rows());
    let (room, scratch) = scratch.split_at_mut(width);
    let logits = &mut scratch[..width];
    let offsets = offsets(head, room);
    for query in 0..head.q.rows() {
        let seen = head.visible(query);
        let q = &head.q.row(query)[q_column..][..head.dim];
        for (key, logit) in logits[..seen].iter_mut().enumerate() {
            *logit = vector::dot(s, q, &head.k.row(key)[k_column..][..head.dim]);
        }
        let sum = exp_logits(s, logits, offsets, seen);
        // SAFETY: nobody else writes the columns of a head.
        let y = unsafe { head.y.segment(query, y_column..y_column + head.dim) };
        y.fill(0.0);
        for (key, share) in logits[..seen].iter().enumerate() {
            vector::scaled_add(s, y, *share / sum, &head.v.row(key)[v_column..][..head.dim]);
        }
    }
}

/// What is added to the logits of each query: the sizes, filled up to whole vectors; empty if there are none.
#[inline(always)]
fn offsets<'s>(head: &Head, room: &'s mut [f32]) -> &'s [f32] {
    let Some(log_sizes) = head.log_sizes else { return &[] };
    let (keys, rest) = room.split_at_mut(head.k.rows());
    keys.copy_from_slice(log_sizes);
    rest.fill(0.0);
    room
}

/// Adds the offsets, if any, subtracts the maximum, exponentiates; zeros where the query does not see. Returns the sum.
#[inline(always)]
fn exp_logits<S: Simd>(s: S, logits: &mut [f32], offsets: &[f32], seen: usize) -> f32 {
    let (logits, unseen) = logits.split_at_mut(padded(seen));
    unseen.fill(0.0);
    logits[seen..].fill(f32::NEG_INFINITY);
    let mut largest = s.splat(f32::NEG_INFINITY);
    if offsets.is_empty() {
        by_fours!(logits.as_chunks::<LANES>().0, logits => largest = s.max(largest, s.load(logits)));
    }
    for (logits, offsets) in logits.as_chunks_mut::<LANES>().0.iter_mut().zip(offsets.as_chunks::<LANES>().0) {
        let sum = s.add(s.load(logits), s.load(offsets));
        largest = s.max(largest, sum);
        s.store(sum, logits);
    }
    vector::exp_from(s, logits, s.largest(largest))
}

/// A tile of queries at a time, over keys and values packed into panels.
#[inline(always)]
fn by_block<I: Isa>(isa: I, head: &Head, scratch: &mut [f32]) {
    const { assert!(I::Vector::ROWS <= QUERY_ROWS) }
    let s = isa.vector();
    let [q_column, _, _, y_column] = head.columns;
    let (dim, keys, queries) = (head.dim, head.k.rows(), head.q.rows());
    let (width, value_width) = (padded(keys), padded(dim));

    let aligned = scratch.as_ptr().align_offset(64).min(LANES);
    let (room, scratch) = scratch[aligned..].split_at_mut(width);
    let (packed_keys, scratch) = scratch.split_at_mut(width * dim);
    let (packed_values, scratch) = scratch.split_at_mut(keys * value_width);
    let (logits, scratch) = scratch.split_at_mut(QUERY_ROWS * width);
    let sums = &mut scratch[..QUERY_ROWS * value_width];
    let offsets = offsets(head, room);
    pack_keys(s, head, packed_keys);
    pack_values(s, head, packed_values);

    let blocks = queries.div_ceil(I::Vector::ROWS);
    for block in 0..blocks {
        let (first, end) = (queries * block / blocks, queries * (block + 1) / blocks);
        let by_keys = FloatTile {
            x: head.q.data()[first * head.q.stride() + q_column..].as_ptr(),
            x_stride: head.q.stride(),
            panels: packed_keys.as_ptr(),
            inputs: dim,
            start: ZEROS.as_ptr(),
            y: logits.as_mut_ptr(),
            y_stride: width,
            accumulate: false,
            ahead: Ahead::NONE,
        };
        // SAFETY: the shapes were checked, and the parts of scratch cut to measure.
        unsafe { product(isa, &by_keys, end - first, width / LANES) };
        let mut factors = [0.0; QUERY_ROWS];
        for query in first..end {
            let logits = &mut logits[(query - first) * width..][..width];
            factors[query - first] = 1.0 / exp_logits(s, logits, offsets, head.visible(query));
        }
        let by_values = FloatTile {
            x: logits.as_ptr(),
            x_stride: width,
            panels: packed_values.as_ptr(),
            inputs: keys,
            start: ZEROS.as_ptr(),
            y: sums.as_mut_ptr(),
            y_stride: value_width,
            accumulate: false,
            ahead: Ahead::NONE,
        };
        // SAFETY: as above.
        unsafe { product(isa, &by_values, end - first, value_width / LANES) };
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
            let mut square = [s.splat(0.0); LANES];
            for lane in 0..lanes {
                square[lane] = vector::load(s, &head.k.row(first + lane)[start..][..steps.len()]);
            }
            let square = s.transpose(square);
            for (i, step) in steps.iter_mut().enumerate() {
                s.store(square[i], step);
            }
        }
    }
}

/// Values `[keys, dim]` as panels `[dim / 16, keys, 16]`, zero past `dim`.
#[inline(always)]
fn pack_values<S: Simd>(s: S, head: &Head, panels: &mut [f32]) {
    let (column, dim, keys) = (head.columns[2], head.dim, head.v.rows());
    for (panel, first) in panels.chunks_exact_mut(keys * LANES).zip((0..).step_by(LANES)) {
        let lanes = (dim - first).min(LANES);
        for (key, step) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            s.store(vector::load(s, &head.v.row(key)[column + first..][..lanes]), step);
        }
    }
}
