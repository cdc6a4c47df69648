//! The frequency stage: patches mixed in the frequency domain, and what they have in common there.

use edgelip_kernels::{Activation, Linear, Parallel, Part, Rows, RowsMut, Step, fourier_twiddles, padded};

use super::{Vision, edge};
use crate::Error;
use crate::model::{Loader, Precision, Readout, linear_name};
use crate::plan::Plan;
use crate::post_norm::Norm;
use crate::transformer::Buffers;

/// What makes the frequency feature: the mean of the normed patches behind the frequency blocks.
#[derive(Clone, Debug)]
pub(super) struct Feature<'a> {
    norm: Norm<'a>,
    /// To the shared space; only with the joint readout.
    projection: Option<Linear<'a>>,
}

impl<'a> Feature<'a> {
    /// The layers, if anything asks for the feature.
    pub(super) fn load(
        loader: &mut Loader<'a>,
        plan: &Plan,
        precision: Precision,
        readout: Readout,
    ) -> Result<Option<Self>, Error> {
        let (shape, joint) = (plan.shape(), readout == Readout::Joint);
        if !cfg!(feature = "mlip") || shape.frequency_blocks == 0 || !(joint || plan.guided()) {
            return Ok(None);
        }
        let norm =
            Norm::load(loader, None, ["vision.frequency.norm.weight", "vision.frequency.norm.bias"], shape.width)?;
        let layer = edge(precision, [shape.width, shape.embedding], false);
        let mut projection = || loader.linear(None, linear_name!("vision.frequency.projection"), layer);
        Ok(Some(Feature { norm, projection: if joint { Some(projection()?) } else { None } }))
    }
}

impl Vision<'_> {
    /// Runs the frequency blocks on the patches, which lie in raster order behind the class token, and writes the frequency feature
    /// `[padded(width)]`, if anything asks for it.
    pub(super) fn filter(
        &self,
        buffers: &mut Buffers<'_>,
        twiddles: &mut [f32],
        feature: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (transformer, shape, tokens) = (&self.transformer, self.plan.shape(), self.plan.tokens());
        if !cfg!(feature = "mlip") || transformer.filters == 0 {
            return Ok(());
        }
        fourier_twiddles(shape.grid(), twiddles)?;
        for index in 0..transformer.filters {
            transformer.filter(index, buffers, (1, shape.grid()), twiddles, parallel)?;
            transformer.mlp(index, buffers, 1..tokens, parallel)?;
            parallel.finished(Step::Block);
        }
        let Some(Feature { norm, .. }) = &self.feature else { return Ok(()) };
        let (kernels, width) = (&transformer.kernels, padded(shape.width));
        let normed = buffers.rows.part_mut(..(tokens - 1) * width);
        normed.copy_from(buffers.tokens.part(width..tokens * width));
        norm.apply(kernels, normed, (tokens - 1, shape.width), transformer.norm_eps)?;
        feature.fill(0.0);
        for row in normed.pieces(width) {
            kernels.scaled_add(feature, 1.0, row);
        }
        feature.iter_mut().for_each(|sum| *sum /= (tokens - 1) as f32);
        parallel.finished(Step::Norm);
        Ok(())
    }

    /// With the joint readout: adds the frequency feature in the shared space, at unit length, to the `embedding` `[E]` of unit length, and
    /// scales the sum to length 1.
    pub(super) fn join_domains(
        &self,
        buffers: &mut Buffers<'_>,
        feature: &[f32],
        embedding: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let projection = self.feature.as_ref().and_then(|feature| feature.projection.as_ref());
        let Some(projection) = projection.filter(|_| cfg!(feature = "mlip")) else { return Ok(()) };
        let kernels = &self.transformer.kernels;
        let (feature, projected) = (
            Rows::new(feature, 1, padded(self.plan.shape().width))?,
            RowsMut::new(buffers.query, 1, projection.outputs)?,
        );
        kernels.linear(feature, projection, Activation::None, false, projected, buffers.kernel, parallel)?;
        let projected = buffers.query.part_mut(..embedding.len());
        kernels.scaled_add(embedding, 1.0 / kernels.norm(projected).max(1e-12), projected);
        projected.copy_from(embedding);
        kernels.normalize(projected, embedding);
        parallel.finished(Step::Project);
        Ok(())
    }
}
