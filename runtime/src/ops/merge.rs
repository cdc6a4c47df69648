//! Token merging: the `r` closest pairs of tokens become one each. docs/token-merging.md has the rule and its sources.

mod groups;
mod matching;
mod pairs;

use edgelip_kernels::{Kernels, Parallel, Part, Rows, Step, cast, for_each_chunk, math, padded};

use super::guide::Guide;
use crate::Error;
use crate::plan::{Merge, VisionShape};
use crate::scratch::Arena;
use groups::Groups;
use matching::Matching;
use pairs::Feature;

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
    /// Whether the search for pairs may begin with a rough look at all of them, where that pays. Tests hold it against an exact one.
    pub roughly: bool,
    /// For each patch the position of its token, if somebody wants to know.
    pub patches: Option<&'t mut [u16]>,
}

/// Rows that a thread joins at a time.
const ROWS_OF_A_TASK: usize = 8;

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
    let Tokens { rows, merged, keys, key_column, sizes, mut guide, count, roughly, patches } = tokens;
    let lengths = Lengths::new(shape, count);
    let mut arena = Arena::new(scratch, scratch_len(shape, count))?;
    let mut matching = Matching {
        kernels,
        parallel,
        count,
        class: shape.class_tokens(),
        roughly,
        products: [arena.take(lengths.products)?, arena.take(lengths.products)?],
        norms: [arena.take(count)?, arena.take(count)?],
        panels: arena.take(lengths.panels)?,
        of_targets: [arena.take(count)?, arena.take(count)?],
        best: arena.take(count)?,
        partner: cast::i32s_mut(arena.take(count)?),
    };
    let stride = padded(shape.width);
    let tokens = Rows::new(rows, count, stride)?;
    let keys = Rows::new(keys.data().part(key_column..), count, keys.stride())?;
    match rule {
        Merge::Ward => {
            let features = [tokens, keys].map(|rows| Feature { rows, width: shape.width });
            matching.find(&features, r, Some(sizes), guide.as_ref())?;
        }
        Merge::Tome | Merge::None => {
            let features = arena.take(lengths.features)?;
            let means = matching::means_over_heads(kernels, keys, shape, features, parallel)?;
            let means = Feature { rows: means, width: shape.head_dim() };
            matching.find(&[means], r, None, guide.as_ref())?;
        }
    }
    parallel.finished(Step::Match);
    let Matching { norms: [norms, new_sizes], of_targets: [new_energies, largest], best, partner, .. } = matching;
    let mut groups = Groups {
        count,
        class: shape.class_tokens(),
        partner,
        staying: cast::i32s_mut(arena.take(count)?),
        first: cast::i32s_mut(arena.take(count)?),
        next: cast::i32s_mut(arena.take(count)?),
    };
    groups.choose(best, r, rule);

    let staying = || (0..count - r).map(|index| groups.position(index));
    for ((position, size), largest) in staying().zip(new_sizes.iter_mut()).zip(largest.iter_mut()) {
        *size = groups.members(position).fold(sizes.at(position), |size, member| size + sizes.at(member));
        *largest = groups.members(position).fold(norms.at(position), |norm: f32, member| norm.max(norms.at(member)));
    }
    if let Some(guide) = &mut guide {
        for ((position, energy), size) in staying().zip(new_energies.iter_mut()).zip(&*new_sizes) {
            let weighted = |i: usize| sizes.at(i) * guide.energies.at(i);
            *energy = groups.members(position).fold(weighted(position), |sum, member| sum + weighted(member)) / size;
        }
        guide.energies.part_mut(..count - r).copy_from(new_energies.part(..count - r));
    }
    let (width, sizes_before) = (shape.width, &*sizes);
    for_each_chunk(merged.part_mut(..(count - r) * stride), ROWS_OF_A_TASK * stride, parallel, &|task, chunk| {
        for (index, out) in (task * ROWS_OF_A_TASK..).zip(chunk.pieces_mut(stride)) {
            let position = groups.position(index);
            let mut members = groups.members(position).peekable();
            if members.peek().is_none() {
                out.copy_from(tokens.row(position));
                continue;
            }
            let (sum, padding) = out.cut_mut(width);
            padding.fill(0.0);
            kernels.scaled(sum, sizes_before.at(position), tokens.row(position));
            for member in members {
                kernels.scaled_add(sum, sizes_before.at(member), tokens.row(member));
            }
            let factor = match rule {
                Merge::Ward => largest.at(index) / kernels.norm(sum).max(SMALLEST_NORM),
                Merge::Tome | Merge::None => 1.0 / new_sizes.at(index),
            };
            sum.iter_mut().for_each(|value| *value *= factor);
        }
    });
    sizes.part_mut(..count - r).copy_from(new_sizes.part(..count - r));
    if let Some(patches) = patches {
        // The scores have chosen the pairs and are not needed any more.
        groups.follow(count - r, cast::i32s_mut(best), patches);
    }
    parallel.finished(Step::Merge);
    Ok(())
}

/// A norm below this counts as this, so that nothing is divided by zero.
const SMALLEST_NORM: f32 = 1e-12;

/// What makes a vector of this norm a unit vector.
fn unit(norm: f32) -> f32 {
    1.0 / norm.max(SMALLEST_NORM)
}

/// Scratch in `f32`s for merging `tokens` tokens or fewer.
pub(crate) fn scratch_len(shape: &VisionShape, tokens: usize) -> usize {
    let Lengths { features, panels, products } = Lengths::new(shape, tokens);
    // Each of the buffers starts on a cache line.
    features + panels + 2 * products + 9 * padded(tokens) + padded(1)
}

struct Lengths {
    /// Means of the keys over the heads, of all tokens.
    features: usize,
    /// What the targets are compared by, packed.
    panels: usize,
    /// Inner products of sources and targets.
    products: usize,
}

impl Lengths {
    fn new(shape: &VisionShape, tokens: usize) -> Self {
        let targets = padded(tokens / 2);
        Lengths {
            features: tokens * padded(shape.head_dim()),
            panels: targets * shape.width,
            products: padded(tokens.div_ceil(2) * targets),
        }
    }
}

/// A token's size as it counts in distances: `s^¾`.
fn softened(size: f32) -> f32 {
    math::sqrt(size) * math::sqrt(math::sqrt(size))
}

#[cfg(test)]
mod tests;
