//! The order in which patches meet when they merge.

use crate::model::Loader;
use crate::onnx::DataType;
use crate::plan::{Merge, Plan};
use crate::{Error, Problem};

/// Raster index of the patch at each position, as little-endian i64; empty if ascending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a>(&'a [u8]);

impl<'a> Order<'a> {
    /// Raster order.
    pub(super) const RASTER: Order<'static> = Order(&[]);

    /// The order in the file: as many indices of patches as there are patches.
    pub(super) fn load(loader: &mut Loader<'a>, plan: &Plan) -> Result<Self, Error> {
        let (name, patches) = ("vision.order", plan.shape().patches());
        let bytes = match loader.bytes(None, name, DataType::I64, &[patches]) {
            // Ward's positions follow a snake through the grid: without the order the patches would silently be mixed up.
            Err(Error::Tensor { problem: Problem::Missing, .. })
                if plan.merge() != Merge::Ward || plan.shape().grid()[1] == 1 =>
            {
                return Ok(Self::RASTER);
            }
            bytes => bytes?,
        };
        let in_range =
            |index: &[u8]| index.try_into().is_ok_and(|index| (0..patches as i64).contains(&i64::from_le_bytes(index)));
        if bytes.chunks_exact(8).all(in_range) {
            Ok(Order(bytes))
        } else {
            Err(Error::Tensor { name, block: None, problem: Problem::Invalid })
        }
    }

    /// Whether it is the patches' own order.
    pub(super) fn is_raster(&self) -> bool {
        self.0.is_empty()
    }

    /// The patch at `position`.
    pub(super) fn patch(&self, position: usize) -> usize {
        match self.0.get(8 * position..8 * position + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]) as usize,
            _ => position,
        }
    }
}
