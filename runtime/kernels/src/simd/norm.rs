use super::vector::{partial, store_partial};
use super::{Simd, by_fours};
use crate::{LANES, math};

#[inline(always)]
pub fn layer_norm<S: Simd>(s: S, x: &[f32], eps: f32, y: &mut [f32]) {
    let (mean, factor) = moments(s, x, eps);
    let (mean, factor) = (s.splat(mean), s.splat(factor));
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks_mut::<LANES>();
    for (y, x) in y.iter_mut().zip(x) {
        s.store(s.mul(s.sub(s.load(x), mean), factor), y);
    }
    store_partial(s, s.mul(s.sub(s.load(&partial(x_rest, 0.0)), mean), factor), y_rest);
}

#[inline(always)]
pub fn layer_norm_affine<S: Simd>(s: S, x: &mut [f32], eps: f32, gain: &[f32], bias: &[f32]) {
    let (mean, factor) = moments(s, x, eps);
    let (mean, factor) = (s.splat(mean), s.splat(factor));
    let (x, x_rest) = x.as_chunks_mut::<LANES>();
    let (gain, gain_rest) = gain.as_chunks::<LANES>();
    let (bias, bias_rest) = bias.as_chunks::<LANES>();
    for ((x, gain), bias) in x.iter_mut().zip(gain).zip(bias) {
        let normed = s.mul(s.sub(s.load(x), mean), factor);
        s.store(s.fma(normed, s.load(gain), s.load(bias)), x);
    }
    if !x_rest.is_empty() {
        let normed = s.mul(s.sub(s.load(&partial(x_rest, 0.0)), mean), factor);
        let shifted = s.fma(normed, s.load(&partial(gain_rest, 0.0)), s.load(&partial(bias_rest, 0.0)));
        store_partial(s, shifted, x_rest);
    }
}

/// Mean of a row, and the reciprocal of its standard deviation.
#[inline(always)]
fn moments<S: Simd>(s: S, x: &[f32], eps: f32) -> (f32, f32) {
    let len = x.len() as f32;
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sum = s.load(&partial(rest, 0.0));
    by_fours!(chunks, chunk => sum = s.add(sum, s.load(chunk)));
    let mean = s.sum(sum) / len;
    // Filled with the mean, the lanes that are not there add nothing to the variance.
    let (tail, mean_v) = (s.load(&partial(rest, mean)), s.splat(mean));
    let difference = s.sub(tail, mean_v);
    let mut squares = s.mul(difference, difference);
    by_fours!(chunks, chunk => {
        let difference = s.sub(s.load(chunk), mean_v);
        squares = s.fma(difference, difference, squares);
    });
    (mean, 1.0 / math::sqrt(s.sum(squares) / len + eps))
}
