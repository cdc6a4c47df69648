use edgelip_kernels::{Kernels, Pairing, Part, Rows, cast, math, padded};

use super::groups::{lowest_of_best, rank};
use super::{softened, unit};
use crate::Error;

/// Standard deviations of a rough score that are taken for certain on either side. Between two scores that makes six of their difference's, beyond
/// which are two of a thousand million.
const DEVIATIONS: f32 = 4.25;

/// What tokens are compared by.
#[derive(Clone, Copy)]
pub(super) struct Feature<'f> {
    /// `[count, width…]`
    pub rows: Rows<'f>,
    pub width: usize,
}

/// All pairs of a source, at an even position, and a target, at an odd one.
pub(super) struct Pairs<'p> {
    pub kernels: &'p Kernels,
    /// One or two kinds, whose cosines are averaged.
    pub features: &'p [Feature<'p>],
    /// For each kind the sources' inner products with the targets' unit features, `[sources, padded(targets)]`.
    pub products: [&'p [f32]; 2],
    /// For each kind the norms, `[count]`.
    pub norms: [&'p [f32]; 2],
    /// Sizes of all tokens, and the targets' softened ones.
    pub sizes: Option<(&'p [f32], &'p [f32])>,
    /// The guide's strength, and φ of all tokens and of the targets.
    pub guide: Option<(f32, &'p [f32], &'p [f32])>,
    pub targets: usize,
}

/// What the distances of a source are multiplied by.
struct Stretch {
    /// Its softened size, if that counts.
    size: Option<f32>,
    /// The guide's strength and the source's φ.
    guide: Option<(f32, f32)>,
}

impl Stretch {
    /// With a target of softened size `q` and this `φ`.
    fn factor(&self, q: f32, phi: f32) -> f32 {
        self.size.map_or(1.0, |p| p * q / (p + q))
            * self.guide.map_or(1.0, |(strength, own)| 1.0 + strength * phi.max(own))
    }
}

/// Numbers of the targets that a source is paired with.
struct Lists<'l> {
    products: [&'l [f32]; 2],
    softened: &'l [f32],
    phi: &'l [f32],
}

impl Pairs<'_> {
    /// Best score and target of each source but the class token. `work` is as long as the targets.
    pub(super) fn all(
        &self,
        class: usize,
        work: &mut [f32],
        best: &mut [f32],
        partner: &mut [i32],
    ) -> Result<(), Error> {
        let scores = work.part_mut(..self.targets);
        for source in class..best.len() {
            let score = self.scores(source, scores)?;
            best.put(source, score);
            partner.put(source, first(scores, score) as i32);
        }
        Ok(())
    }

    /// The same for a rough look: products are rough, and `best` has the variances of their cosines. The pairs are those of exact products. Sources
    /// that are sure to be among the `r` best get the highest score, those that are sure not to be the lowest, and only the others their own.
    /// `work` has room for nine numbers of each target.
    pub(super) fn decide(
        &self,
        class: usize,
        r: usize,
        work: &mut [f32],
        best: &mut [f32],
        partner: &mut [i32],
    ) -> Result<(), Error> {
        let (sources, targets) = (best.len(), self.targets);
        let (scores, rest) = work.cut_mut(targets);
        let (lower, rest) = rest.cut_mut(sources);
        let (candidates, lists) = rest.cut_mut(targets);
        let candidates = cast::i32s_mut(candidates);

        let (margins, lists) = lists.cut_mut(sources);
        let largest =
            self.sizes.map_or(1.0, |(_, all)| all.part(..targets).iter().fold(0.0, |most: f32, size| most.max(*size)));
        let share = 1.0 / self.features.len() as f32;
        for source in class..sources {
            let margin = DEVIATIONS * share * math::sqrt(best.at(source));
            let score = self.scores(source, scores)?;
            let reach = margin * self.stretch(source).factor(largest, 1.0);
            margins.put(source, margin);
            lower.put(source, score - reach);
            best.put(source, score + reach);
        }
        let in_reach = lowest_of_best(lower.part(class..), r);
        let beyond_doubt = lowest_of_best(best.part(class..), r + 1);
        for source in class..sources {
            if rank(best.at(source)) < in_reach {
                best.put(source, f32::NEG_INFINITY);
                partner.put(source, 0);
                continue;
            }
            let rough = self.scores(source, scores)?;
            let (margin, stretch) = (margins.at(source), self.stretch(source));
            let reach = |target: usize| {
                let size = self.sizes.map_or(1.0, |(_, softened)| softened.at(target));
                margin * stretch.factor(size, self.guide.map_or(0.0, |(.., phi)| phi.at(target)))
            };
            let count = not_below(scores, rough - 2.0 * margin * stretch.factor(largest, 1.0), candidates);
            let is_best = |target: &&i32| scores.at(**target as usize) == rough;
            let threshold =
                candidates.part(..count).iter().find(is_best).map_or(rough, |best| rough - reach(*best as usize));
            let mut left = 0;
            for index in 0..count {
                let target = candidates.at(index);
                if scores.at(target as usize) + reach(target as usize) >= threshold {
                    candidates.put(left, target);
                    left += 1;
                }
            }
            let (candidates, count) = (candidates.part(..left), left);
            let is_sure = rank(lower.at(source)) > beyond_doubt;
            if is_sure && count == 1 {
                best.put(source, f32::INFINITY);
                partner.put(source, candidates.at(0));
                continue;
            }
            let exact = scores.part_mut(..count);
            let score = self.exact_scores(source, candidates, lists, exact)?;
            best.put(source, if is_sure { f32::INFINITY } else { score });
            partner.put(source, candidates.at(first(exact, score)));
        }
        Ok(())
    }

    fn stretch(&self, source: usize) -> Stretch {
        Stretch {
            size: self.sizes.map(|(sizes, _)| softened(sizes.at(2 * source))),
            guide: self.guide.map(|(strength, phi, _)| (strength, phi.at(2 * source))),
        }
    }

    /// The scores of a source with all targets, and the best.
    fn scores(&self, source: usize, scores: &mut [f32]) -> Result<f32, Error> {
        let start = source * padded(self.targets);
        let lists = Lists {
            products: self.products.map(|products| products.part(start..start + padded(self.targets))),
            softened: self.sizes.map_or(&[], |sizes| sizes.1),
            phi: self.guide.map_or(&[], |guide| guide.2),
        };
        self.scores_of(source, &lists, scores)
    }

    /// The scores of a source with some targets, their products computed anew, and the best.
    fn exact_scores(&self, source: usize, targets: &[i32], work: &mut [f32], scores: &mut [f32]) -> Result<f32, Error> {
        let (tokens, rest) = work.cut_mut(self.targets);
        let (keys, rest) = rest.cut_mut(self.targets);
        let (softened, phi) = rest.cut_mut(self.targets);
        let mut products = [tokens, keys];
        for (slot, target) in targets.iter().map(|target| *target as usize).enumerate() {
            for ((Feature { rows, width }, norms), products) in self.features.iter().zip(self.norms).zip(&mut products)
            {
                let [a, b] = [2 * source, 2 * target + 1].map(|token| rows.segment(token, 0..*width));
                products.put(slot, self.kernels.dot(a, b) * unit(norms.at(2 * target + 1)));
            }
            if let Some((_, of_targets)) = self.sizes {
                softened.put(slot, of_targets.at(target));
            }
            if let Some((.., of_targets)) = self.guide {
                phi.put(slot, of_targets.at(target));
            }
        }
        let lists = Lists { products: products.each_ref().map(|products| &**products), softened, phi };
        self.scores_of(source, &lists, scores)
    }

    fn scores_of(&self, source: usize, lists: &Lists<'_>, scores: &mut [f32]) -> Result<f32, Error> {
        let token = 2 * source;
        let share = 1.0 / self.features.len() as f32;
        let [tokens, keys] = self.norms.map(|norms| share / norms.at(token).max(super::SMALLEST_NORM));
        let terms = [(tokens, lists.products[0]), (keys, lists.products[1])];
        let pairing = Pairing {
            terms: terms.part(..self.features.len()),
            sizes: self.sizes.map(|(sizes, _)| (softened(sizes.at(token)), lists.softened)),
            guide: self.guide.map(|(strength, phi, _)| (strength, phi.at(token), lists.phi)),
        };
        Ok(self.kernels.pair_scores(&pairing, scores)?)
    }
}

/// Where the best score is, if need be the first one; 0 if it is no number.
fn first(scores: &[f32], best: f32) -> usize {
    scores.iter().position(|&score| score == best).unwrap_or(0)
}

/// Writes where scores are not below `least`, and returns how many.
fn not_below(scores: &[f32], least: f32, places: &mut [i32]) -> usize {
    const AT_ONCE: usize = 16;
    let mut count = 0;
    for (first, some) in (0..).step_by(AT_ONCE).zip(scores.chunks(AT_ONCE)) {
        // Most have none, which is seen without a branch for each.
        if some.iter().filter(|score| **score >= least).count() == 0 {
            continue;
        }
        for (place, _) in (first..).zip(some).filter(|(_, score)| **score >= least) {
            places.put(count, place);
            count += 1;
        }
    }
    count
}
