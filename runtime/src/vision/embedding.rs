//! Pixels to tokens.

use edgelip_kernels::{Activation, Linear, Panels, Parallel, Part, Rows, RowsMut, padded};

use super::{Order, Vision, edge};
use crate::Error;
use crate::model::{LinearName, LinearShape, Loader, Precision, linear_name};
use crate::ops::convolution::{self, Map, Output};
use crate::ops::patches;
use crate::plan::{MAX_STEM, VisionShape};
use crate::post_norm::Norm;
use crate::transformer::Buffers;

const EMPTY: Linear<'static> = Linear { panels: Panels::F32(&[]), bias: &[], inputs: 0, outputs: 0 };

const STEM: [&LinearName; MAX_STEM] = [
    linear_name!("vision.stem.0"),
    linear_name!("vision.stem.1"),
    linear_name!("vision.stem.2"),
    linear_name!("vision.stem.3"),
    linear_name!("vision.stem.4"),
];

/// The layers in front of the blocks.
#[derive(Clone, Debug)]
pub(super) struct Embedding<'a> {
    /// The convolutions of the stem; without one the first is the patches' linear layer.
    layers: [Linear<'a>; MAX_STEM],
    /// The colour outside of the image, as the stem sees it.
    border: [f32; 3],
    /// `[patches, padded(width)]`, in the order that patches are embedded in.
    position: &'a [f32],
    /// `[padded(width)]`, with its position and behind the norm; empty without a class token.
    class: &'a [f32],
    norm: Option<Norm<'a>>,
}

impl<'a> Embedding<'a> {
    pub(super) fn load(
        loader: &mut Loader<'a>,
        shape: &VisionShape,
        precision: Precision,
        pre_norm: bool,
    ) -> Result<Self, Error> {
        let (patches, width) = (shape.patches(), padded(shape.width));
        let (mut layers, mut border) = ([EMPTY; MAX_STEM], [0.0; 3]);
        if shape.stem.is_empty() {
            let layer = edge(precision, [shape.patch_values(), shape.width], false);
            layers[0] = loader.linear(None, linear_name!("vision.patch"), layer)?;
        } else {
            for (index, ((convolution, name), layer)) in
                layers.iter_mut().zip(STEM).zip(shape.stem_layers()).enumerate()
            {
                // Pixels are not quantised a second time.
                let sizes = edge(precision, [layer.values(), layer.outputs], true);
                let sizes = if index == 0 { sizes } else { LinearShape { precision, ..sizes } };
                *convolution = loader.linear(None, name, sizes)?;
            }
            border.copy_from(loader.floats(None, "vision.pixel.offset", &[1, 3, 1, 1])?);
        }
        let class = if shape.class_tokens() > 0 { loader.floats(None, "vision.class", &[1, width])? } else { &[] };
        let mut norm = || Norm::load(loader, None, ["vision.pre_norm.weight", "vision.pre_norm.bias"], shape.width);
        let norm = if pre_norm { Some(norm()?) } else { None };
        Ok(Embedding {
            layers,
            border,
            position: loader.floats(None, "vision.position", &[patches, width])?,
            class,
            norm,
        })
    }
}

impl Vision<'_> {
    /// The class token, if there is one, which needs no computing, and the patches behind it.
    pub(super) fn embed_patches(
        &self,
        pixels: &[u8],
        buffers: &mut Buffers<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (shape, kernels, embedding) = (self.plan.shape(), &self.transformer.kernels, &self.embedding);
        let (count, width) = (shape.patches(), padded(shape.width));
        let order = if self.arranges_late() { Order::RASTER } else { self.order };
        let (class, tokens) = buffers.tokens.cut_mut(embedding.class.len());
        class.copy_from(embedding.class);
        tokens.part_mut(..embedding.position.len()).copy_from(embedding.position);
        if shape.stem.is_empty() {
            patches::patches(pixels, shape, (0..count).map(|i| order.patch(i)), buffers.wide);
            let values = Rows::new(buffers.wide, count, padded(shape.patch_values()))?;
            let rows = RowsMut::new(tokens, count, width)?;
            kernels.linear(values, &embedding.layers[0], Activation::None, true, rows, buffers.kernel, parallel)?;
        } else {
            self.convolve(pixels, order, buffers, parallel)?;
        }
        let Some(norm) = &embedding.norm else { return Ok(()) };
        norm.apply(
            kernels,
            buffers.tokens.part_mut(embedding.class.len()..),
            (count, shape.width),
            self.transformer.norm_eps,
        )
    }

    /// The stem: maps go to and fro between `wide` and `rows`, the last one is added to the patches' tokens.
    fn convolve(
        &self,
        pixels: &[u8],
        order: Order<'_>,
        buffers: &mut Buffers<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (shape, kernels, Embedding { layers, border, class, .. }) =
            (self.plan.shape(), &self.transformer.kernels, &self.embedding);
        let pixels = Map::Pixels { bytes: pixels, border: *border };
        let tokens = buffers.tokens.part_mut(class.len()..);
        for (index, (layer, weights)) in shape.stem_layers().zip(layers).enumerate() {
            let (from, to) = match index % 2 {
                0 => (&*buffers.rows, &mut *buffers.wide),
                _ => (&*buffers.wide, &mut *buffers.rows),
            };
            let map = if index == 0 { &pixels } else { &Map::Features(from) };
            let last = index + 1 == shape.stem.len();
            let output = if last {
                Output { activation: Activation::None, accumulate: true, order: &|i| order.patch(i) }
            } else {
                Output { activation: Activation::Gelu, accumulate: false, order: &|i| i }
            };
            let out = if last { &mut *tokens } else { to };
            convolution::convolve(kernels, map, &layer, weights, output, out, buffers.kernel, parallel)?;
        }
        Ok(())
    }
}
