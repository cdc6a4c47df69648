//! Token merging: the `r` closest pairs of tokens become one each. docs/token-merging.md has the rule and its sources.

use edgelip_kernels::{
    Activation, Kernels, LANES, Linear, Panels, Parallel, Rows, RowsMut, cast, math, pack_panels, padded,
};

use super::guide::Guide;
use crate::Error;
use crate::plan::{Merge, VisionShape};
use crate::scratch::Arena;

/// The tokens of one block on their way through a merge.
pub(crate) struct Tokens<'t> {
    /// `[count, stride]`, after the attention's residual.
    pub rows: &'t [f32],
    /// Where the merged tokens go, of the same shape.
    pub merged: &'t mut [f32],
    /// Keys `[count, …]` and the column they start at.
    pub keys: Rows<'t>,
    /// The keys' first column.
    pub key_column: usize,
    /// How many patches each token stands for, `[count]`.
    pub sizes: &'t mut [f32],
    /// What keeps informative tokens apart, if anything does.
    pub guide: Option<Guide<'t>>,
    /// How many tokens there are.
    pub count: usize,
}

/// Merges `r` tokens away, leaving `count − r` in `tokens.merged`, `tokens.sizes` and the guide's energies.
pub(crate) fn merge(
    kernels: &Kernels,
    rule: Merge,
    shape: &VisionShape,
    tokens: Tokens<'_>,
    r: usize,
    scratch: &mut [f32],
    parallel: &dyn Parallel,
) -> Result<(), Error> {
    let Tokens { rows, merged, keys, key_column, sizes, mut guide, count } = tokens;
    let lengths = Lengths::new(shape, count);
    let mut arena = Arena::new(scratch, scratch_len(shape, count))?;
    let mut matching = Matching {
        features: arena.take(lengths.features)?,
        panels: arena.take(lengths.panels)?,
        scores: arena.take(lengths.scores)?,
        norms: arena.take(count)?,
        weights: arena.take(count)?,
        best: arena.take(count)?,
        partner: cast::i32s_mut(arena.take(count)?),
        count,
    };
    let stride = padded(shape.width);
    let token = |i: usize| &rows[i * stride..][..shape.width];
    let key = |i: usize| &keys.row(i)[key_column..][..shape.width];
    let width = match rule {
        Merge::Ward => matching.ward_features(kernels, shape.width, token, key),
        Merge::Tome | Merge::None => matching.mean_key_features(kernels, shape, key),
    };
    matching.similarities(kernels, width, parallel)?;
    matching.best_partners(rule, sizes, guide.as_ref());
    matching.choose(r);
    let Matching { partner, norms, best: new_sizes, weights: new_energies, .. } = matching;
    let chosen = Chosen { partner, norms, count, width: shape.width };
    if let Some(guide) = &mut guide {
        for (position, energy) in chosen.staying(rule).zip(new_energies.iter_mut()) {
            *energy = chosen.mean(sizes, guide.energies, position);
        }
        guide.energies[..count - r].copy_from_slice(&new_energies[..count - r]);
    }
    for ((position, out), size) in chosen.staying(rule).zip(merged.chunks_exact_mut(stride)).zip(new_sizes.iter_mut()) {
        *size = chosen.join(kernels, rule, rows, sizes, position, out);
    }
    sizes[..count - r].copy_from_slice(&new_sizes[..count - r]);
    Ok(())
}

/// Scratch in `f32`s for merging `tokens` tokens or fewer.
pub(crate) fn scratch_len(shape: &VisionShape, tokens: usize) -> usize {
    let Lengths { features, panels, scores } = Lengths::new(shape, tokens);
    features + panels + scores + 4 * padded(tokens) + LANES
}

struct Lengths {
    features: usize,
    panels: usize,
    scores: usize,
}

impl Lengths {
    fn new(shape: &VisionShape, tokens: usize) -> Self {
        let (width, targets) = (padded(2 * shape.width), padded(tokens / 2));
        Lengths { features: tokens * width, panels: targets * width, scores: tokens.div_ceil(2) * targets }
    }
}

/// The search for pairs. Sources are the even positions, targets the odd ones.
struct Matching<'s> {
    /// What similarity is measured on, `[count, padded(width)]`.
    features: &'s mut [f32],
    /// The targets' features as panels of 16 targets.
    panels: &'s mut [f32],
    /// Similarities `[sources, padded(targets)]`.
    scores: &'s mut [f32],
    /// Norm of each token.
    norms: &'s mut [f32],
    /// Softened size of each token.
    weights: &'s mut [f32],
    /// Best score of each source.
    best: &'s mut [f32],
    /// Target of each source; after [`Matching::choose`] −1 for those that stay.
    partner: &'s mut [i32],
    count: usize,
}

