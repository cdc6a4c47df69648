use crate::{Kernels, LANES, Panels, Parallel, Part, Rows, Shape, cast, for_each_chunk, padded};

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

    /// Whether products of 8-bit integers take so much less time than those of floats that rows are worth packing for them.
    pub fn packs_integers(&self) -> bool {
        self.table().pack_integers.is_some()
    }

    /// Packs the first `width` columns of `rows`, a multiple of 16, as a layer of 8-bit integers whose output `n` is about the dot product with
    /// row `n` times `factors[n]`. The factors are as many as rows; outputs past the rows are anything.
    ///
    /// # Errors
    /// If lengths do not fit, or the kernels don't [pack integers](Kernels::packs_integers).
    pub fn pack_integers(
        &self,
        rows: Rows<'_>,
        width: usize,
        factors: &[f32],
        panels: &mut IntegerPanels<'_>,
    ) -> Result<(), Shape> {
        let IntegerPanels { weight, scale, zero } = panels;
        let count = padded(rows.rows());
        Shape::require(width <= rows.columns(), "rows to pack are narrower than said")?;
        Shape::require(width.is_multiple_of(LANES), "rows to pack as integers are no multiple of 16 wide")?;
        Shape::require(factors.len() == rows.rows(), "the factors are not as many as the rows to pack")?;
        Shape::require(scale.len() == count && zero.len() == count, "scales and zeros are not one for each output")?;
        Shape::require(count.checked_mul(width) == Some(weight.len()), "panels are not padded rows × width long")?;
        let Some(pack) = self.table().pack_integers else { return Err(Shape("these kernels pack no integers")) };
        let numbers = scale.as_chunks_mut::<LANES>().0.iter_mut().zip(zero.as_chunks_mut::<LANES>().0);
        for ((first, panel), (scale, zero)) in (0..).step_by(LANES).zip(weight.pieces_mut(width * LANES)).zip(numbers) {
            // SAFETY: a `Kernels` proves the instructions; rows and panel are `width` long and deep.
            unsafe { pack(rows, first..rows.rows().min(first + LANES), panel, scale, zero) }
        }
        scale.iter_mut().zip(factors).for_each(|(scale, factor)| *scale *= factor);
        Ok(())
    }
}

/// The panels of a layer of 8-bit integers that are made at run time.
#[derive(Debug)]
pub struct IntegerPanels<'p> {
    /// `[outputs / 16, inputs / 4, 16, 4]`, bytes of integers.
    pub weight: &'p mut [u8],
    /// `[outputs]`
    pub scale: &'p mut [f32],
    /// `[outputs]`
    pub zero: &'p mut [i32],
}

impl IntegerPanels<'_> {
    /// As a layer takes them.
    pub fn panels(&self) -> Panels<'_> {
        Panels::I8 { weight: cast::i8s(self.weight), scale: self.scale, zero: self.zero }
    }
}
