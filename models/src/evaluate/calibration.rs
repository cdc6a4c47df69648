//! Whether confidence means what it says, and the scale at which it does (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

use tch::{Kind, Tensor};

use super::accuracy;

const BINS: usize = 15;
/// Scales that are looked at, and how often what is left of them is halved.
const SCALES: [f64; 2] = [1e-3, 1e4];
const HALVINGS: usize = 30;

/// The mean negative log-likelihood of the right classes under logits `[images, classes]`, in nats.
pub fn negative_log_likelihood(logits: &Tensor, labels: &[i64]) -> f64 {
    let right = Tensor::from_slice(labels).to_device(logits.device()).unsqueeze(1);
    -logits.log_softmax(1, Kind::Double).gather(1, &right, false).mean(Kind::Double).double_value(&[])
}

/// The scale at which logits `scale · cosines [images, classes]` make the right classes most likely; none if more is always better (every
/// image is right) or less is (chance does better).
pub fn fit_scale(cosines: &Tensor, labels: &[i64]) -> Option<f64> {
    let cosines = cosines.to_kind(Kind::Double);
    let right = Tensor::from_slice(labels).to_device(cosines.device()).unsqueeze(1);
    let wanted = cosines.gather(1, &right, false).mean(Kind::Double).double_value(&[]);
    // The likelihood is concave: its slope is what the right cosine exceeds the expected one by, and falls as the scale grows.
    let rising = |scale: f64| {
        let likely = (&cosines * scale).softmax(1, Kind::Double);
        let expected = (likely * &cosines).sum_dim_intlist([1].as_slice(), false, Kind::Double);
        expected.mean(Kind::Double).double_value(&[]) < wanted
    };
    let [mut low, mut high] = SCALES;
    let all_right = accuracy(&cosines, labels, 1) == 1.0;
    if all_right || !rising(low) || rising(high) {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        *(if rising(middle) { &mut low } else { &mut high }) = middle;
    }
    Some((low * high).sqrt())
}

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

    #[test]
    fn three_right_of_four_is_a_confidence_of_three_quarters() {
        // Two classes, cosines 0.5 apart: the likeliest scale gives ¾ = 1 / (1 + e^(-s/2)).
        let cosines = Tensor::from_slice(&[0.75f32, 0.25].repeat(4)).view([4, 2]);
        let scale = fit_scale(&cosines, &[0, 0, 1, 0]).unwrap();
        assert!((scale - 2.0 * 3f64.ln()).abs() < 1e-6, "{scale}");
        let at = |scale: f64| negative_log_likelihood(&(&cosines * scale), &[0, 0, 1, 0]);
        assert!((at(scale) - (0.75 * (4f64 / 3.0).ln() + 0.25 * 4f64.ln())).abs() < 1e-6);
        assert!(at(scale) < at(0.99 * scale) && at(scale) < at(1.01 * scale));
        assert!(expected_error(&(&cosines * scale), &[0, 0, 1, 0]) < 1e-6);
        assert_eq!(fit_scale(&cosines, &[0; 4]), None);
        assert_eq!(fit_scale(&cosines, &[1, 1, 1, 0]), None);
    }
}
