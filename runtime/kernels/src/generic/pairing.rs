use core::ops::Range;

use crate::math::fma;
use crate::part::Part;
use crate::{LANES, Pairing, Rows};

pub fn scores(pairing: &Pairing, scores: &mut [f32]) -> f32 {
    let mut best = f32::NEG_INFINITY;
    for (j, score) in scores.iter_mut().enumerate() {
        let start = if pairing.by_distance() { -1.0 } else { 0.0 };
        *score = pairing.terms.iter().fold(start, |sum, (factor, products)| fma(*factor, products.at(j), sum));
        if let Some((p, q)) = pairing.sizes {
            let q = q.at(j);
            *score *= p * q / (p + q);
        }
        if let Some((strength, phi, others)) = pairing.guide {
            *score *= fma(strength, phi.max(others.at(j)), 1.0);
        }
        best = best.max(*score);
    }
    best
}

pub fn pack(x: Rows, rows: Range<usize>, factors: &[f32; LANES], panel: &mut [f32]) {
    let steps = panel.as_chunks_mut::<LANES>().0;
    steps.iter_mut().for_each(|step| step.fill(0.0));
    for (lane, (row, factor)) in rows.zip(factors).enumerate() {
        for (step, value) in steps.iter_mut().zip(x.row(row)) {
            step.put(lane, factor * value);
        }
    }
}
