//! BERT's norms: behind the token embedding and behind each residual sum, with gain and bias, as nothing they could be folded into
//! follows alone.

use edgelip_kernels::{Kernels, RowsMut, padded};

use crate::Error;
use crate::model::Loader;
use crate::plan::MAX_BLOCKS;

/// The gain and bias of a LayerNorm, `[padded(width)]` each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm<'a> {
    gain: &'a [f32],
    bias: &'a [f32],
}

/// The norms of a text tower.
#[derive(Clone, Debug)]
pub(crate) struct PostNorms<'a> {
    /// Behind the token embedding.
    pub embed: Norm<'a>,
    /// Behind attention and behind the MLP of each block.
    pub blocks: [[Norm<'a>; 2]; MAX_BLOCKS],
}

impl<'a> PostNorms<'a> {
    /// Finds the norms of `count` blocks.
    pub(crate) fn load(loader: &mut Loader<'a>, width: usize, count: usize) -> Result<Self, Error> {
        const NONE: Norm<'static> = Norm { gain: &[], bias: &[] };
        let mut norm = |block, gain, bias| Norm::load(loader, block, [gain, bias], width);
        let embed = norm(None, "text.embed_norm.weight", "text.embed_norm.bias")?;
        let mut blocks = [[NONE; 2]; MAX_BLOCKS];
        for (index, block) in blocks.iter_mut().enumerate().take(count) {
            let index = Some(index as u16);
            *block = [norm(index, "norm1.weight", "norm1.bias")?, norm(index, "norm2.weight", "norm2.bias")?];
        }
        Ok(PostNorms { embed, blocks })
    }
}

impl<'a> Norm<'a> {
    /// Finds a norm by the names of its gain and bias.
    pub(crate) fn load(
        loader: &mut Loader<'a>,
        block: Option<u16>,
        [gain, bias]: [&'static str; 2],
        width: usize,
    ) -> Result<Self, Error> {
        let dims = [padded(width)];
        Ok(Norm { gain: loader.floats(block, gain, &dims)?, bias: loader.floats(block, bias, &dims)? })
    }

    /// Norms `count` rows of `width` in place.
    pub(crate) fn apply(
        &self,
        kernels: &Kernels,
        tokens: &mut [f32],
        (count, width): (usize, usize),
        eps: f32,
    ) -> Result<(), Error> {
        let rows = RowsMut::new(tokens, count, padded(width))?;
        Ok(kernels.layer_norm_affine(rows, width, eps, self.gain, self.bias)?)
    }
}
