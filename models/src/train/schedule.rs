//! The learning rate over the steps.

use crate::config::{Schedule, Train};

/// The share of the steps that a trapezoid's fall takes.
const FALL: f64 = 0.3;

/// The learning rate of a step: linear warm-up, then as [`Schedule`] says.
pub fn learning_rate(train: &Train, step: u64) -> f64 {
    if step < train.warmup {
        return train.learning_rate * (step + 1) as f64 / train.warmup as f64;
    }
    let progress = (step - train.warmup) as f64 / (train.steps.saturating_sub(train.warmup)).max(1) as f64;
    let height = match train.schedule {
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos()),
        Schedule::Trapezoid => ((1.0 - progress) / FALL).clamp(0.0, 1.0),
    };
    train.final_rate + (train.learning_rate - train.final_rate) * height
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optimizer::tests::train;

    #[test]
    fn the_cosine_warms_up_peaks_and_ends() {
        let rate = |step| learning_rate(&train(), step);
        assert!((rate(0) - 0.01).abs() < 1e-12 && (rate(4) - 0.05).abs() < 1e-12);
        assert!((rate(10) - 0.1).abs() < 1e-12 && (rate(55) - 0.055).abs() < 1e-12 && (rate(100) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn the_trapezoid_stays_up_and_falls_along_a_line() {
        let train = Train { schedule: Schedule::Trapezoid, steps: 110, ..train() };
        let rate = |step| learning_rate(&train, step);
        assert!((10..80).all(|step| (rate(step) - 0.1).abs() < 1e-12));
        assert!((rate(95) - 0.055).abs() < 1e-12 && (rate(110) - 0.01).abs() < 1e-12);
    }
}
