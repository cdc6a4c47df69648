//! What keeps informative tokens apart when tokens merge: likeness to what the tower says of the image, and high-frequency energy.
//! docs/token-merging.md has the formulas; they are a reconstruction of what MLIP (arXiv 2406.01460) describes in words.

use edgelip_kernels::{Kernels, Part, padded};

/// The guide of one merge.
pub(crate) struct Guide<'g> {
    /// How strongly distances are stretched.
    pub strength: f32,
    /// φ of each token, `[count]`, in 0..1.
    pub phi: &'g [f32],
    /// High-frequency energy of each token, `[count]`; after the merge that of the tokens that are left.
    pub energies: &'g mut [f32],
}

/// What a tower says of the image as a whole.
pub(crate) enum Whole<'w> {
    /// The class token, the first row, and the frequency feature `[width]`, if there is one.
    Class(Option<&'w [f32]>),
    /// The mean of the tokens, each weighed by how many patches it stands for, `[count]`.
    Mean(&'w [f32]),
}

/// High-frequency energy `‖x − 3×3 mean of x‖²` of each token of a grid, scaled to 0..1; the mean leaves out what is outside of the grid.
///
/// `rows` are `[H·W, padded(width)]` in raster order, `difference` is work space of `[padded(width)]`, `energies` is `[H·W]`.
pub(crate) fn energies(
    kernels: &Kernels,
    rows: &[f32],
    width: usize,
    [height, columns]: [usize; 2],
    difference: &mut [f32],
    energies: &mut [f32],
) {
    let row = |y: usize, x: usize| {
        let start = (y * columns + x) * padded(width);
        rows.part(start..start + width)
    };
    let difference = difference.part_mut(..width);
    let columns = columns.max(1);
    for (index, energy) in energies.iter_mut().enumerate() {
        let (y, x) = (index / columns, index % columns);
        let (ys, xs) = (y.saturating_sub(1)..height.min(y + 2), x.saturating_sub(1)..columns.min(x + 2));
        let share = -1.0 / (ys.len() * xs.len()) as f32;
        difference.copy_from(row(y, x));
        let mut around: [&[f32]; 9] = [&[]; 9];
        let count = ys.len() * xs.len();
        for (near, (y, x)) in around.iter_mut().zip(ys.flat_map(|y| xs.clone().map(move |x| (y, x)))) {
            *near = row(y, x);
        }
        kernels.scaled_add_all(difference, share, around.part(..count));
        *energy = kernels.dot(difference, difference);
    }
    to_unit_range(energies);
}

/// `φ = semantic · ⟨x̂, ĉ⟩ + (1 − semantic) · e` of each token, the inner products scaled to 0..1.
///
/// `rows` are `[count, padded(width)]`, the class token first, if there is one. `ĉ` is the unit class token, or if there is a frequency
/// feature the sum of both at unit length; or the mean at unit length. `summary` is work space of `[padded(width)]`; `energies` and `phi`
/// are `[count]`.
pub(crate) fn phi(
    kernels: &Kernels,
    rows: &[f32],
    width: usize,
    whole: Whole<'_>,
    (semantic, energies): (f32, &[f32]),
    summary: &mut [f32],
    phi: &mut [f32],
) {
    let summary = summary.part_mut(..width);
    match whole {
        Whole::Class(frequency) => {
            kernels.normalize(rows.part(..width), summary);
            if let Some(frequency) = frequency.map(|frequency| frequency.part(..width)) {
                kernels.scaled_add(summary, 1.0 / kernels.norm(frequency).max(1e-12), frequency);
            }
        }
        Whole::Mean(sizes) => {
            let count = sizes.iter().sum::<f32>();
            summary.fill(0.0);
            for (row, size) in rows.pieces(padded(width)).zip(sizes) {
                kernels.scaled_add(summary, size / count, row.part(..width));
            }
        }
    }
    let length = kernels.norm(summary).max(1e-12);
    for (phi, row) in phi.iter_mut().zip(rows.pieces(padded(width))) {
        let row = row.part(..width);
        *phi = kernels.dot(row, summary) / (kernels.norm(row).max(1e-12) * length);
    }
    to_unit_range(phi);
    for (phi, energy) in phi.iter_mut().zip(energies) {
        *phi = semantic * *phi + (1.0 - semantic) * energy;
    }
}

/// Scales values to 0..1; equal values become 0.
fn to_unit_range(values: &mut [f32]) {
    let (low, high) =
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let range = (high - low).max(1e-12);
    values.iter_mut().for_each(|value| *value = (*value - low) / range);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two channels; the others are padding that must not count.
    fn rows<const N: usize>(values: [[f32; 2]; N]) -> [[f32; 16]; N] {
        values.map(|[a, b]| core::array::from_fn(|i| [a, b].get(i).copied().unwrap_or(0.0)))
    }

    #[test]
    fn a_lone_token_has_the_energy_and_its_neighbours_less() {
        let mut values = [[1.0, -2.0]; 20];
        values[12] = [10.0, 7.0];
        let mut found = [f32::NAN; 20];
        for kernels in Kernels::available() {
            energies(&kernels, rows(values).as_flattened(), 2, [4, 5], &mut [f32::NAN; 16], &mut found);
            // The lone token differs from its mean by 8, an inner neighbour by 1 and one at the edge, whose mean has 6 cells, by 1.5.
            assert_eq!((found[12], found[0]), (1.0, 0.0));
            assert!((found[7] - 1.0 / 64.0).abs() < 1e-6 && (found[17] - 2.25 / 64.0).abs() < 1e-6, "{found:?}");
        }
        energies(&Kernels::generic(), &[3.0; 16], 2, [1, 1], &mut [0.0; 16], &mut found[..1]);
        assert_eq!(found[0], 0.0);
    }

    #[test]
    fn tokens_like_the_summary_are_guided_to_stay() {
        let rows = rows([[3.0, 0.0], [0.0, 1.0], [0.7, 0.7]]);
        let mut found = [0.0; 3];
        for kernels in Kernels::available() {
            for frequency in [None, Some(&[5.0, 0.0][..])] {
                let mut phi = |semantic| {
                    let energies = (semantic, &[0.0, 1.0, 0.5][..]);
                    let whole = Whole::Class(frequency);
                    phi(&kernels, rows.as_flattened(), 2, whole, energies, &mut [f32::NAN; 16], &mut found);
                    found
                };
                let semantic = phi(1.0);
                assert!(semantic[..2] == [1.0, 0.0] && (semantic[2] - 0.5f32.sqrt()).abs() < 1e-6);
                assert_eq!(phi(0.5)[..2], [0.5, 0.5]);
                assert_eq!(phi(0.0), [0.0, 1.0, 0.5]);
            }
            let mut towards = |frequency: &[f32]| {
                let energies = (1.0, &[0.0; 3][..]);
                let whole = Whole::Class(Some(frequency));
                phi(&kernels, rows.as_flattened(), 2, whole, energies, &mut [f32::NAN; 16], &mut found);
                found
            };
            // Halfway between both domains' directions the third token is the most alike.
            assert_eq!(towards(&[0.0, 0.1])[2], 1.0);
        }
    }

    #[test]
    fn without_a_class_token_the_mean_of_all_patches_is_the_summary() {
        let rows = rows([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]);
        let mut found = [f32::NAN; 3];
        for kernels in Kernels::available() {
            // 3 of the first, 2 of the second and 9 of the third: the sum is [0, 2].
            let (whole, energies) = (Whole::Mean(&[3.0, 2.0, 9.0]), (1.0, &[0.0; 3][..]));
            phi(&kernels, rows.as_flattened(), 2, whole, energies, &mut [f32::NAN; 16], &mut found);
            assert_eq!(found, [0.0, 1.0, 0.0]);
        }
    }
}
