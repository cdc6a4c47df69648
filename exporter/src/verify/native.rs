//! The runtime on the file in place, as a board runs it.

use edgelip_kernels::{Kernels, Pool};
use edgelip_runtime::{Text, Vision, classify};
use ndarray::{Array2, ArrayView1, Axis};

use super::inputs;
use crate::Error;

/// Embeddings `[images, embedding]`.
///
/// # Errors
/// [`Error::Runtime`].
pub fn images(bytes: &[u8], images: &[inputs::Image], pool: &Pool) -> Result<Array2<f32>, Error> {
    let vision = Vision::open(bytes, Kernels::detect())?;
    let mut scratch = vec![0.0; vision.scratch_len(threads(pool))?];
    let mut embeddings = Array2::zeros((images.len(), vision.shape().embedding));
    for (image, mut row) in images.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let out = row.as_slice_mut().expect("rows are contiguous");
        vision.embed(&image.bytes, &mut scratch, pool, out)?;
    }
    Ok(embeddings)
}

/// Embeddings `[texts, embedding]`.
///
/// # Errors
/// [`Error::Runtime`].
pub fn texts(bytes: &[u8], texts: &[inputs::Text], embedding: usize, pool: &Pool) -> Result<Array2<f32>, Error> {
    let text = Text::open(bytes, Kernels::detect())?;
    let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(1);
    let mut scratch = vec![0.0; text.scratch_len(longest, threads(pool))?];
    let mut embeddings = Array2::zeros((texts.len(), embedding));
    for (input, mut row) in texts.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let out = row.as_slice_mut().expect("rows are contiguous");
        text.embed(&input.ids, &mut scratch, pool, out)?;
    }
    Ok(embeddings)
}

/// What the runtime's label bank makes of an embedding; nothing if the file has none.
///
/// # Errors
/// [`Error::Runtime`].
pub fn logits(bytes: &[u8], embedding: ArrayView1<f32>) -> Result<Option<Vec<f32>>, Error> {
    let vision = Vision::open(bytes, Kernels::detect())?;
    let Some(labels) = vision.labels() else {
        return Ok(None);
    };
    let mut logits = vec![0.0; labels.len()];
    let embedding = embedding.to_vec();
    classify::logits(vision.kernels(), &embedding, &labels, vision.logit_scale(), vision.logit_bias(), &mut logits)?;
    Ok(Some(logits))
}

fn threads(pool: &Pool) -> usize {
    edgelip_kernels::Parallel::workers(pool)
}
