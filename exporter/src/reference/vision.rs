//! Pixels to embedding.

use ndarray::{Array2, Array3, ArrayView3, Axis, Slice};

use super::attention::Mask;
use super::block::{Mixing, Mlp, Shape};
use super::layer::{Norm, normalized, read, read1, read2};
use super::merge::{Merging, Rule, Tokens, merge};
use crate::Error;
use crate::source::{Source, VisionConfig};

/// The l2-normalised embeddings `[images, embedding]` of normalised pixels `[3, H, W]`.
///
/// # Errors
/// A tensor that can't be read or has a wrong shape, pixels of another size than the model's, a schedule that does not fit it.
pub fn vision(source: &dyn Source, merging: Option<Merging>, images: &[Array3<f32>]) -> Result<Array2<f32>, Error> {
    let config = source.model().vision()?;
    let shape = Shape {
        width: config.width,
        heads: config.heads,
        mlp: config.mlp,
        activation: config.activation,
        eps: config.norm_eps,
    };
    check_schedule(config, merging)?;

    let mut batch = embed_patches(source, config, merging, images)?;
    let pre_norm = Norm::read(source, "vision.pre_norm", config.width, config.norm_eps)?;
    for tokens in &mut batch {
        tokens.x = pre_norm.apply(&tokens.x);
    }
    for block in 0..config.blocks {
        let name = format!("vision.blocks.{block}");
        let count = merging.map_or(0, |merging| merging.schedule[block]);
        let mixing = Mixing::read(source, &name, shape)?;
        for tokens in &mut batch {
            // The logarithm of a size is 0 before the first merge.
            let mask = Mask { sizes: Some(&tokens.sizes), causal: false };
            let (x, keys) = mixing.apply(&tokens.x, mask);
            tokens.x = x;
            if let Some(Merging { rule, .. }) = merging
                && count > 0
            {
                *tokens = merge(rule, config.heads, count, tokens, &keys);
            }
        }
        drop(mixing);
        let mlp = Mlp::read(source, &name, shape)?;
        for tokens in &mut batch {
            tokens.x = mlp.apply(&tokens.x);
        }
    }

    let embedding = source.model().embedding;
    let post_norm = Norm::read(source, "vision.post_norm", config.width, config.norm_eps)?;
    let projection = read2(source, "vision.projection.weight", [embedding, config.width])?;
    let mut embeddings = Array2::zeros((images.len(), embedding));
    for (tokens, mut out) in batch.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let class = post_norm.apply(&tokens.x.slice_axis(Axis(0), Slice::from(..1)).to_owned());
        out.assign(&normalized(projection.dot(&class.row(0)).view()));
    }
    Ok(embeddings)
}

/// Class token and patches with their positions, before the pre-norm.
fn embed_patches(
    source: &dyn Source,
    config: &VisionConfig,
    merging: Option<Merging>,
    images: &[Array3<f32>],
) -> Result<Vec<Tokens>, Error> {
    let (width, patch) = (config.width, config.patch);
    let weight = read(source, "vision.patch.weight", &[width, 3, patch, patch])?;
    let weight = weight.into_shape_with_order((width, 3 * patch * patch)).expect("the same length");
    let bias = match source.has("vision.patch.bias") {
        true => Some(read1(source, "vision.patch.bias", width)?),
        false => None,
    };
    let class = read1(source, "vision.class", width)?;
    let position = read2(source, "vision.position", [config.tokens(), width])?;
    let snake = merging.is_some_and(|merging| merging.rule == Rule::Ward);

    let [height, image_width] = config.image_size;
    let expected = [3, height, image_width];
    let mut batch = Vec::with_capacity(images.len());
    for pixels in images {
        if pixels.shape() != expected {
            let found = pixels.shape();
            return Err(Error::Reference(format!("pixels are {found:?} where the model takes {expected:?}")));
        }
        let mut patches = patches(pixels.view(), patch).dot(&weight.t());
        if let Some(bias) = &bias {
            patches += bias;
        }
        patches += &position.slice_axis(Axis(0), Slice::from(1..));
        let mut x = Array2::zeros((config.tokens(), width));
        x.row_mut(0).assign(&(&class + &position.row(0)));
        for (place, raster) in visits(config.grid(), snake).into_iter().enumerate() {
            x.row_mut(1 + place).assign(&patches.row(raster));
        }
        let sizes = vec![1.0; x.nrows()];
        batch.push(Tokens { x, sizes });
    }
    Ok(batch)
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

/// Raster indices of the patches in the order they are visited.
fn visits([rows, columns]: [usize; 2], snake: bool) -> Vec<usize> {
    let mut order = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        let patches = row * columns..(row + 1) * columns;
        match snake && row % 2 == 1 {
            true => order.extend(patches.rev()),
            false => order.extend(patches),
        }
    }
    order
}

fn check_schedule(config: &VisionConfig, merging: Option<Merging>) -> Result<(), Error> {
    let Some(Merging { schedule, .. }) = merging else {
        return Ok(());
    };
    let mut tokens = config.tokens();
    if schedule.len() != config.blocks {
        return Err(Error::Reference(format!("a schedule of {} for {} blocks", schedule.len(), config.blocks)));
    }
    for (block, &merged) in schedule.iter().enumerate() {
        let most = if block + 1 < config.blocks { (tokens - 1) / 2 } else { 0 };
        if merged > most {
            return Err(Error::Reference(format!(
                "block {block} can't merge {merged} of {tokens} tokens: at most {most}"
            )));
        }
        tokens -= merged;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_turns_every_other_row() {
        assert_eq!(visits([3, 3], true), [0, 1, 2, 5, 4, 3, 6, 7, 8]);
        assert_eq!(visits([2, 2], false), [0, 1, 2, 3]);
    }

    #[test]
    fn patches_are_cut_in_raster_order() {
        let pixels = Array3::from_shape_fn((3, 4, 6), |(c, y, x)| (100 * c + 10 * y + x) as f32);
        let rows = patches(pixels.view(), 2);
        assert_eq!(rows.dim(), (6, 12));
        assert_eq!(rows.row(1).to_vec(), [2., 3., 12., 13., 102., 103., 112., 113., 202., 203., 212., 213.]);
        assert_eq!(rows[[3, 0]], 20.0);
    }
}
