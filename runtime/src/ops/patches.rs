//! Cuts an image into patches.

use edgelip_kernels::{Part, padded};

use crate::plan::VisionShape;

/// Writes the patches of `pixels` `[H, W, 3]` as rows of `u8 / 256`, values ordered (row, column, channel), into
/// `out` `[patches, padded(3·P·P)]`. `order` gives the raster index of the patch in each row.
pub(crate) fn patches(pixels: &[u8], shape: &VisionShape, order: impl Iterator<Item = usize>, out: &mut [f32]) {
    let columns = shape.grid()[1].max(1);
    let (side, line) = (3 * shape.patch, 3 * shape.image[1]);
    for (index, row) in order.zip(out.pieces_mut(padded(shape.patch_values()))) {
        let (top, left) = (index / columns * shape.patch, index % columns * side);
        for (y, values) in row.part_mut(..shape.patch_values()).pieces_mut(side).enumerate() {
            let start = (top + y) * line + left;
            for (value, &byte) in values.iter_mut().zip(pixels.part(start..start + side)) {
                *value = f32::from(byte) * (1.0 / 256.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_values_by_row_column_channel() {
        let shape = VisionShape {
            image: [4, 6],
            patch: 2,
            width: 16,
            heads: 1,
            blocks: 1,
            mlp: 16,
            embedding: 16,
            ..VisionShape::default()
        };
        let pixels: [u8; 72] = core::array::from_fn(|i| i as u8);
        let mut out = [0.0; 16 * 2];
        patches(&pixels, &shape, [4, 0].into_iter(), &mut out);
        let bytes = |start: usize| out[start..start + 6].iter().map(|v| v * 256.0).sum::<f32>();
        assert_eq!(out[0] * 256.0, (2 * 18 + 6) as f32);
        assert_eq!(bytes(6), (54..60).map(|i| (i + 6) as f32).sum::<f32>());
        assert_eq!(out[16..22].map_to_bytes(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(out[22..28].map_to_bytes(), [18, 19, 20, 21, 22, 23]);
    }

    trait MapToBytes {
        fn map_to_bytes(&self) -> [u8; 6];
    }

    impl MapToBytes for [f32] {
        fn map_to_bytes(&self) -> [u8; 6] {
            core::array::from_fn(|i| (self[i] * 256.0) as u8)
        }
    }
}
