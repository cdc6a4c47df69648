//! BERT's norms: behind the token embedding and behind each residual sum, with gain and bias, as nothing they could be folded into
//! follows alone.

use edgelip_kernels::{Kernels, Part, RowsMut, padded};

use crate::Error;
use crate::model::{Loader, Precision};
use crate::plan::MAX_BLOCKS;

/// The gain and bias of a LayerNorm, `[padded(width)]` each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm<'a> {
    gain: &'a [f32],
    bias: &'a [f32],
    /// What a layer of integers behind the norm takes its output multiplied with; empty without such a layer.
    smooth: &'a [f32],
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
    pub(crate) fn load(
        loader: &mut Loader<'a>,
        precision: Precision,
        width: usize,
        count: usize,
    ) -> Result<Self, Error> {
        const NONE: Norm<'static> = Norm { gain: &[], bias: &[], smooth: &[] };
        let dims = [padded(width)];
        let mut norm = |block, [gain, bias, smooth]: [&'static str; 3], layer: bool| {
            let norm = Norm::load(loader, block, [gain, bias], width)?;
            let even = layer && precision == Precision::I8;
            Ok::<_, Error>(if even { Norm { smooth: loader.floats(block, smooth, &dims)?, ..norm } } else { norm })
        };
        let embed =
            norm(None, ["text.embed_norm.weight", "text.embed_norm.bias", "text.embed_norm.smooth"], count > 0)?;
        let mut blocks = [[NONE; 2]; MAX_BLOCKS];
        for (index, block) in blocks.iter_mut().enumerate().take(count) {
            let (name, last) = (Some(index as u16), index + 1 == count);
            *block = [
                norm(name, ["norm1.weight", "norm1.bias", "norm1.smooth"], true)?,
                norm(name, ["norm2.weight", "norm2.bias", "norm2.smooth"], !last)?,
            ];
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
        let (gain, bias) = (loader.floats(block, gain, &dims)?, loader.floats(block, bias, &dims)?);
        Ok(Norm { gain, bias, smooth: &[] })
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

    /// Puts into `rows` what a layer behind the norm takes for `count` tokens of `width`; whether that is another thing than the tokens.
    pub(crate) fn smooth(&self, tokens: &[f32], rows: &mut [f32], (count, width): (usize, usize)) -> bool {
        if self.smooth.is_empty() {
            return false;
        }
        let stride = padded(width);
        for (row, token) in rows.pieces_mut(stride).zip(tokens.pieces(stride)).take(count) {
            row.iter_mut().zip(token.iter().zip(self.smooth)).for_each(|(out, (value, factor))| *out = value * factor);
        }
        true
    }
}
