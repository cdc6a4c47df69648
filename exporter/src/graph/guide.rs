//! The guide of a merge: what tells informative tokens from the rest; docs/token-merging.md has the formulas.

use crate::source::Guide;

use super::builder::{Graph, Value};
use super::merge::Tokens;

/// What the guide of one merge is made of, besides the tokens.
pub(super) struct Guidance<'v> {
    pub guide: Guide,
    /// The frequency feature at unit length, `[N, 1, width]`; `None` without a frequency stage.
    pub summary: Option<&'v Value>,
    /// High-frequency energy of each token, `[N, count, 1]`.
    pub energy: &'v Value,
    /// Whether a later merge needs the energies.
    pub carry: bool,
}

impl Graph<'_> {
    /// High-frequency energy of patches `[N, patches, width]` in raster order, scaled to 0..1: `[N, patches, 1]`.
    pub fn energy(&mut self, patches: &Value, grid: [usize; 2]) -> Value {
        let count = grid[0] * grid[1];
        let name = format!("high_pass.{}x{}", grid[0], grid[1]);
        let matrix = self.floats(&name, &[count, count], &high_pass(grid));
        let high = self.node("MatMul", "energy/high", &[&matrix, patches]);
        let energy = self.reduce("ReduceSumSquare", "energy/sum", &high, -1);
        self.unit_range("energy", &energy)
    }

    /// φ of each token, `[N, count, 1]`; `units` are the tokens at unit length.
    pub fn guide(&mut self, guidance: &Guidance<'_>, tokens: &Tokens<'_>, units: &Value) -> Value {
        let whole = self.whole(guidance.summary, tokens, units);
        let column = self.transpose("merge/guide/column", &whole, &[0, 2, 1]);
        let likeness = self.node("MatMul", "merge/guide/likeness", &[units, &column]);
        let likeness = self.unit_range("merge/guide/likeness", &likeness);
        let semantic = self.float(guidance.guide.semantic);
        let rest = self.float(1.0 - guidance.guide.semantic);
        let likeness = self.node("Mul", "merge/guide/semantic", &[&likeness, &semantic]);
        let energy = self.node("Mul", "merge/guide/energetic", &[guidance.energy, &rest]);
        self.node("Add", "merge/guide", &[&likeness, &energy])
    }

    /// What the tower says of the image, `[N, 1, width]` at unit length: the class token with the summary, or the mean of all patches.
    fn whole(&mut self, summary: Option<&Value>, tokens: &Tokens<'_>, units: &Value) -> Value {
        let sum = if tokens.class_tokens > 0 {
            let class = self.slice("merge/guide/class", units, 1, 0, 1, 1);
            let Some(summary) = summary else { return class };
            self.node("Add", "merge/guide/sum", &[&class, summary])
        } else if let Some(sizes) = tokens.sizes {
            let weights = self.transpose("merge/guide/weights", sizes, &[0, 2, 1]);
            self.node("MatMul", "merge/guide/weighted", &[&weights, tokens.rows])
        } else {
            self.reduce("ReduceMean", "merge/guide/mean", tokens.rows, 1)
        };
        self.normalize("merge/guide/whole", &sum)[0].clone()
    }

    /// `1 + strength · max(φ_i, φ_j)` of sources `[N, sources, 1]` and targets `[N, 1, targets]`.
    pub fn stretch(&mut self, strength: f32, [sources, targets]: [&Value; 2]) -> Value {
        let (strength, one) = (self.float(strength), self.float(1.0));
        let larger = self.node("Max", "merge/guide/larger", &[sources, targets]);
        let scaled = self.node("Mul", "merge/guide/scaled", &[&larger, &strength]);
        self.node("Add", "merge/guide/stretch", &[&scaled, &one])
    }

    /// Each image's values `[N, count, 1]` scaled to 0..1.
    fn unit_range(&mut self, name: &str, values: &Value) -> Value {
        let low = self.reduce("ReduceMin", &format!("{name}/low"), values, 1);
        let high = self.reduce("ReduceMax", &format!("{name}/high_end"), values, 1);
        let range = self.node("Sub", &format!("{name}/range"), &[&high, &low]);
        let least = self.float(1e-12);
        let range = self.node("Max", &format!("{name}/divisor"), &[&range, &least]);
        let above = self.node("Sub", &format!("{name}/above"), &[values, &low]);
        self.node("Div", &format!("{name}/unit_range"), &[&above, &range])
    }
}

/// The matrix that takes from each cell of a grid the mean of the cells around it and itself, those inside the grid.
fn high_pass([rows, columns]: [usize; 2]) -> Vec<f32> {
    let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
    let count = rows * columns;
    let mut matrix = vec![0.0; count * count];
    for (cell, row) in matrix.chunks_exact_mut(count.max(1)).enumerate() {
        let around = |other: usize| near(cell / columns, other / columns) && near(cell % columns, other % columns);
        let share = 1.0 / (0..count).filter(|&other| around(other)).count() as f32;
        for (other, weight) in row.iter_mut().enumerate() {
            let own = if other == cell { 1.0 } else { 0.0 };
            *weight = if around(other) { own - share } else { 0.0 };
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_constant_has_no_energy_and_borders_count_only_cells_inside() {
        let matrix = high_pass([3, 4]);
        for row in matrix.chunks_exact(12) {
            assert!(row.iter().sum::<f32>().abs() < 1e-6);
        }
        assert_eq!(matrix[..6], [0.75, -0.25, 0.0, 0.0, -0.25, -0.25]);
        let middle = &matrix[5 * 12..6 * 12];
        assert_eq!((middle[5], middle[0], middle[3]), (1.0 - 1.0 / 9.0, -1.0 / 9.0, 0.0));
    }
}
