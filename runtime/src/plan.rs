//! What an image tower will do, as pure data: tokens in each block, multiply-adds, scratch. No weights are needed.

use edgelip_kernels::{attention_scratch, linear_scratch, padded};

use crate::Error;

/// The most blocks a tower may have.
pub const MAX_BLOCKS: usize = 48;

const MAX_TOKENS: usize = 1 << 14;
const MAX_WIDTH: usize = 1 << 13;
const MAX_HIDDEN: usize = 1 << 16;
const MAX_PATCH: usize = 1 << 8;

/// The shape of an image tower with a class token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisionShape {
    /// Input height and width in pixels.
    pub image: [usize; 2],
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Width of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Hidden width of the MLP.
    pub mlp: usize,
    /// Width of the embedding.
    pub embedding: usize,
}

impl VisionShape {
    /// Patches along height and width.
    pub fn grid(&self) -> [usize; 2] {
        [self.image[0] / self.patch.max(1), self.image[1] / self.patch.max(1)]
    }

    /// Values of a patch: rows, columns and three channels.
    pub fn patch_values(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads.max(1)
    }

    /// Whether the parts fit each other and the runtime's limits.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond a limit, [`Error::Metadata`] for a contradiction.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |key| Err(Error::Metadata { key, problem: crate::Problem::Invalid });
        let [height, width] = self.image;
        if self.patch == 0 || height == 0 || width == 0 || height % self.patch != 0 || width % self.patch != 0 {
            return invalid("edgelip.patch");
        }
        if self.heads == 0 || self.width == 0 || !self.width.is_multiple_of(self.heads) {
            return invalid("edgelip.heads");
        }
        if self.blocks == 0 {
            return invalid("edgelip.blocks");
        }
        if self.mlp == 0 {
            return invalid("edgelip.mlp");
        }
        if self.embedding == 0 {
            return invalid("edgelip.embedding");
        }
        let tokens = self.grid()[0].checked_mul(self.grid()[1]).ok_or(Error::TooLarge)?;
        if self.blocks > MAX_BLOCKS
            || tokens >= MAX_TOKENS
            || self.width.max(self.embedding) > MAX_WIDTH
            || self.mlp > MAX_HIDDEN
            || self.patch > MAX_PATCH
        {
            return Err(Error::TooLarge);
        }
        Ok(())
    }
}

/// How tokens are chosen for merging; docs/token-merging.md has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// No merging: the original model.
    None,
    /// Ward's criterion on keys and tokens, in snake order.
    Ward,
    /// Token Merging (Bolya et al., ICLR 2023), on the mean key of the heads.
    Tome,
}

/// What happens in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Tokens that enter, the class token among them.
    pub tokens: usize,
    /// Tokens merged into others between attention and MLP.
    pub merged: usize,
    /// Tokens that leave.
    pub tokens_out: usize,
    /// Rows whose attention and MLP are computed: all, or only the class row in the last block.
    pub queries: usize,
    /// Multiply-adds, the merge's own included.
    pub macs: u64,
    /// Multiply-adds of choosing what to merge.
    pub merge_macs: u64,
}

/// The plan of an image tower under a merge schedule.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    shape: VisionShape,
    merge: Merge,
    merged: [u16; MAX_BLOCKS],
    tokens: [u16; MAX_BLOCKS],
}

impl Plan {
    /// Plans `shape` with `schedule[l]` tokens merged in block `l`; an empty schedule merges nothing.
    ///
    /// # Errors
    /// Those of [`VisionShape::check`]; [`Error::Schedule`] if a block merges more than [`Plan::max_merged`], the last block
    /// merges at all, the schedule's length is not the number of blocks, or it merges although `merge` is [`Merge::None`].
    pub fn new(shape: &VisionShape, merge: Merge, schedule: &[usize]) -> Result<Self, Error> {
        shape.check()?;
        if !schedule.is_empty() && schedule.len() != shape.blocks {
            return Err(Error::Schedule { block: schedule.len().min(shape.blocks) as u16 });
        }
        let mut plan = Plan { shape: *shape, merge, merged: [0; MAX_BLOCKS], tokens: [0; MAX_BLOCKS] };
        let mut tokens = 1 + shape.grid()[0] * shape.grid()[1];
        for block in 0..shape.blocks {
            let merged = schedule.get(block).copied().unwrap_or(0);
            let most = if merge == Merge::None || block + 1 == shape.blocks { 0 } else { Self::max_merged(tokens) };
            if merged > most {
                return Err(Error::Schedule { block: block as u16 });
            }
            plan.tokens[block] = tokens as u16;
            plan.merged[block] = merged as u16;
            tokens -= merged;
        }
        Ok(plan)
    }

    /// The most tokens a merge can take from `tokens`: every second one but the class token.
    pub const fn max_merged(tokens: usize) -> usize {
        tokens.saturating_sub(1) / 2
    }

    /// The shape that was planned.
    pub fn shape(&self) -> &VisionShape {
        &self.shape
    }

    /// The merging rule.
    pub fn merge(&self) -> Merge {
        self.merge
    }

    /// Whether any block merges.
    pub fn merges(&self) -> bool {
        self.merged.iter().any(|&merged| merged > 0)
    }

    /// Tokens that enter the first block.
    pub fn tokens(&self) -> usize {
        usize::from(self.tokens[0])
    }

