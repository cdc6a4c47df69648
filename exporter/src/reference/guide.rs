//! What tells informative tokens from the rest, as `docs/token-merging.md` words it.

use ndarray::{Array1, Array2, Axis};

use super::layer::normalized;
use super::merge::Tokens;

/// High-frequency energy of patches `[patches, width]` in raster order of a grid, scaled to 0..1.
pub fn energy(x: &Array2<f32>, [rows, columns]: [usize; 2]) -> Vec<f32> {
    let energy_at = |cell: usize| {
        let (row, column) = (cell / columns, cell % columns);
        let around = (row.saturating_sub(1)..(row + 2).min(rows))
            .flat_map(|y| (column.saturating_sub(1)..(column + 2).min(columns)).map(move |x| y * columns + x));
        let around: Vec<usize> = around.collect();
        let mut mean = Array1::<f32>::zeros(x.ncols());
        for &other in &around {
            mean += &x.row(other);
        }
        mean /= around.len() as f32;
        let high = &x.row(cell) - &mean;
        high.dot(&high)
    };
    unit_range((0..rows * columns).map(energy_at).collect())
}

/// φ of each token: `semantic` of its likeness to the image as a whole, the rest of its energy. The whole is what [`class`] or [`mean`] says.
pub fn guide(tokens: &Tokens, whole: &Array1<f32>, semantic: f32) -> Vec<f32> {
    let whole = normalized(whole.view());
    let likeness = unit_range(tokens.x.axis_iter(Axis(0)).map(|x| normalized(x).dot(&whole)).collect());
    let mixed = likeness.iter().zip(&tokens.energy);
    mixed.map(|(likeness, energy)| semantic * likeness + (1.0 - semantic) * energy).collect()
}

/// The unit class token, the first one, and the unit frequency feature `[width]`, if there is one.
pub fn class(tokens: &Tokens, summary: Option<&Array1<f32>>) -> Array1<f32> {
    let class = normalized(tokens.x.row(0));
    match summary {
        Some(summary) => class + normalized(summary.view()),
        None => class,
    }
}

/// The sum of all patches, for towers without a class token: its direction is that of their mean.
pub fn mean(tokens: &Tokens) -> Array1<f32> {
    Array1::from_vec(tokens.sizes.clone()).dot(&tokens.x)
}

/// Values scaled to 0..1; equal ones become 0.
fn unit_range(values: Vec<f32>) -> Vec<f32> {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.into_iter().map(|value| (value - low) / (high - low).max(1e-12)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_lone_patch_has_the_energy_and_its_neighbours_less() {
        let mut x = Array2::zeros((25, 2));
        x.row_mut(12).fill(9.0);
        let energy = energy(&x, [5, 5]);
        // The middle differs from its mean by 8, a neighbour by 1, on two channels each.
        assert_eq!((energy[12], energy[0]), (1.0, 0.0));
        assert!((energy[7] - 1.0 / 64.0).abs() < 1e-6);
    }

    #[test]
    fn a_corner_counts_only_what_is_inside() {
        let mut x = Array2::zeros((6, 1));
        x.row_mut(0).fill(4.0);
        // On 2 × 3 the corner's mean is over 4 cells, its right neighbour's over 6.
        let energy = energy(&x, [2, 3]);
        assert_eq!(energy[0], 1.0);
        assert!((energy[1] - (4.0f32 / 6.0).powi(2) / 9.0).abs() < 1e-6);
    }

    #[test]
    fn tokens_like_the_whole_score_high() {
        let tokens =
            Tokens { x: array![[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]], sizes: vec![1.0; 3], energy: vec![0.0, 1.0, 0.5] };
        let semantic = guide(&tokens, &class(&tokens, Some(&array![5.0, 0.0])), 1.0);
        assert_eq!((semantic[0], semantic[1]), (1.0, 0.0));
        let mixed = guide(&tokens, &class(&tokens, None), 0.5);
        assert!((mixed[0] - 0.5).abs() < 1e-6 && (mixed[1] - 0.5).abs() < 1e-6);
        let merged = Tokens { sizes: vec![1.0, 5.0, 2.0], ..tokens };
        let mean = mean(&merged);
        assert!((mean[0] - 2.4).abs() < 1e-6 && (mean[1] - 6.4).abs() < 1e-6);
        assert_eq!(guide(&merged, &mean, 1.0)[0], 0.0);
    }
}
