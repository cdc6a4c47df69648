//! Order statistics of measured times.

/// What a list of measurements boils down to, in their own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of measurements.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// Half are at most this.
    pub median: f64,
    /// Nine in ten are at most this.
    pub p90: f64,
    /// Ninety-nine in a hundred are at most this.
    pub p99: f64,
}

impl Summary {
    /// Sorts and summarises; `None` without measurements.
    pub fn of(values: &mut [f64]) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let min = *values.first()?;
        let at = |share| percentile(values, share);
        Some(Summary { count: values.len(), min, median: at(0.5), p90: at(0.9), p99: at(0.99) })
    }
}

/// The value below which `share` of the sorted values lie, interpolated between neighbours.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_and_one() {
        let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let summary = Summary::of(&mut values).unwrap();
        assert_eq!(summary, Summary { count: 101, min: 0.0, median: 50.0, p90: 90.0, p99: 99.0 });
    }

    #[test]
    fn of_few() {
        assert_eq!(Summary::of(&mut []), None);
        let one = Summary::of(&mut [3.0]).unwrap();
        assert_eq!((one.min, one.median, one.p99), (3.0, 3.0, 3.0));
        assert_eq!(Summary::of(&mut [2.0, 1.0]).unwrap().median, 1.5);
    }
}
