//! Whether confidence means what it says (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

use tch::{Kind, Tensor};

const BINS: usize = 15;

/// The expected calibration error of logits `[images, classes]`: the mean distance of confidence and accuracy over 15 equal bins of
/// confidence, weighted by the images in each.
pub fn expected_error(logits: &Tensor, labels: &[i64]) -> f64 {
    let (confidence, class) = logits.softmax(1, Kind::Double).max_dim(1, false);
    let confidence: Vec<f64> = Vec::try_from(confidence).unwrap_or_default();
    let class: Vec<i64> = Vec::try_from(class).unwrap_or_default();
    let mut bins = [(0.0, 0.0); BINS];
    for ((confidence, class), label) in confidence.iter().zip(class).zip(labels) {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += confidence;
        bin.1 += f64::from(class == *label);
    }
    bins.iter().map(|(confidence, right)| (confidence - right).abs()).sum::<f64>() / confidence.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_half_right_is_off_by_a_half() {
        let logits = Tensor::from_slice(&[50f32, 0.0, 50.0, 0.0]).view([2, 2]);
        assert!((expected_error(&logits, &[0, 1]) - 0.5).abs() < 1e-9);
        assert!(expected_error(&logits, &[0, 0]) < 1e-9);
    }
}
