use crate::math;

pub fn layer_norm(x: &[f32], eps: f32, y: &mut [f32]) {
    y.copy_from_slice(x);
    standardise(y, eps);
}

pub fn layer_norm_affine(x: &mut [f32], eps: f32, gain: &[f32], bias: &[f32]) {
    standardise(x, eps);
    for ((x, gain), bias) in x.iter_mut().zip(gain).zip(bias) {
        *x = *x * gain + bias;
    }
}

fn standardise(x: &mut [f32], eps: f32) {
    let len = x.len() as f32;
    let mean = x.iter().sum::<f32>() / len;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / len;
    let factor = 1.0 / math::sqrt(variance + eps);
    for x in x {
        *x = (*x - mean) * factor;
    }
}

pub fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = math::exp(*x - largest);
        sum += *x;
    }
    for x in row {
        *x /= sum;
    }
}

pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn scaled_add(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

pub fn scaled(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a * x;
    }
}
