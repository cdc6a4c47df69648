use edgelip_kernels::{
    Activation, IntegerPanels, Kernels, LANES, Linear, Panels, Parallel, Part, Rows, RowsMut, Single, cast,
    for_each_chunk, linear_scales, padded,
};

use super::pairs::{Feature, Pairs};
use super::{softened, unit};
use crate::Error;
use crate::ops::guide::Guide;
use crate::plan::VisionShape;

/// Rows whose norms a thread computes at a time.
const NORMS_OF_A_TASK: usize = 16;

/// Values of all tokens below which to wake threads costs more than it gains.
const WORTH_SHARING: usize = 1 << 15;

/// Variance of a cosine that is computed in floats, generously.
const VARIANCE_OF_FLOATS: f32 = 1e-12;

/// The search for pairs. Sources are the even positions, targets the odd ones.
pub(super) struct Matching<'s> {
    pub kernels: &'s Kernels,
    pub parallel: &'s dyn Parallel,
    pub count: usize,
    /// How many tokens come first that never merge: the class token, if there is one.
    pub class: usize,
    /// Whether a rough look at all pairs is enough to find the few that are worth an exact one. Which pairs are found is the same on
    /// all instruction sets, some of which look in integers.
    pub roughly: bool,
    /// For each kind of feature the sources' inner products with the targets' unit features, `[sources, padded(targets)]`.
    pub products: [&'s mut [f32]; 2],
    /// Norms of each kind of feature, `[count]`.
    pub norms: [&'s mut [f32]; 2],
    /// Unit features of the targets as a layer's weights.
    pub panels: &'s mut [f32],
    /// Numbers of each target, at least `[targets]`.
    pub of_targets: [&'s mut [f32]; 2],
    /// Best score of each source, at least `[sources]`; before, the variance of its cosines, of all kinds together.
    pub best: &'s mut [f32],
    /// Target of each source, at least `[sources]`.
    pub partner: &'s mut [i32],
}

impl Matching<'_> {
    /// The best target of each source by the mean of these features' cosines; the first one of several equal ones. If a rough look is allowed,
    /// only sources that may be among the `r` best have a score.
    pub(super) fn find(
        &mut self,
        features: &[Feature<'_>],
        r: usize,
        sizes: Option<&[f32]>,
        guide: Option<&Guide<'_>>,
    ) -> Result<(), Error> {
        // Few values leave errors of rounding less chance to even out, and too little work space.
        self.roughly &= cfg!(feature = "rough")
            && features.iter().all(|Feature { width, .. }| *width >= 64 && width.is_multiple_of(LANES));
        for (kind, feature) in features.iter().enumerate() {
            self.compare(kind, *feature)?;
        }
        self.choose(features, r, sizes, guide)
    }

    /// Fills the products and norms of one kind of feature.
    fn compare(&mut self, kind: usize, Feature { rows, width }: Feature<'_>) -> Result<(), Error> {
        let kernels = self.kernels;
        let parallel = if self.count * width < WORTH_SHARING { &Single } else { self.parallel };
        let (Some(of_tokens), Some(products)) = (self.norms.get_mut(kind), self.products.get_mut(kind)) else {
            return Ok(());
        };
        for_each_chunk(of_tokens, NORMS_OF_A_TASK, parallel, &|task, norms| {
            for (row, norm) in (task * NORMS_OF_A_TASK..).zip(norms) {
                *norm = kernels.norm(rows.segment(row, 0..width));
            }
        });
        let (sources, targets) = (self.count.div_ceil(2), self.count / 2);
        let [factors, _] = &mut self.of_targets;
        let factors = factors.part_mut(..targets);
        for (factor, norm) in factors.iter_mut().zip(odd(of_tokens)) {
            *factor = unit(*norm);
        }
        let variances = self.best.part_mut(..sources);
        if kind == 0 {
            variances.fill(0.0);
        }
        let (data, stride) = (rows.data(), rows.stride());
        let from = Rows::new(data, sources, 2 * stride)?;
        let to = Rows::new(data.part(stride..), targets, 2 * stride)?;
        let products = RowsMut::new(products, sources, padded(targets))?;
        let outputs = padded(targets);
        if !(self.roughly && kernels.packs_integers()) {
            let panels = self.panels.part_mut(..outputs * width);
            kernels.pack_panels(to, width, factors, panels, parallel)?;
            let layer = Linear { panels: Panels::F32(panels), bias: &[], inputs: width, outputs };
            kernels.linear(from, &layer, Activation::None, false, products, &mut [], self.parallel)?;
            variances.iter_mut().for_each(|variance| *variance += VARIANCE_OF_FLOATS);
            return Ok(());
        }
        let (weight, rest) = self.panels.cut_mut(outputs * width / size_of::<f32>());
        let (scale, rest) = rest.cut_mut(outputs);
        let (zero, scratch) = rest.cut_mut(outputs);
        let mut panels = IntegerPanels { weight: cast::bytes_mut(weight), scale, zero: cast::i32s_mut(zero) };
        kernels.pack_integers(to, width, factors, &mut panels)?;
        let layer = Linear { panels: panels.panels(), bias: &[], inputs: width, outputs };
        kernels.linear(from, &layer, Activation::None, false, products, scratch, self.parallel)?;
        // Rounding to whole steps errs by up to half a step, with a variance of a twelfth of its square.
        let coarsest = panels.scale.part(..targets).iter().fold(0.0, |coarsest: f32, step| coarsest.max(*step));
        let steps = linear_scales(scratch, sources, width);
        for ((variance, step), norm) in variances.iter_mut().zip(steps).zip(of_tokens.iter().step_by(2)) {
            let step = step * unit(*norm);
            *variance += (step * step + coarsest * coarsest) / 12.0;
        }
        Ok(())
    }

    /// Scores and targets by the products.
    fn choose(
        &mut self,
        features: &[Feature<'_>],
        r: usize,
        sizes: Option<&[f32]>,
        guide: Option<&Guide<'_>>,
    ) -> Result<(), Error> {
        let (sources, targets) = (self.count.div_ceil(2), self.count / 2);
        let [weights, phi] = &mut self.of_targets;
        if let Some(sizes) = sizes {
            weights.iter_mut().zip(odd(sizes)).for_each(|(weight, &size)| *weight = softened(size));
        }
        if let Some(guide) = guide {
            phi.iter_mut().zip(odd(guide.phi)).for_each(|(phi, &of_token)| *phi = of_token);
        }
        let pairs = Pairs {
            kernels: self.kernels,
            features,
            products: self.products.each_ref().map(|products| &**products),
            norms: self.norms.each_ref().map(|norms| &**norms),
            sizes: sizes.map(|sizes| (sizes, &**weights)),
            guide: guide.map(|guide| (guide.strength, guide.phi, &**phi)),
            targets,
        };
        let (best, partner) = (self.best.part_mut(..sources), self.partner.part_mut(..sources));
        // The panels have done their duty.
        if cfg!(feature = "rough") && self.roughly {
            pairs.decide(self.class, r, self.panels, best, partner)
        } else {
            pairs.all(self.class, self.panels, best, partner)
        }
    }
}

/// Every other number, from the second one on.
fn odd(numbers: &[f32]) -> impl Iterator<Item = &f32> {
    numbers.iter().skip(1).step_by(2)
}

/// The mean of each key over the heads, `[count, padded(head_dim)]`.
pub(super) fn means_over_heads<'f>(
    kernels: &Kernels,
    keys: Rows<'_>,
    shape: &VisionShape,
    features: &'f mut [f32],
    parallel: &dyn Parallel,
) -> Result<Rows<'f>, Error> {
    let (width, count) = (shape.head_dim(), keys.rows());
    let stride = padded(width);
    for_each_chunk(features, NORMS_OF_A_TASK * stride, parallel, &|task, rows| {
        for (row, mean) in (task * NORMS_OF_A_TASK..count).zip(rows.pieces_mut(stride)) {
            mean.fill(0.0);
            for head in keys.segment(row, 0..shape.width).pieces(width) {
                kernels.scaled_add(mean, 1.0 / shape.heads as f32, head);
            }
        }
    });
    Ok(Rows::new(features, count, stride)?)
}
