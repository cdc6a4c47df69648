use core::ops::Range;

use crate::{LANES, Pairing, Rows};

pub fn scores(pairing: &Pairing, scores: &mut [f32]) -> f32 {
    for (j, score) in scores.iter_mut().enumerate() {
        *score = pairing.terms.iter().map(|(factor, products)| factor * products[j]).sum();
        if pairing.by_distance() {
            *score -= 1.0;
        }
        if let Some((p, q)) = pairing.sizes {
            *score *= p * q[j] / (p + q[j]);
        }
        if let Some((strength, phi, others)) = pairing.guide {
            *score *= 1.0 + strength * phi.max(others[j]);
        }
    }
    scores.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

pub fn pack(x: Rows, rows: Range<usize>, factors: &[f32; LANES], panel: &mut [f32]) {
    for (column, step) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        step.fill(0.0);
        for ((value, row), factor) in step.iter_mut().zip(rows.clone()).zip(factors) {
            *value = factor * x.row(row)[column];
        }
    }
}