    /// The blocks, first to last.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        (0..self.shape.blocks).map(|index| self.block(index))
    }

    /// Block `index`; past the last one, the last one.
    pub fn block(&self, index: usize) -> Block {
        let index = index.min(self.shape.blocks - 1);
        let last = index + 1 == self.shape.blocks;
        let (tokens, merged) = (usize::from(self.tokens[index]), usize::from(self.merged[index]));
        let tokens_out = tokens - merged;
        let queries = if last { 1 } else { tokens };
        let mlp_rows = if last { 1 } else { tokens_out };
        let merge_macs = if merged == 0 { 0 } else { self.merge_macs(tokens) };
        let [t, q, rows] = [tokens, queries, mlp_rows].map(|n| n as u64);
        let [width, mlp] = [self.shape.width, self.shape.mlp].map(|n| n as u64);
        let attention = (2 * q + 2 * t) * width * width + 2 * q * t * width;
        let macs = attention + merge_macs + 2 * rows * width * mlp;
        Block { tokens, merged, tokens_out, queries, macs, merge_macs }
    }

    fn merge_macs(&self, tokens: usize) -> u64 {
        let features = match self.merge {
            Merge::None => 0,
            Merge::Ward => 2 * self.shape.width,
            Merge::Tome => self.shape.head_dim(),
        };
        [tokens.div_ceil(2), tokens / 2, features].map(|n| n as u64).iter().product()
    }

    /// Multiply-adds of the whole tower, from pixels to embedding, merging included.
    pub fn macs(&self) -> u64 {
        let shape = &self.shape;
        let patches: u64 = [self.tokens() - 1, shape.patch_values(), shape.width].map(|n| n as u64).iter().product();
        patches + self.blocks().map(|block| block.macs).sum::<u64>() + (shape.width * shape.embedding) as u64
    }

    /// Share of the unmerged tower's multiply-adds that merging saves.
    pub fn saving(&self) -> f64 {
        match Plan::new(&self.shape, Merge::None, &[]) {
            Ok(unmerged) => 1.0 - self.macs() as f64 / unmerged.macs() as f64,
            Err(_) => 0.0,
        }
    }

    /// Length of the scratch slice in `f32`s when `workers` threads are lent.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it exceeds the address space.
    pub fn scratch_len(&self, workers: usize) -> Result<usize, Error> {
        let layout = self.buffers(workers);
        crate::scratch::total(&[
            layout.rows,
            layout.rows,
            layout.wide,
            layout.query,
            layout.sizes,
            layout.sizes,
            layout.kernel,
        ])
    }

    pub(crate) fn buffers(&self, workers: usize) -> Buffers {
        let shape = &self.shape;
        let (tokens, width, mlp) = (self.tokens(), padded(shape.width), padded(shape.mlp));
        let patches = (tokens - 1) * padded(shape.patch_values());
        let widest = shape.patch_values().max(shape.width).max(shape.mlp);
        let merge = if self.merges() { crate::ops::merge::scratch_len(shape, tokens) } else { 0 };
        Buffers {
            rows: tokens * width,
            wide: patches.max(tokens * (3 * width).max(mlp)),
            query: width.max(padded(shape.embedding)),
            sizes: padded(tokens),
            kernel: linear_scratch(tokens, widest)
                .max(attention_scratch(tokens, tokens, shape.head_dim(), workers))
                .max(merge),
        }
    }
}

/// Lengths of the encoder's buffers in `f32`s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers {
    /// One row of width for each token: the tokens, and a second one for what is computed from them.
    pub rows: usize,
    /// Queries, keys and values; or the MLP's hidden layer; or the patches.
    pub wide: usize,
    /// One row: the class token's query, and its embedding.
    pub query: usize,
    /// A number for each token.
    pub sizes: usize,
    /// Scratch of the operators.
    pub kernel: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const B16: VisionShape =
        VisionShape { image: [224, 224], patch: 16, width: 768, heads: 12, blocks: 12, mlp: 3072, embedding: 512 };

    #[test]
    fn counts_the_multiply_adds_of_vit_b16() {
        let plan = Plan::new(&B16, Merge::None, &[]).unwrap();
        assert_eq!(plan.tokens(), 197);
        let (t, d) = (197u64, 768u64);
        let block = 12 * t * d * d + 2 * t * t * d;
        let last = 2 * t * d * d + 2 * t * d + 10 * d * d;
        assert_eq!(plan.block(0).macs, block);
        assert_eq!(plan.macs(), 196 * 768 * d + 11 * block + last + d * 512);
        assert_eq!(plan.saving(), 0.0);
    }

    #[test]
    fn follows_the_tokens_through_a_schedule() {
        let schedule = [27, 24, 22, 20, 19, 18, 16, 15, 14, 8, 5, 0];
        let plan = Plan::new(&B16, Merge::Ward, &schedule).unwrap();
        assert_eq!(plan.block(0).tokens_out, 170);
        assert_eq!(plan.block(11).tokens, 197 - schedule.iter().sum::<usize>());
        assert_eq!(plan.block(0).merge_macs, 99 * 98 * 2 * 768);
        assert!(plan.saving() > 0.4);
    }

    #[test]
    fn refuses_impossible_schedules() {
        let error = |schedule: &[usize]| Plan::new(&B16, Merge::Tome, schedule).unwrap_err();
        assert_eq!(error(&[99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Error::Schedule { block: 0 });
        assert_eq!(error(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), Error::Schedule { block: 11 });
        assert_eq!(error(&[1, 1]), Error::Schedule { block: 2 });
        assert!(Plan::new(&B16, Merge::None, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
