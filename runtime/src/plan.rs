//! What an image tower will do, as pure data: tokens in each block, multiply-adds, scratch. No weights are needed.

mod buffers;
mod shape;
mod stem;

pub(crate) use buffers::Buffers;
pub use shape::{MAX_BLOCKS, Pooling, VisionShape};
pub use stem::{Convolution, MAX_STEM, MAX_WINDOW, Stem, StemLayer, Window};

use edgelip_kernels::Part;

use crate::Error;

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
    /// Tokens that enter, the class token among them if there is one.
    pub tokens: usize,
    /// Tokens merged into others between attention and MLP.
    pub merged: usize,
    /// Tokens that leave.
    pub tokens_out: usize,
    /// Rows whose attention and MLP are computed: all, or in the last block only the class row, if that is what is read.
    pub queries: usize,
    /// Multiply-adds, the merge's own included.
    pub macs: u64,
    /// Multiply-adds of choosing what to merge, the guide's among them.
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
    /// Those of [`VisionShape::check`]; [`Error::Schedule`] if a block merges more than [`VisionShape::max_merged`], the last block
    /// merges at all, the schedule's length is not the number of blocks, or it merges although `merge` is [`Merge::None`].
    pub fn new(shape: &VisionShape, merge: Merge, schedule: &[usize]) -> Result<Self, Error> {
        shape.check()?;
        if !schedule.is_empty() && schedule.len() != shape.blocks {
            return Err(Error::Schedule { block: schedule.len().min(shape.blocks) as u16 });
        }
        let mut plan = Plan { shape: *shape, merge, merged: [0; MAX_BLOCKS], tokens: [0; MAX_BLOCKS] };
        let mut tokens = shape.tokens();
        for block in 0..shape.blocks {
            let merged = schedule.get(block).copied().unwrap_or(0);
            let most = if merge == Merge::None || block + 1 == shape.blocks { 0 } else { shape.max_merged(tokens) };
            if merged > most {
                return Err(Error::Schedule { block: block as u16 });
            }
            plan.tokens.put(block, tokens as u16);
            plan.merged.put(block, merged as u16);
            tokens -= merged;
        }
        Ok(plan)
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

    /// Whether any block merges under a guide.
    pub fn guided(&self) -> bool {
        cfg!(feature = "mlip") && self.shape.guided && self.merges()
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
        let only_class = index + 1 == self.shape.blocks && self.shape.pooling.reads_class();
        let (tokens, merged) = (usize::from(self.tokens.at(index)), usize::from(self.merged.at(index)));
        let tokens_out = tokens - merged;
        let queries = if only_class { 1 } else { tokens };
        let mlp_rows = if only_class { 1 } else { tokens_out };
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
        let pairs: u64 = [tokens.div_ceil(2), tokens / 2, features].map(|n| n as u64).iter().product();
        // Without a class token the mean of all tokens has to be made, too.
        let passes = if self.shape.guided { 2 - self.shape.class_tokens() } else { 0 };
        pairs + (passes * tokens * self.shape.width) as u64
    }

    /// Multiply-adds from pixels to patches.
    pub fn embedding_macs(&self) -> u64 {
        let shape = &self.shape;
        let product = |factors: [usize; 3]| factors.map(|n| n as u64).iter().product::<u64>();
        if shape.stem.is_empty() {
            return product([shape.patches(), shape.patch_values(), shape.width]);
        }
        shape.stem_layers().map(|layer| product([layer.positions(), layer.values(), layer.outputs])).sum()
    }

    /// Multiply-adds of each frequency block, its transforms counted as the graph has them: products with their matrices.
    pub fn frequency_macs(&self) -> u64 {
        let [patches, coefficients] = [self.shape.patches(), 2 * self.shape.coefficients()].map(|n| n as u64);
        let [width, mlp] = [self.shape.width, self.shape.mlp].map(|n| n as u64);
        2 * coefficients * patches * width + 2 * coefficients * width + 2 * patches * width * mlp
    }

    /// Multiply-adds from the last block's tokens to the embedding.
    pub fn head_macs(&self) -> u64 {
        let shape = &self.shape;
        let tokens = self.block(shape.blocks - 1).tokens_out as u64;
        let [width, mlp, embedding] = [shape.width, shape.mlp, shape.embedding].map(|n| n as u64);
        let pool = match shape.pooling {
            Pooling::Attention => (2 * tokens + 1) * width * width + 2 * tokens * width + 2 * width * mlp,
            Pooling::Pooler => width * width,
            Pooling::Class | Pooling::Mean | Pooling::NormedMean => 0,
        };
        pool + if shape.unprojected { 0 } else { width * embedding }
    }

    /// Multiply-adds of the whole tower, from pixels to embedding, merging included.
    pub fn macs(&self) -> u64 {
        let shape = &self.shape;
        self.embedding_macs()
            + shape.frequency_blocks as u64 * self.frequency_macs()
            + self.blocks().map(|block| block.macs).sum::<u64>()
            + self.head_macs()
    }

    /// Share of the unmerged tower's multiply-adds that merging saves.
    pub fn saving(&self) -> f64 {
        match Plan::new(&self.shape, Merge::None, &[]) {
            Ok(unmerged) => 1.0 - self.macs() as f64 / unmerged.macs() as f64,
            Err(_) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B16: VisionShape = VisionShape {
        image: [224, 224],
        patch: 16,
        stem: Stem::NONE,
        frequency_blocks: 0,
        width: 768,
        heads: 12,
        blocks: 12,
        mlp: 3072,
        embedding: 512,
        guided: false,
        pooling: Pooling::Class,
        unprojected: false,
    };

    /// The default model's first version.
    const TINY: VisionShape = VisionShape {
        image: [64, 64],
        patch: 8,
        stem: Stem::NONE,
        frequency_blocks: 2,
        width: 192,
        heads: 3,
        blocks: 10,
        mlp: 768,
        embedding: 384,
        guided: true,
        ..B16
    };

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

    #[test]
    fn counts_the_frequency_stage_and_the_guide() {
        let tiny = VisionShape {
            image: [4, 4],
            patch: 2,
            frequency_blocks: 1,
            width: 4,
            heads: 1,
            blocks: 2,
            mlp: 8,
            embedding: 6,
            ..TINY
        };
        let plan = Plan::new(&tiny, Merge::Ward, &[0, 0]).unwrap();
        // By hand as in the trainer: patches 4·12·4, transforms 2·8·4·4 and product 2·8·4, MLP 2·4·4·8; a block of 5 tokens; the class row.
        let (embed, frequency, block, last) = (192, 256 + 64 + 256, 320 + 200 + 320, 2 * 5 * 16 + 40 + 32 + 64);
        assert_eq!((plan.embedding_macs(), plan.frequency_macs()), (embed, frequency));
        assert_eq!(plan.macs(), embed + frequency + block + last + 24);
        let guided = Plan::new(&tiny, Merge::Tome, &[1, 0]).unwrap();
        let unguided = Plan::new(&VisionShape { guided: false, ..tiny }, Merge::Tome, &[1, 0]).unwrap();
        assert_eq!(guided.block(0).merge_macs - unguided.block(0).merge_macs, 5 * 4);
        assert_eq!(guided.macs() - unguided.macs(), 5 * 4);
    }

    #[test]
    fn without_a_class_token_all_rows_count_and_every_second_token_may_merge() {
        let shape = VisionShape { pooling: Pooling::Attention, embedding: 768, unprojected: true, ..B16 };
        let plan = Plan::new(&shape, Merge::Ward, &[98, 49, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((plan.tokens(), plan.block(1).tokens_out, plan.block(11).queries), (196, 49, 49));
        let (t, d) = (49, 768);
        assert_eq!(plan.block(11).macs, 12 * t * d * d + 2 * t * t * d);
        assert_eq!(plan.head_macs(), (2 * t + 1) * d * d + 2 * t * d + 8 * d * d);
        let refused = |shape: VisionShape, schedule: &[usize]| Plan::new(&shape, Merge::Ward, schedule).unwrap_err();
        assert_eq!(refused(shape, &[99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Error::Schedule { block: 0 });
        let invalid = |key| Error::Metadata { key, problem: crate::Problem::Invalid };
        assert_eq!(refused(VisionShape { frequency_blocks: 2, ..shape }, &[]), invalid("edgelip.pooling"));
        let guided =
            Plan::new(&VisionShape { guided: true, ..shape }, Merge::Ward, &[98, 49, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(guided.unwrap().block(1).merge_macs - plan.block(1).merge_macs, 2 * 98 * 768);
        assert_eq!(refused(VisionShape { embedding: 512, ..shape }, &[]), invalid("edgelip.embedding"));
    }

    #[test]
    fn counts_a_stem() {
        let stem = Stem::new(&[48, 96, 192].map(Convolution::halving)).unwrap();
        let plan = Plan::new(&VisionShape { stem, ..TINY }, Merge::None, &[]).unwrap();
        assert_eq!(plan.embedding_macs(), 32 * 32 * 27 * 48 + 16 * 16 * 9 * 48 * 96 + 8 * 8 * 9 * 96 * 192);
        assert_eq!(plan.tokens(), 65);
    }

    #[test]
    fn refuses_stems_and_stages_that_do_not_fit() {
        let stem = |widths: &[usize]| {
            let layers: std::vec::Vec<_> = widths.iter().copied().map(Convolution::halving).collect();
            Stem::new(&layers).and_then(|stem| VisionShape { stem, ..TINY }.check())
        };
        let invalid = Err(Error::Metadata { key: "edgelip.stem", problem: crate::Problem::Invalid });
        assert_eq!(stem(&[48, 96, 192]), Ok(()));
        assert_eq!(stem(&[48, 96, 191]), invalid);
        assert_eq!(stem(&[96, 192]), invalid);
        assert_eq!(stem(&[0, 96, 192]), invalid);
        assert_eq!(stem(&[48, 5000, 192]), Err(Error::TooLarge));
        assert_eq!(stem(&[1 << 16, 96, 192]), Err(Error::TooLarge));
        assert_eq!(stem(&[1; 6]), Err(Error::TooLarge));
        let windows = |windows: [[usize; 3]; 2]| {
            let layers = [40, 192].map(Convolution::halving);
            let mut layers = layers.into_iter().zip(windows).map(|(layer, [side, stride, border])| Convolution {
                window: Window { side, stride, border },
                ..layer
            });
            let layers = [layers.next().unwrap(), layers.next().unwrap()];
            Stem::new(&layers).and_then(|stem| VisionShape { stem, ..TINY }.check())
        };
        assert_eq!(windows([[4, 4, 1], [2, 2, 0]]), Ok(()));
        assert_eq!(windows([[8, 8, 0], [1, 1, 0]]), Ok(()));
        for wrong in [[[4, 4, 1], [2, 1, 0]], [[4, 4, 4], [2, 2, 0]], [[0, 4, 0], [2, 2, 0]], [[4, 0, 0], [2, 2, 0]]] {
            assert_eq!(windows(wrong), invalid);
        }
        assert_eq!(windows([[2, 4, 0], [32, 2, 8]]), invalid);
        assert_eq!(windows([[9, 8, 4], [1, 1, 0]]), Err(Error::TooLarge));
        assert_eq!(windows([[300, 4, 1], [2, 2, 0]]), Err(Error::TooLarge));
        let check = |shape: VisionShape| shape.check();
        assert_eq!(check(VisionShape { frequency_blocks: 38, ..TINY }), Ok(()));
        assert_eq!(check(VisionShape { frequency_blocks: 39, ..TINY }), Err(Error::TooLarge));
        assert_eq!(check(VisionShape { frequency_blocks: usize::MAX, ..TINY }), Err(Error::TooLarge));
        assert_eq!(check(VisionShape { image: [64, 8 * 65], ..TINY }), Err(Error::TooLarge));
        assert_eq!(check(VisionShape { image: [64, 8 * 65], frequency_blocks: 0, ..TINY }), Ok(()));
    }
}
