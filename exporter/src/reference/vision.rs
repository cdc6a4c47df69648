//! Pixels to embedding.

use ndarray::{Array1, Array2, Array3, Axis, Slice};

use super::attention::Mask;
use super::block::{Mixing, Mlp, Shape};
use super::embed::embed;
use super::frequency;
use super::guide::{self, energy};
use super::head::read_out;
use super::layer::{Norm, normalized, read2};
use super::merge::{Kind, Merging, Rule, Stretch, Tokens, merge};
use crate::Error;
use crate::source::{Readout, Source, VisionConfig};

/// The l2-normalised embeddings `[images, embedding]` of normalised pixels `[3, H, W]`.
///
/// # Errors
/// A tensor that can't be read or has a wrong shape, pixels of another size than the model's, a schedule that does not fit it.
pub fn vision(source: &dyn Source, merging: Option<Merging>, images: &[Array3<f32>]) -> Result<Array2<f32>, Error> {
    let config = source.model().vision()?;
    check_schedule(config, merging)?;
    let shape = Shape {
        width: config.width,
        heads: config.heads,
        mlp: config.mlp,
        activation: config.activation,
        eps: config.norm_eps,
    };

    // `[tokens, width]`, class token first if there is one, patches in raster order.
    let mut batch = embed(source, config, images)?;
    if config.pre_norm {
        let pre_norm = Norm::read(source, "vision.pre_norm", config.width, config.norm_eps)?;
        for x in &mut batch {
            *x = pre_norm.apply(x);
        }
    }
    let summaries = frequency_stage(source, config, shape, &mut batch)?;

    let order = visits(config.grid(), merging.is_some_and(|merging| merging.rule == Rule::Ward));
    let mut batch: Vec<Tokens> = batch.iter().map(|x| ordered(x, config, &order)).collect();
    for block in 0..config.blocks {
        let name = format!("vision.blocks.{block}");
        let count = merging.map_or(0, |merging| merging.schedule[block]);
        let mixing = Mixing::read(source, &name, shape)?;
        for (image, tokens) in batch.iter_mut().enumerate() {
            // The logarithm of a size is 0 before the first merge.
            let mask = Mask { sizes: Some(&tokens.sizes), causal: false };
            let (x, keys) = mixing.apply(&tokens.x, mask);
            tokens.x = x;
            if let Some(Merging { rule, guide: by, .. }) = merging
                && count > 0
            {
                let whole = match config.class_tokens() {
                    0 => guide::mean(tokens),
                    _ => guide::class(tokens, summaries.get(image)),
                };
                let phi = guide::guide(tokens, &whole, by.semantic);
                let stretch = (by.strength > 0.0).then_some(Stretch { phi: &phi, strength: by.strength });
                let kind = Kind { rule, heads: config.heads, class_tokens: config.class_tokens() };
                *tokens = merge(kind, count, tokens, &keys, stretch);
            }
        }
        drop(mixing);
        let mlp = Mlp::read(source, &name, shape)?;
        for tokens in &mut batch {
            tokens.x = mlp.apply(&tokens.x);
        }
    }

    let spatial = read_out(source, config, shape, &batch)?;
    if config.readout == Readout::Spatial {
        return Ok(spatial);
    }
    let frequency = project(source, "vision.frequency.projection.weight", summaries.into_iter())?;
    let mut joint = spatial + frequency;
    for mut row in joint.axis_iter_mut(Axis(0)) {
        let unit = normalized(row.view());
        row.assign(&unit);
    }
    Ok(joint)
}

/// Takes the patches of all images through the frequency blocks; the class token waits. The frequency feature `[width]` of each image, none
/// without frequency blocks.
fn frequency_stage(
    source: &dyn Source,
    config: &VisionConfig,
    shape: Shape,
    batch: &mut [Array2<f32>],
) -> Result<Vec<Array1<f32>>, Error> {
    if config.frequency_blocks == 0 {
        return Ok(Vec::new());
    }
    for index in 0..config.frequency_blocks {
        let block = frequency::Block::read(source, &format!("vision.frequency.{index}"), config, shape)?;
        for x in batch.iter_mut() {
            let mut patches = x.slice_axis_mut(Axis(0), Slice::from(1..));
            let mixed = block.apply(&patches.to_owned());
            patches.assign(&mixed);
        }
    }
    let norm = Norm::read(source, "vision.frequency.norm", config.width, config.norm_eps)?;
    let mean = |x: &Array2<f32>| {
        let patches = norm.apply(&x.slice_axis(Axis(0), Slice::from(1..)).to_owned());
        patches.sum_axis(Axis(0)) / patches.nrows() as f32
    };
    Ok(batch.iter().map(mean).collect())
}

/// Tokens as the blocks take them: patches as they are visited, with the energy they have on the grid. The class token has none.
fn ordered(x: &Array2<f32>, config: &VisionConfig, order: &[usize]) -> Tokens {
    let first = config.class_tokens();
    let patches = x.slice_axis(Axis(0), Slice::from(first..)).to_owned();
    let energies = energy(&patches, config.grid());
    let rows: Vec<usize> = (0..first).chain(order.iter().map(|raster| first + raster)).collect();
    Tokens {
        x: x.select(Axis(0), &rows),
        sizes: vec![1.0; rows.len()],
        energy: vec![0.0; first].into_iter().chain(order.iter().map(|&raster| energies[raster])).collect(),
    }
}

/// Features `[width]` in the shared space, of unit length: `[images, embedding]`.
fn project(
    source: &dyn Source,
    name: &str,
    features: impl ExactSizeIterator<Item = Array1<f32>>,
) -> Result<Array2<f32>, Error> {
    let (embedding, width) = (source.model().embedding, source.model().vision()?.width);
    let projection = read2(source, name, [embedding, width])?;
    let mut embeddings = Array2::zeros((features.len(), embedding));
    for (feature, mut out) in features.zip(embeddings.axis_iter_mut(Axis(0))) {
        out.assign(&normalized(projection.dot(&feature).view()));
    }
    Ok(embeddings)
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
        let most = if block + 1 < config.blocks { (tokens - config.class_tokens()) / 2 } else { 0 };
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
}
