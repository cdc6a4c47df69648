use core::ops::Range;

use super::integer::quantise;
use super::vector::{load, partial, store_partial};
use super::{Integer, Isa, Simd};
use crate::{LANES, Pairing, Rows};

/// The scores of a source with all targets; returns the best.
#[inline(always)]
pub fn scores<S: Simd>(s: S, pairing: &Pairing, scores: &mut [f32]) -> f32 {
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut best = s.splat(f32::NEG_INFINITY);
    let mut first = 0;
    for chunk in chunks {
        let found = sixteen(s, pairing, first, LANES);
        s.store(found, chunk);
        best = s.max(best, found);
        first += LANES;
    }
    if !rest.is_empty() {
        store_partial(s, sixteen(s, pairing, first, rest.len()), rest);
        best = s.max(best, s.load(&partial(rest, f32::NEG_INFINITY)));
    }
    s.largest(best)
}

/// The scores with `count` targets from `first` on; anything in the other lanes.
#[inline(always)]
fn sixteen<S: Simd>(s: S, pairing: &Pairing, first: usize, count: usize) -> S::V {
    let mut score = s.splat(if pairing.by_distance() { -1.0 } else { 0.0 });
    for (factor, products) in pairing.terms {
        score = s.fma(s.splat(*factor), some(s, products, first, count), score);
    }
    if let Some((p, q)) = pairing.sizes {
        let (p, q) = (s.splat(p), some(s, q, first, count));
        score = s.mul(score, s.div(s.mul(p, q), s.add(p, q)));
    }
    if let Some((strength, phi, others)) = pairing.guide {
        let phi = s.max(s.splat(phi), some(s, others, first, count));
        score = s.mul(score, s.fma(s.splat(strength), phi, s.splat(1.0)));
    }
    score
}

/// Numbers of `count` targets from `first` on; anything in the other lanes, for which nothing is copied if the list goes on.
#[inline(always)]
fn some<S: Simd>(s: S, list: &[f32], first: usize, count: usize) -> S::V {
    match list[first..].first_chunk() {
        Some(whole) => s.load(whole),
        None => load(s, &list[first..][..count]),
    }
}

/// At most sixteen rows as a panel `[width, 16]`, each times its factor.
#[inline(always)]
pub fn pack<S: Simd>(s: S, x: Rows, rows: Range<usize>, factors: &[f32; LANES], panel: &mut [f32]) {
    let factors = s.load(factors);
    let (steps, _) = panel.as_chunks_mut::<LANES>();
    for (steps, column) in steps.chunks_mut(LANES).zip((0..).step_by(LANES)) {
        let mut square = [s.splat(0.0); LANES];
        for lane in 0..rows.len().min(LANES) {
            square[lane] = load(s, &x.row(rows.start + lane)[column..][..steps.len()]);
        }
        let square = s.transpose(square);
        for (i, step) in steps.iter_mut().enumerate() {
            s.store(s.mul(square[i], factors), step);
        }
    }
}

static ONES: [u8; 16] = [1; 16];

/// At most sixteen rows as a panel of integers `[width / 4, 16, 4]`, each in units of its scale, and 128 times the sum of each row's integers where
/// activations lie around 128.
#[inline(always)]
pub fn pack_integers<I: Isa>(
    isa: I,
    x: Rows,
    rows: Range<usize>,
    panel: &mut [u8],
    scale: &mut [f32; LANES],
    zero: &mut [i32; LANES],
) {
    let width = panel.len() / LANES;
    scale.fill(0.0);
    zero.fill(0);
    for lane in 0..rows.len().min(LANES) {
        let row = &x.row(rows.start + lane)[..width];
        scale[lane] = quantise(isa, row, LANES, &mut panel[4 * lane..]);
    }
    if const { I::Int::SIGNED } {
        return;
    }
    // What is written as activations would be, around 128, becomes weights around 0.
    panel.iter_mut().for_each(|byte| *byte ^= 0x80);
    let i = isa.integers();
    let mut sums = i.start(zero);
    let mut at = panel.as_ptr().cast::<i8>();
    for _ in 0..width / 4 {
        // SAFETY: a step of the panel is left, and sixteen activations, all of them one, are there.
        let (weights, ones) = unsafe { (i.next(&mut at), i.sixteen(ONES.as_ptr())) };
        sums = i.settle(i.dot::<0>(ones, weights, sums));
    }
    i.store(sums, zero);
    zero.iter_mut().for_each(|sum| *sum *= 128);
}
