//! What BERT's tokens are multiplied with before a layer of integers takes them.
//!
//! A few channels of BERT's residual stream are far larger than the others, and rows quantised with one scale each lose what is small.
//! So channels are evened out before the layer and the inverse moves into its weight, as in SmoothQuant (Xiao et al., arXiv 2211.10438);
//! the residual branch keeps the tokens as they are. Random texts show the same large channels as real ones, so no data is needed.

use std::cell::OnceCell;

use edgelip_kernels::padded;

use crate::error::Error;
use crate::reference;
use crate::source::Source;
use crate::verify;

use super::fold::Folded;

/// The share of a channel's range that is evened out; 0.75 was the best of 0.25, 0.5, 0.6, 0.75 and 0.9 on all-MiniLM-L6-v2.
const SHARE: f32 = 0.75;

/// Random texts that the ranges are taken from, of all lengths.
const TEXTS: usize = 8;
const SEED: u64 = 2;

/// The factors behind each norm of a tower, found when they are first asked for.
pub(super) struct Smoothing<'a> {
    source: &'a dyn Source,
    factors: OnceCell<Vec<Vec<f32>>>,
}

impl<'a> Smoothing<'a> {
    /// Nothing is computed yet.
    pub fn new(source: &'a dyn Source) -> Self {
        Smoothing { source, factors: OnceCell::new() }
    }

    /// The factors `[padded(width)]` behind a norm; norms are counted from the embedding's, two in each block.
    ///
    /// # Errors
    /// Those of [`reference::norm_ranges`].
    pub fn factors(&self, norm: usize) -> Result<Vec<f32>, Error> {
        let width = self.source.model().text()?.width;
        let mut factors = self.all()?[norm].clone();
        factors.resize(padded(width), 0.0);
        Ok(factors)
    }

    /// Divides the weight of a layer that takes the tokens behind a norm.
    ///
    /// # Errors
    /// Those of [`Smoothing::factors`].
    pub fn fold(&self, norm: usize, mut layer: Folded) -> Result<Folded, Error> {
        let factors = &self.all()?[norm];
        for row in layer.weight.chunks_exact_mut(factors.len()) {
            row.iter_mut().zip(factors).for_each(|(weight, factor)| *weight /= factor);
        }
        Ok(layer)
    }

    fn all(&self) -> Result<&[Vec<f32>], Error> {
        if self.factors.get().is_none() {
            let texts = verify::inputs::texts(self.source.model().text()?, TEXTS, SEED);
            let ids: Vec<Vec<u32>> = texts.into_iter().map(|text| text.ids).collect();
            let ranges = reference::norm_ranges(self.source, &ids)?;
            let factor = |range: f32| range.max(1e-5).powf(-SHARE);
            let factors = ranges.into_iter().map(|ranges| ranges.into_iter().map(factor).collect()).collect();
            // Nobody else sets it meanwhile.
            let _ = self.factors.set(factors);
        }
        self.factors.get().map(Vec::as_slice).ok_or_else(|| Error::Graph("no factors".into()))
    }
}
