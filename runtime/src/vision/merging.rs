//! Tokens that become fewer on their way through the blocks.

use edgelip_kernels::{Parallel, Part, Rows, Step, math, padded};

use super::Vision;
use crate::Error;
use crate::ops::{guide, merge};
use crate::plan::{self, Block};
use crate::scratch::Arena;
use crate::transformer::Buffers;

/// What goes along with the tokens from block to block, `[tokens]` each.
pub(super) struct Carried<'s> {
    /// How many patches each token stands for.
    sizes: &'s mut [f32],
    /// Their logarithms, once tokens have merged.
    log_sizes: &'s mut [f32],
    merged: bool,
    /// High-frequency energy, if merging is guided.
    energies: &'s mut [f32],
    /// What is informative, if merging is guided; anew in each block that merges.
    phi: &'s mut [f32],
    /// For each patch in raster order the position of its token, if somebody wants to know.
    pub(super) patches: Option<&'s mut [u16]>,
}

impl<'s> Carried<'s> {
    pub(super) fn new(arena: &mut Arena<'s>, lengths: &plan::Buffers) -> Result<Self, Error> {
        let carried = Carried {
            sizes: arena.take(lengths.sizes)?,
            log_sizes: arena.take(lengths.sizes)?,
            merged: false,
            energies: arena.take(lengths.guide)?,
            phi: arena.take(lengths.guide)?,
            patches: None,
        };
        carried.sizes.fill(1.0);
        Ok(carried)
    }

    /// How many patches each token stands for.
    pub(super) fn sizes(&self, tokens: usize) -> &[f32] {
        self.sizes.part(..tokens)
    }

    /// Logarithms of the sizes, unless they are all 1.
    pub(super) fn log_sizes(&self, tokens: usize) -> Option<&[f32]> {
        self.merged.then(|| self.log_sizes.part(..tokens))
    }
}

impl Vision<'_> {
    /// Whether the patches are in raster order until the blocks begin. Else they are embedded in the order in which they merge.
    pub(super) fn arranges_late(&self) -> bool {
        let shape = self.plan.shape();
        cfg!(feature = "mlip") && (shape.frequency_blocks > 0 || shape.guided)
    }

    /// Tells for each patch the position of its token in front of the blocks.
    pub(super) fn place(&self, patches: &mut [u16]) {
        let class = self.plan.tokens().saturating_sub(patches.len());
        patches.fill(class as u16);
        for position in 0..patches.len() {
            patches.put(self.order.patch(position), (class + position) as u16);
        }
    }

    /// Measures the patches' energy on the grid, if merging is guided, and brings them into the order in which they merge.
    pub(super) fn arrange(&self, buffers: &mut Buffers<'_>, carried: &mut Carried<'_>, parallel: &dyn Parallel) {
        if !self.arranges_late() {
            return;
        }
        let (shape, kernels, order) = (self.plan.shape(), &self.transformer.kernels, &self.order);
        let (count, width) = (shape.patches(), padded(shape.width));
        let class = shape.class_tokens();
        if self.plan.guided() {
            let in_raster = carried.phi.part_mut(..count);
            let grid = shape.grid();
            guide::energies(kernels, buffers.tokens.part(class * width..), shape.width, grid, buffers.query, in_raster);
            carried.energies.part_mut(..class).fill(0.0);
            for (position, energy) in carried.energies.part_mut(class..class + count).iter_mut().enumerate() {
                *energy = in_raster.at(order.patch(position));
            }
            parallel.finished(Step::Guide);
        }
        if !order.is_raster() {
            let (class, patches) = buffers.tokens.cut(class * width);
            let (to_class, to_patches) = buffers.rows.cut_mut(class.len());
            to_class.copy_from(class);
            for (position, row) in to_patches.pieces_mut(width).enumerate().take(count) {
                let patch = order.patch(position);
                row.copy_from(patches.part(patch * width..(patch + 1) * width));
            }
            core::mem::swap(&mut buffers.tokens, &mut buffers.rows);
        }
    }

    /// Merges a block's tokens, between its attention and its MLP. A guide looks at the class token and the frequency `feature`
    /// `[padded(width)]`, if the tower has one, or without a class token at the mean of all tokens.
    pub(super) fn merge(
        &self,
        buffers: &mut Buffers<'_>,
        carried: &mut Carried<'_>,
        block: &Block,
        feature: &[f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, shape) = (&self.transformer.kernels, self.plan.shape());
        let (count, width) = (block.tokens, padded(shape.width));
        let guide = self.guide.filter(|_| cfg!(feature = "mlip"));
        if let Some(by) = guide {
            let whole = match shape.class_tokens() {
                0 => guide::Whole::Mean(carried.sizes.part(..count)),
                _ => guide::Whole::Class(self.feature.as_ref().map(|_| feature)),
            };
            let energies = (by.semantic, carried.energies.part(..count));
            let phi = carried.phi.part_mut(..count);
            guide::phi(kernels, buffers.tokens, shape.width, whole, energies, buffers.query, phi);
            parallel.finished(Step::Guide);
        }
        let tokens = merge::Tokens {
            rows: buffers.tokens,
            merged: buffers.rows,
            keys: Rows::new(buffers.wide, count, 3 * width)?,
            key_column: width,
            sizes: carried.sizes,
            guide: guide.map(|by| guide::Guide {
                strength: by.strength,
                phi: carried.phi.part(..count),
                energies: carried.energies.part_mut(..count),
            }),
            count,
            roughly: true,
            patches: carried.patches.as_deref_mut(),
        };
        merge::merge(kernels, self.plan.merge(), shape, tokens, block.merged, buffers.kernel, parallel)?;
        core::mem::swap(&mut buffers.tokens, &mut buffers.rows);
        let sizes = carried.sizes.part(..block.tokens_out);
        carried.log_sizes.iter_mut().zip(sizes).for_each(|(log, &size)| *log = math::ln(size));
        carried.merged = true;
        Ok(())
    }
}
