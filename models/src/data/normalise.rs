//! Images as an image tower takes them.

use rayon::prelude::*;
use tch::Tensor;

use crate::config::Vision;

/// Normalised images `[count, 3, side, side]` on the CPU. `planes` makes each image by its place: values 0..1, the colours one after the other.
pub fn normalise(count: usize, side: usize, vision: &Vision, planes: impl Fn(usize) -> Vec<f32> + Sync) -> Tensor {
    let plane = side * side;
    let mut pixels = vec![0f32; count * 3 * plane];
    pixels.par_chunks_exact_mut(3 * plane).enumerate().for_each(|(row, pixels)| {
        let planes = planes(row);
        let planes = planes.chunks_exact(plane).zip(pixels.chunks_exact_mut(plane));
        for ((plane, normalised), (mean, std)) in planes.zip(vision.mean.iter().zip(vision.std)) {
            plane.iter().zip(normalised).for_each(|(value, normalised)| *normalised = (value - mean) / std);
        }
    });
    Tensor::from_slice(&pixels).view([count as i64, 3, side as i64, side as i64])
}
