//! Whether one variant of a model is better than another on the same images.

use serde::{Deserialize, Serialize};

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A share or a difference of shares, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// What was measured.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The difference of the shares of hits of `ours` and `theirs` on the same images: Wald's interval for paired shares with half an image
/// added to each of the four cells (Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics
/// in Medicine 24, 2005). What both get right or wrong counts for nothing but the number of images.
pub fn difference(ours: &[bool], theirs: &[bool]) -> Interval {
    let only = |wanted: bool| ours.iter().zip(theirs).filter(|&(a, b)| a != b && *a == wanted).count() as f64;
    let (count, gained, lost) = (ours.len().min(theirs.len()) as f64, only(true), only(false));
    let (n, b, c) = (count + 2.0, gained + 0.5, lost + 0.5);
    let middle = (b - c) / n;
    let reach = Z * ((b + c) - (b - c).powi(2) / n).max(0.0).sqrt() / n;
    Interval {
        value: (gained - lost) / count.max(1.0),
        low: (middle - reach).max(-1.0),
        high: (middle + reach).min(1.0),
    }
}

/// The share of hits, with Wilson's interval (1927).
pub fn share(hits: &[bool]) -> Interval {
    let n = hits.len().max(1) as f64;
    let p = hits.iter().filter(|&&hit| hit).count() as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let middle = (p + Z * Z / (2.0 * n)) / scale;
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    Interval { value: p, low: middle - reach, high: middle + reach }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn cells(both: usize, ours: usize, theirs: usize, none: usize) -> (Vec<bool>, Vec<bool>) {
        let part = |count: usize, hits: (bool, bool)| std::iter::repeat_n(hits, count);
        part(both, (true, true))
            .chain(part(ours, (true, false)))
            .chain(part(theirs, (false, true)))
            .chain(part(none, (false, false)))
            .unzip()
    }

    #[test]
    fn a_difference_by_hand() {
        let (ours, theirs) = cells(40, 12, 4, 44);
        let found = difference(&ours, &theirs);
        // (12.5 − 4.5) / 102 ± 1.96 · √(17 − 64 / 102) / 102.
        assert!((found.value - 0.08).abs() < 1e-12);
        assert!((found.low - 0.000_658).abs() < 1e-4 && (found.high - 0.156_205).abs() < 1e-4, "{found:?}");
        let back = difference(&theirs, &ours);
        assert!((back.low + found.high).abs() < 1e-12 && (back.value + found.value).abs() < 1e-12);
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut stream = Stream::new(&[11]);
        let (truth, trials, images) = (0.05, 2000, 300);
        let held = (0..trials).filter(|_| {
            let draw = |_| {
                let x = f64::from(stream.unit());
                // Ours alone 15 %, theirs alone 10 %.
                (!(0.15..0.25).contains(&x), x >= 0.15)
            };
            let (ours, theirs): (Vec<bool>, Vec<bool>) = (0..images).map(draw).unzip();
            let found = difference(&ours, &theirs);
            found.low <= truth && truth <= found.high
        });
        let held = held.count() as f64 / f64::from(trials);
        assert!((0.935..0.965).contains(&held), "{held}");
    }

    #[test]
    fn wilson_by_hand_and_at_the_ends() {
        let (hits, _) = cells(45, 0, 0, 55);
        let found = share(&hits);
        assert!((found.low - 0.356_1).abs() < 1e-3 && (found.high - 0.547_6).abs() < 1e-3, "{found:?}");
        assert!(share(&[false; 10]).low.abs() < 1e-12 && share(&[true; 10]).high <= 1.0 + 1e-12);
    }
}
