//! Pixels to the first tokens.

use ndarray::{Array1, Array2, Array3, ArrayView3, Axis, Slice};

use super::layer::{read, read1, read2};
use super::stem::Layer;
use crate::Error;
use crate::source::{Source, VisionConfig};

/// Class token, if there is one, and patches in raster order with their positions, before the pre-norm: `[tokens, width]` for each image.
pub fn embed(source: &dyn Source, config: &VisionConfig, images: &[Array3<f32>]) -> Result<Vec<Array2<f32>>, Error> {
    let [height, width] = config.image_size;
    let expected = [3, height, width];
    if let Some(pixels) = images.iter().find(|pixels| pixels.shape() != expected) {
        let found = pixels.shape();
        return Err(Error::Reference(format!("pixels are {found:?} where the model takes {expected:?}")));
    }
    let class = match config.class_tokens() {
        0 => None,
        _ => Some(read1(source, "vision.class", config.width)?),
    };
    let position = read2(source, "vision.position", [config.tokens(), config.width])?;
    let embedding = Embedding::read(source, config)?;
    let tokens = images.iter().map(|pixels| {
        let mut x = position.clone();
        if let Some(class) = &class {
            let mut row = x.row_mut(0);
            row += class;
        }
        let mut patches = x.slice_axis_mut(Axis(0), Slice::from(config.class_tokens()..));
        patches += &embedding.apply(pixels);
        x
    });
    Ok(tokens.collect())
}

/// What makes the patches.
enum Embedding {
    /// A linear layer `[width, 3 · patch²]` and its bias `[width]`.
    Linear { patch: usize, weight: Array2<f32>, bias: Array1<f32> },
    /// A convolutional stem.
    Stem(Vec<Layer>),
}

impl Embedding {
    fn read(source: &dyn Source, config: &VisionConfig) -> Result<Self, Error> {
        if !config.stem.is_empty() {
            return Ok(Embedding::Stem(Layer::read_all(source, &config.stem)?));
        }
        let (width, patch) = (config.width, config.patch);
        let weight = read(source, "vision.patch.weight", &[width, 3, patch, patch])?;
        let weight = weight.into_shape_with_order((width, 3 * patch * patch)).expect("the same length");
        let bias = match source.has("vision.patch.bias") {
            true => read1(source, "vision.patch.bias", width)?,
            false => Array1::zeros(width),
        };
        Ok(Embedding::Linear { patch, weight, bias })
    }

    /// The patches in raster order, `[patches, width]`.
    fn apply(&self, pixels: &Array3<f32>) -> Array2<f32> {
        match self {
            Embedding::Linear { patch, weight, bias } => patches(pixels.view(), *patch).dot(&weight.t()) + bias,
            Embedding::Stem(layers) => {
                let map = layers.iter().fold(pixels.clone(), |x, layer| layer.apply(&x));
                let (width, rows, columns) = map.dim();
                map.into_shape_with_order((width, rows * columns)).expect("the same length").reversed_axes()
            }
        }
    }
}

/// The patches in raster order as rows of (channel, row, column), the order of a convolution's weights.
fn patches(pixels: ArrayView3<f32>, patch: usize) -> Array2<f32> {
    let (_, height, width) = pixels.dim();
    let mut rows = Array2::zeros(((height / patch) * (width / patch), 3 * patch * patch));
    for (chunk, mut row) in pixels.exact_chunks((3, patch, patch)).into_iter().zip(rows.axis_iter_mut(Axis(0))) {
        for (&value, out) in chunk.iter().zip(row.iter_mut()) {
            *out = value;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_cut_in_raster_order() {
        let pixels = Array3::from_shape_fn((3, 4, 6), |(c, y, x)| (100 * c + 10 * y + x) as f32);
        let rows = patches(pixels.view(), 2);
        assert_eq!(rows.dim(), (6, 12));
        assert_eq!(rows.row(1).to_vec(), [2., 3., 12., 13., 102., 103., 112., 113., 202., 203., 212., 213.]);
        assert_eq!(rows[[3, 0]], 20.0);
    }
}
