use crate::{Kernels, LANES, Parallel, Part, Rows, Shape, for_each_chunk, padded};

/// A source token and all targets that it may merge into.
#[derive(Clone, Copy, Debug)]
pub struct Pairing<'a> {
    /// The similarity with target `j` is the sum of `factor · products[j]` over these.
    pub terms: &'a [(f32, &'a [f32])],
    /// Softened sizes `p` of the source and `q` of the targets: distances are multiplied by `p q / (p + q)`.
    pub sizes: Option<(f32, &'a [f32])>,
    /// Strength `g`, and `φ` of the source and of the targets: distances are multiplied by `1 + g · max(φ, φ_j)`.
    pub guide: Option<(f32, f32, &'a [f32])>,
}

impl Pairing<'_> {
    /// Whether scores are negated distances rather than similarities.
    pub(crate) fn by_distance(&self) -> bool {
        self.sizes.is_some() || self.guide.is_some()
    }
}

impl Kernels {
    /// Writes the score of the source with each target to `scores [targets]`, and returns the best: the similarity itself, or
    /// with sizes or a guide the negated distance `similarity − 1` times their factors.
    ///
    /// # Errors
    /// If a list is shorter than `scores`.
    pub fn pair_scores(&self, pairing: &Pairing<'_>, scores: &mut [f32]) -> Result<f32, Shape> {
        let lists = pairing.terms.iter().map(|term| term.1);
        let mut lists = lists.chain(pairing.sizes.map(|sizes| sizes.1)).chain(pairing.guide.map(|guide| guide.2));
        Shape::require(lists.all(|list| list.len() >= scores.len()), "a list of targets is too short")?;
        // SAFETY: a `Kernels` proves the instructions, and the lists are long enough.
        Ok(unsafe { (self.table().pair_scores)(pairing, scores) })
    }

    /// Packs the first `width` columns of `rows`, each times its factor, into panels that [`Panels::F32`](crate::Panels::F32)
    /// takes: a layer whose output `n` is the dot product with row `n` times `factors[n]`. The `panels` are
    /// `padded(rows) · width` long and the factors as many as rows; outputs past the rows are zero.
    ///
    /// # Errors
    /// If lengths do not fit.
    pub fn pack_panels(
        &self,
        rows: Rows<'_>,
        width: usize,
        factors: &[f32],
        panels: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Shape> {
        Shape::require(width <= rows.columns(), "rows to pack are narrower than said")?;
        Shape::require(factors.len() == rows.rows(), "the factors are not as many as the rows to pack")?;
        Shape::require(
            padded(rows.rows()).checked_mul(width) == Some(panels.len()),
            "panels are not padded rows × width long",
        )?;
        let count = factors.len();
        for_each_chunk(panels, width * LANES, parallel, &|panel, to| {
            let first = panel * LANES;
            let mut lanes = [0.0; LANES];
            let present = (count - first).min(LANES);
            lanes.iter_mut().zip(factors.part(first..)).for_each(|(lane, factor)| *lane = *factor);
            // SAFETY: a `Kernels` proves the instructions; the panel is `width` deep, and as many rows are there as lanes are present.
            unsafe { (self.table().pack_panel)(rows, first..first + present, &lanes, to) }
        });
        Ok(())
    }
}
