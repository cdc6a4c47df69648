use super::{Simd, exponential};
use crate::LANES;

/// The elements after the last whole vector, filled up.
#[inline(always)]
pub fn partial(rest: &[f32], fill: f32) -> [f32; LANES] {
    let mut lanes = [fill; LANES];
    if rest.is_empty() {
        return lanes;
    }
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

/// Up to sixteen floats, zeros after them.
#[inline(always)]
pub fn load<S: Simd>(s: S, from: &[f32]) -> S::V {
    match from.as_array() {
        Some(whole) => s.load(whole),
        None => s.load(&partial(from, 0.0)),
    }
}

/// Writes the lanes that are there.
#[inline(always)]
pub fn store_partial<S: Simd>(s: S, v: S::V, rest: &mut [f32]) {
    if rest.is_empty() {
        return;
    }
    let mut lanes = [0.0; LANES];
    s.store(v, &mut lanes);
    rest.copy_from_slice(&lanes[..rest.len()]);
}

#[inline(always)]
pub fn softmax<S: Simd>(s: S, row: &mut [f32]) {
    let largest = largest(s, row);
    let sum = exp_from(s, row, largest);
    scale(s, row, 1.0 / sum);
}

#[inline(always)]
pub fn largest<S: Simd>(s: S, row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut largest = s.load(&partial(rest, f32::NEG_INFINITY));
    for chunk in chunks {
        largest = s.max(largest, s.load(chunk));
    }
    s.largest(largest)
}

/// The largest magnitude of a row, zero if it is empty.
#[inline(always)]
pub fn largest_magnitude<S: Simd>(s: S, row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut largest = s.abs(s.load(&partial(rest, 0.0)));
    let (fours, rest_of_fours) = chunks.as_chunks::<4>();
    for [a, b, c, d] in fours {
        let (ab, cd) = (s.max(s.abs(s.load(a)), s.abs(s.load(b))), s.max(s.abs(s.load(c)), s.abs(s.load(d))));
        largest = s.max(s.max(ab, cd), largest);
    }
    for chunk in rest_of_fours {
        largest = s.max(s.abs(s.load(chunk)), largest);
    }
    s.largest(largest)
}

/// `x = exp(x - origin)`; returns the sum.
#[inline(always)]
pub fn exp_from<S: Simd>(s: S, row: &mut [f32], origin: f32) -> f32 {
    let origin = s.splat(origin);
    let mut sum = s.splat(0.0);
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        let power = exponential::exp(s, s.sub(s.load(chunk), origin));
        s.store(power, chunk);
        sum = s.add(sum, power);
    }
    if !rest.is_empty() {
        let power = exponential::exp(s, s.sub(s.load(&partial(rest, f32::NEG_INFINITY)), origin));
        store_partial(s, power, rest);
        sum = s.add(sum, power);
    }
    s.sum(sum)
}

#[inline(always)]
fn scale<S: Simd>(s: S, row: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        s.store(s.mul(s.load(chunk), factor), chunk);
    }
    store_partial(s, s.mul(s.load(&partial(rest, 0.0)), factor), rest);
}

#[inline(always)]
pub fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sum = s.splat(0.0);
    for (a, b) in a.iter().zip(b) {
        sum = s.fma(s.load(a), s.load(b), sum);
    }
    if !a_rest.is_empty() {
        sum = s.fma(s.load(&partial(a_rest, 0.0)), s.load(&partial(b_rest, 0.0)), sum);
    }
    s.sum(sum)
}

#[inline(always)]
pub fn scaled_add<S: Simd>(s: S, y: &mut [f32], a: f32, x: &[f32]) {
    let a = s.splat(a);
    let (y, y_rest) = y.as_chunks_mut::<LANES>();
    let (x, x_rest) = x.as_chunks::<LANES>();
    for (y, x) in y.iter_mut().zip(x) {
        s.store(s.fma(a, s.load(x), s.load(y)), y);
    }
    if !y_rest.is_empty() {
        let sum = s.fma(a, s.load(&partial(x_rest, 0.0)), s.load(&partial(y_rest, 0.0)));
        store_partial(s, sum, y_rest);
    }
}

#[inline(always)]
pub fn scaled_add_all<S: Simd>(s: S, y: &mut [f32], a: f32, all: &[&[f32]]) {
    const AT_ONCE: usize = 4;
    let factor = s.splat(a);
    let (pieces, rest) = y.as_chunks_mut::<{ AT_ONCE * LANES }>();
    let first_of_rest = pieces.len() * AT_ONCE * LANES;
    for (piece, first) in pieces.iter_mut().zip((0..).step_by(AT_ONCE * LANES)) {
        let piece = piece.as_chunks_mut::<LANES>().0;
        let mut sums = [s.splat(0.0); AT_ONCE];
        for i in 0..AT_ONCE {
            sums[i] = s.load(&piece[i]);
        }
        for x in all {
            let x = x[first..][..AT_ONCE * LANES].as_chunks::<LANES>().0;
            for i in 0..AT_ONCE {
                sums[i] = s.fma(factor, s.load(&x[i]), sums[i]);
            }
        }
        for i in 0..AT_ONCE {
            s.store(sums[i], &mut piece[i]);
        }
    }
    for x in all {
        scaled_add(s, rest, a, &x[first_of_rest..][..rest.len()]);
    }
}

#[inline(always)]
pub fn scaled<S: Simd>(s: S, y: &mut [f32], a: f32, x: &[f32]) {
    let a = s.splat(a);
    let (y, y_rest) = y.as_chunks_mut::<LANES>();
    let (x, x_rest) = x.as_chunks::<LANES>();
    for (y, x) in y.iter_mut().zip(x) {
        s.store(s.mul(a, s.load(x)), y);
    }
    store_partial(s, s.mul(a, s.load(&partial(x_rest, 0.0))), y_rest);
}
