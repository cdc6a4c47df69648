use super::exponential::exp;
use super::lanes;
use crate::LANES;
use crate::math::{self, fma};

pub fn layer_norm(x: &[f32], eps: f32, y: &mut [f32]) {
    let (mean, factor) = moments(x, eps);
    for (y, x) in y.iter_mut().zip(x) {
        *y = (x - mean) * factor;
    }
}

pub fn layer_norm_affine(x: &mut [f32], eps: f32, gain: &[f32], bias: &[f32]) {
    let (mean, factor) = moments(x, eps);
    for (x, (gain, bias)) in x.iter_mut().zip(gain.iter().zip(bias)) {
        *x = fma((*x - mean) * factor, *gain, *bias);
    }
}

/// Mean of a row, and the reciprocal of its standard deviation. The last, shorter vector is added first.
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let len = x.len() as f32;
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    lanes::add(&mut sums, rest);
    lanes::add(&mut sums, chunks.as_flattened());
    let mean = lanes::sum(sums) / len;
    let mut squares = [0.0; LANES];
    for chunk in core::iter::once(rest).chain(chunks.iter().map(<[f32; LANES]>::as_slice)) {
        for (square, x) in squares.iter_mut().zip(chunk) {
            *square = fma(x - mean, x - mean, *square);
        }
    }
    (mean, 1.0 / math::sqrt(lanes::sum(squares) / len + eps))
}

pub fn softmax(row: &mut [f32]) {
    let factor = 1.0 / exp_from_largest(row);
    row.iter_mut().for_each(|x| *x *= factor);
}

/// `x = exp(x - largest x)`; returns the sum.
pub fn exp_from_largest(row: &mut [f32]) -> f32 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|x| *x = exp(*x - largest));
    let mut sums = [0.0; LANES];
    lanes::add(&mut sums, row);
    lanes::sum(sums)
}

pub fn scaled_add(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = fma(a, *x, *y);
    }
}

pub fn scaled_add_all(y: &mut [f32], a: f32, all: &[&[f32]]) {
    all.iter().for_each(|x| scaled_add(y, a, x));
}

pub fn scaled(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a * x;
    }
}
