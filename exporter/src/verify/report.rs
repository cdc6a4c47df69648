//! What a verification found, and whether it is good enough.

use std::fmt;

use ndarray::{ArrayView1, ArrayView2};
use serde::Serialize;

/// Who computed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// The checkpoint's own arithmetic.
    Reference,
    /// tract on the file's graph.
    Tract,
    /// The runtime on the file in place.
    Runtime,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Party::Reference => "reference",
            Party::Tract => "tract",
            Party::Runtime => "runtime",
        })
    }
}

/// How near two parties must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tolerance {
    /// The least median of the cosines over the inputs.
    pub median: f64,
    /// The least cosine of any input.
    pub worst: f64,
}

impl Tolerance {
    /// The same for every input.
    pub const fn all(cosine: f64) -> Self {
        Self { median: cosine, worst: cosine }
    }
}

/// Two parties on all inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The output, as the graph names it.
    pub output: &'static str,
    /// The two.
    pub parties: [Party; 2],
    /// The cosine for each input.
    pub cosines: Vec<f64>,
    /// The median of the cosines.
    pub median: f64,
    /// The least of the cosines.
    pub worst: f64,
    /// The largest difference of any value.
    pub max_abs: f64,
    /// What was asked for.
    pub tolerance: Tolerance,
    /// Whether that is met; never if a value is not finite.
    pub passed: bool,
}

impl Comparison {
    /// Compares row by row.
    pub fn new(
        output: &'static str,
        parties: [Party; 2],
        a: ArrayView2<f32>,
        b: ArrayView2<f32>,
        tolerance: Tolerance,
    ) -> Self {
        let same_shape = a.dim() == b.dim();
        let cosines: Vec<f64> = a.outer_iter().zip(b.outer_iter()).map(|(a, b)| cosine(a, b)).collect();
        let mut sorted = cosines.clone();
        sorted.sort_by(f64::total_cmp);
        let worst = cosines.iter().copied().fold(1.0, |a: f64, b| if b.is_nan() || b < a { b } else { a });
        let median = match sorted.len() {
            0 => f64::NAN,
            length => (sorted[(length - 1) / 2] + sorted[length / 2]) / 2.0,
        };
        let max_abs = a
            .iter()
            .zip(b)
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
        let passed = same_shape && median >= tolerance.median && worst >= tolerance.worst && max_abs.is_finite();
        Self { output, parties, cosines, median, worst, max_abs, tolerance, passed }
    }
}

/// The cosine of two vectors; a number that is none if a value is none.
fn cosine(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f64 {
    let dot = |a: ArrayView1<f32>, b: ArrayView1<f32>| {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// All comparisons of one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `vision` or `text`.
    pub tower: &'static str,
    /// `f32`, `f16` or `i8`.
    pub precision: String,
    /// Whether tokens are merged.
    pub merges: bool,
    /// What the model was run on.
    pub inputs: Vec<String>,
    /// Pairs of parties.
    pub comparisons: Vec<Comparison>,
    /// Whether all of them passed.
    pub passed: bool,
}

impl fmt::Display for Report {
    /// A table, one line for each comparison.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header([self.tower, "", "cosine, median", "worst", "max |Δ|", "wanted", ""]);
        for comparison in &self.comparisons {
            let Tolerance { median, worst } = comparison.tolerance;
            table.add_row([
                comparison.output.to_owned(),
                format!("{} – {}", comparison.parties[0], comparison.parties[1]),
                format!("{:.7}", comparison.median),
                format!("{:.7}", comparison.worst),
                format!("{:.1e}", comparison.max_abs),
                if median == worst { format!("{worst}") } else { format!("{median}, {worst}") },
                if comparison.passed { "ok" } else { "FAILED" }.to_owned(),
            ]);
        }
        write!(f, "{}", table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn compare(a: ndarray::Array2<f32>, b: ndarray::Array2<f32>, tolerance: Tolerance) -> Comparison {
        Comparison::new("image_embeds", [Party::Reference, Party::Tract], a.view(), b.view(), tolerance)
    }

    #[test]
    fn equal_vectors_pass_and_turned_ones_fail() {
        let a = array![[1.0, 0.0], [0.0, 1.0]];
        assert!(compare(a.clone(), a.clone(), Tolerance::all(1.0)).passed);
        let turned = compare(a, array![[1.0, 0.0], [0.6, 0.8]], Tolerance::all(0.9));
        assert!(!turned.passed);
        assert!(
            (turned.worst - 0.8).abs() < 1e-6
                && (turned.median - 0.9).abs() < 1e-6
                && (turned.max_abs - 0.6).abs() < 1e-6
        );
    }

    #[test]
    fn what_is_no_number_never_passes() {
        let a = array![[1.0, 0.0], [f32::NAN, 1.0], [1.0, 0.0]];
        assert!(!compare(a.clone(), a, Tolerance { median: 0.5, worst: -1.0 }).passed);
        assert!(!compare(array![[0.0, 0.0]], array![[0.0, 0.0]], Tolerance::all(0.0)).passed);
        assert!(!compare(array![[1.0]], array![[1.0], [1.0]], Tolerance::all(0.0)).passed);
    }
}
