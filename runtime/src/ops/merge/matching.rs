use edgelip_kernels::{
    Activation, Kernels, Linear, Pairing, Panels, Parallel, Part, Rows, RowsMut, for_each_chunk, padded,
};

use super::{SMALLEST_NORM, softened};
use crate::Error;
use crate::ops::guide::Guide;
use crate::plan::VisionShape;

/// Rows whose norms a thread computes at a time.
const NORMS_OF_A_TASK: usize = 16;

/// The search for pairs. Sources are the even positions, targets the odd ones.
pub(super) struct Matching<'s> {
    pub kernels: &'s Kernels,
    pub parallel: &'s dyn Parallel,
    pub count: usize,
    /// How many tokens come first that never merge: the class token, if there is one.
    pub class: usize,
    /// For each kind of feature the sources' inner products with the targets' unit features, `[sources, padded(targets)]`.
    pub products: [&'s mut [f32]; 2],
    /// Norms of each kind of feature, `[count]`.
    pub norms: [&'s mut [f32]; 2],
    /// Unit features of the targets as a layer's weights.
    pub panels: &'s mut [f32],
    /// Numbers of each target, at least `[targets]`.
    pub of_targets: [&'s mut [f32]; 2],
    /// Best score of each source, at least `[sources]`.
    pub best: &'s mut [f32],
    /// Target of each source, at least `[sources]`.
    pub partner: &'s mut [i32],
}

impl Matching<'_> {
    /// Fills the products and norms of one kind of feature.
    pub(super) fn compare(&mut self, kind: usize, features: Rows<'_>, width: usize) -> Result<(), Error> {
        let (kernels, parallel) = (self.kernels, self.parallel);
        let (Some(of_tokens), Some(products)) = (self.norms.get_mut(kind), self.products.get_mut(kind)) else {
            return Ok(());
        };
        for_each_chunk(of_tokens, NORMS_OF_A_TASK, parallel, &|task, norms| {
            for (row, norm) in (task * NORMS_OF_A_TASK..).zip(norms) {
                *norm = kernels.norm(features.segment(row, 0..width));
            }
        });
        let (sources, targets) = (self.count.div_ceil(2), self.count / 2);
        let [factors, _] = &mut self.of_targets;
        let factors = factors.part_mut(..targets);
        for (factor, norm) in factors.iter_mut().zip(odd(of_tokens)) {
            *factor = 1.0 / norm.max(SMALLEST_NORM);
        }
        let (data, stride) = (features.data(), features.stride());
        let panels = self.panels.part_mut(..padded(targets) * width);
        kernels.pack_panels(Rows::new(data.part(stride..), targets, 2 * stride)?, width, factors, panels, parallel)?;
        let layer = Linear { panels: Panels::F32(panels), bias: &[], inputs: width, outputs: padded(targets) };
        let products = RowsMut::new(products, sources, padded(targets))?;
        let rows = Rows::new(data, sources, 2 * stride)?;
        kernels.linear(rows, &layer, Activation::None, false, products, &mut [], parallel)?;
        Ok(())
    }

    /// The best target of each source by the mean of these kinds' cosines; the first one of several equal ones.
    pub(super) fn best_partners(
        &mut self,
        kinds: &[usize],
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
        // Where the scores go: the panels have done their duty.
        let scores = self.panels.part_mut(..targets);
        let share = 1.0 / kinds.len() as f32;
        for source in self.class..sources {
            let start = source * padded(targets);
            let factors = self.norms.each_ref().map(|norms| share / norms.at(2 * source).max(SMALLEST_NORM));
            let [tokens, keys] = self.products.each_ref().map(|products| products.part(start..start + targets));
            let all = [(factors[0], tokens), (factors[1], keys)];
            let pairing = Pairing {
                terms: all.part(..kinds.len()),
                sizes: sizes.map(|sizes| (softened(sizes.at(2 * source)), weights.part(..targets))),
                guide: guide.map(|guide| (guide.strength, guide.phi.at(2 * source), phi.part(..targets))),
            };
            let best = self.kernels.pair_scores(&pairing, scores)?;
            let partner = scores.iter().position(|&score| score == best);
            self.best.put(source, best);
            self.partner.put(source, partner.unwrap_or(0) as i32);
        }
        Ok(())
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