impl Matching<'_> {
    /// Features whose inner product is `½ cos(keys) + ½ cos(tokens)`; their width.
    fn ward_features<'t>(
        &mut self,
        kernels: &Kernels,
        width: usize,
        token: impl Fn(usize) -> &'t [f32],
        key: impl Fn(usize) -> &'t [f32],
    ) -> usize {
        for (i, row) in self.features.chunks_exact_mut(padded(2 * width)).enumerate().take(self.count) {
            let (of_key, of_token) = row[..2 * width].split_at_mut(width);
            kernels.normalize(key(i), of_key);
            self.norms[i] = kernels.normalize(token(i), of_token);
            if i % 2 == 0 {
                row.iter_mut().for_each(|value| *value *= 0.5);
            }
        }
        2 * width
    }

    /// Features whose inner product is the cosine of the keys' means over the heads; their width.
    fn mean_key_features<'t>(
        &mut self,
        kernels: &Kernels,
        shape: &VisionShape,
        key: impl Fn(usize) -> &'t [f32],
    ) -> usize {
        let width = shape.head_dim();
        for (i, row) in self.features.chunks_exact_mut(padded(width)).enumerate().take(self.count) {
            row.fill(0.0);
            for head in key(i).chunks_exact(width) {
                row.iter_mut().zip(head).for_each(|(sum, value)| *sum += value / shape.heads as f32);
            }
            let length = math::sqrt(kernels.dot(row, row)).max(1e-12);
            row.iter_mut().for_each(|value| *value /= length);
        }
        width
    }

    fn similarities(&mut self, kernels: &Kernels, width: usize, parallel: &dyn Parallel) -> Result<(), Error> {
        let (sources, targets) = (self.count.div_ceil(2), self.count / 2);
        let stride = padded(width);
        let panels = &mut self.panels[..padded(targets) * width];
        pack_panels(Rows::new(&self.features[stride..], targets, 2 * stride)?, width, panels)?;
        let layer = Linear { panels: Panels::F32(panels), bias: &[], inputs: width, outputs: padded(targets) };
        let rows = Rows::new(self.features, sources, 2 * stride)?;
        let scores = RowsMut::new(self.scores, sources, padded(targets))?;
        kernels.linear(rows, &layer, Activation::None, false, scores, &mut [], parallel)?;
        Ok(())
    }

    /// The best target of each source; the first one of several equal ones.
    fn best_partners(&mut self, rule: Merge, sizes: &[f32], guide: Option<&Guide<'_>>) {
        let targets = self.count / 2;
        for (weight, &size) in self.weights.iter_mut().zip(sizes) {
            *weight = math::sqrt(size) * math::sqrt(math::sqrt(size));
        }
        for i in 1..self.count.div_ceil(2) {
            let weight = self.weights[2 * i];
            let (mut best, mut partner) = (f32::NEG_INFINITY, 0);
            for (j, &similarity) in self.scores[i * padded(targets)..][..targets].iter().enumerate() {
                let stretched = match guide {
                    Some(guide) => (similarity - 1.0) * guide.stretch(2 * i, 2 * j + 1),
                    None => similarity - 1.0,
                };
                let score = match rule {
                    Merge::Ward => {
                        let other = self.weights[2 * j + 1];
                        stretched * (weight * other / (weight + other))
                    }
                    // Without a guide similarities order as their distances do, and tell closer ones apart.
                    Merge::Tome | Merge::None => guide.map_or(similarity, |_| stretched),
                };
                if score > best {
                    (best, partner) = (score, j as i32);
                }
            }
            (self.best[i], self.partner[i]) = (best, partner);
        }
    }

    /// Keeps the partners of the `r` best sources and forgets the others; of equal ones the first win.
    fn choose(&mut self, r: usize) {
        let sources = self.count.div_ceil(2);
        let best = &self.best[..sources];
        let before = |j: usize, i: usize| best[j] > best[i] || (best[j] == best[i] && j < i);
        self.partner[0] = -1;
        for i in 1..sources {
            if (1..sources).filter(|&j| before(j, i)).count() >= r {
                self.partner[i] = -1;
            }
        }
    }
}

/// The pairs that merge.
struct Chosen<'s> {
    /// Target of each source, −1 for those that stay.
    partner: &'s [i32],
    /// Norm of each token; used by `ward`.
    norms: &'s [f32],
    count: usize,
    width: usize,
}

impl Chosen<'_> {
    /// Positions of the tokens that stay, in their new order.
    fn staying(&self, rule: Merge) -> impl Iterator<Item = usize> {
        let sources = self.count.div_ceil(2);
        let in_order = move |index: usize| match rule {
            Merge::Tome if index < sources => 2 * index,
            Merge::Tome => 2 * (index - sources) + 1,
            Merge::Ward | Merge::None => index,
        };
        (0..self.count).map(in_order).filter(|&position| position % 2 == 1 || self.partner[position / 2] < 0)
    }

    /// Positions of the tokens that merge into the one at `position`.
    fn members(&self, position: usize) -> impl Iterator<Item = usize> {
        let sources = if position.is_multiple_of(2) { 0 } else { self.count.div_ceil(2) };
        let target = (position / 2) as i32;
        (1..sources).filter(move |&i| self.partner[i] == target).map(|i| 2 * i)
    }

    /// The size-weighted mean of a number that each token has, over a token and its members.
    fn mean(&self, sizes: &[f32], values: &[f32], position: usize) -> f32 {
        let (mut sum, mut size) = (sizes[position] * values[position], sizes[position]);
        for member in self.members(position) {
            sum += sizes[member] * values[member];
            size += sizes[member];
        }
        sum / size
    }

    /// Writes the size-weighted mean of a token and its members to `out`; their common size.
    fn join(
        &self,
        kernels: &Kernels,
        rule: Merge,
        rows: &[f32],
        sizes: &[f32],
        position: usize,
        out: &mut [f32],
    ) -> f32 {
        let stride = out.len();
        let mut size = sizes[position];
        let mut largest = self.norms[position];
        out.copy_from_slice(&rows[position * stride..][..stride]);
        let mut alone = true;
        for member in self.members(position) {
            if alone {
                out.iter_mut().for_each(|value| *value *= size);
                alone = false;
            }
            kernels.scaled_add(&mut out[..self.width], sizes[member], &rows[member * stride..][..self.width]);
            size += sizes[member];
            largest = largest.max(self.norms[member]);
        }
        if !alone {
            let factor = match rule {
                Merge::Ward => largest / math::sqrt(kernels.dot(&out[..self.width], &out[..self.width])).max(1e-12),
                Merge::Tome | Merge::None => 1.0 / size,
            };
            out.iter_mut().for_each(|value| *value *= factor);
        }
        size
    }
}

#[cfg(test)]
mod tests;
