//! How much memory a tower works in.

use edgelip_kernels::{attention_scratch, fourier_twiddles_len, global_filter_scratch, linear_scratch, padded};

use super::Plan;
use crate::Error;
use crate::ops::{convolution, merge};

/// Lengths of the encoder's buffers in `f32`s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers {
    /// One row of width for each token.
    pub tokens: usize,
    /// As many rows for what is computed from them; or every other map of the stem.
    pub rows: usize,
    /// Queries, keys and values; or the MLP's hidden layer; or the patches; or the stem's other maps.
    pub wide: usize,
    /// One row: the class token's query, and its embedding.
    pub query: usize,
    /// A number for each token.
    pub sizes: usize,
    /// A number for each token, if merging is guided.
    pub guide: usize,
    /// One row: the frequency feature, if there is one.
    pub feature: usize,
    /// The Fourier transform's constants.
    pub twiddles: usize,
    /// Scratch of the operators.
    pub kernel: usize,
}

impl Plan {
    /// Length of the scratch slice in `f32`s when `workers` threads are lent.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it exceeds the address space.
    pub fn scratch_len(&self, workers: usize) -> Result<usize, Error> {
        let Buffers { tokens, rows, wide, query, sizes, guide, feature, twiddles, kernel } = self.buffers(workers);
        crate::scratch::total(&[tokens, rows, wide, query, sizes, sizes, guide, guide, feature, twiddles, kernel])
    }

    pub(crate) fn buffers(&self, workers: usize) -> Buffers {
        let shape = &self.shape;
        let (tokens, width, mlp) = (self.tokens(), padded(shape.width), padded(shape.mlp));
        let values = if shape.stem.is_empty() { shape.patch_values() } else { 0 };
        let widest = values.max(shape.width).max(shape.mlp);
        let merge = if self.merges() { merge::scratch_len(shape, tokens) } else { 0 };
        let frequency = shape.frequency_blocks > 0;
        let (grid, [even, odd]) = (shape.grid(), self.maps());
        let convolutions = shape.stem_layers().map(|layer| convolution::scratch_len(&layer, workers)).max();
        Buffers {
            tokens: tokens * width,
            rows: odd.max(tokens * width),
            wide: even.max(shape.patches() * padded(values)).max(tokens * (3 * width).max(mlp)),
            query: width.max(padded(shape.embedding)),
            sizes: padded(tokens),
            guide: if self.guided() { padded(tokens) } else { 0 },
            feature: if frequency { width } else { 0 },
            twiddles: if frequency { fourier_twiddles_len(grid) } else { 0 },
            kernel: linear_scratch(tokens, widest)
                .max(attention_scratch(tokens, tokens, shape.head_dim(), workers))
                .max(merge)
                .max(convolutions.unwrap_or(0))
                .max(if frequency { global_filter_scratch(grid, workers) } else { 0 }),
        }
    }

    /// Lengths of the stem's largest maps: those that its layers 0, 2, … write and those that its layers 1, 3, … write, without the last layer.
    fn maps(&self) -> [usize; 2] {
        let mut lengths = [0; 2];
        let inner = self.shape.stem.len().saturating_sub(1);
        for (index, layer) in self.shape.stem_layers().enumerate().take(inner) {
            let [even, odd] = &mut lengths;
            let length = if index % 2 == 0 { even } else { odd };
            *length = layer.positions().saturating_mul(padded(layer.outputs)).max(*length);
        }
        lengths
    }
}
