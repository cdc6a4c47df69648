//! The runtime on the file in place, as a board runs it.

use edgelip::Mapping;
use edgelip_kernels::{Kernels, Parallel, Pool};
use edgelip_runtime::{Text, Vision, classify};
use ndarray::{Array2, ArrayView1, Axis};

use super::inputs;
use crate::Error;

/// Threads that let go of the file's pages after each operator: an export must not need the memory of what it writes.
struct Frugal<'a> {
    pool: Pool,
    file: &'a Mapping,
}

impl Parallel for Frugal<'_> {
    fn workers(&self) -> usize {
        self.pool.workers()
    }

    fn broadcast(&self, body: &(dyn Fn() + Sync)) {
        self.pool.broadcast(body);
        self.file.release();
    }
}

/// Embeddings `[images, embedding]`.
///
/// # Errors
/// [`Error::Runtime`].
pub fn images(file: &Mapping, images: &[inputs::Image], threads: usize) -> Result<Array2<f32>, Error> {
    let vision = Vision::open(file, Kernels::detect())?;
    let parallel = Frugal { pool: Pool::new(threads), file };
    let mut scratch = vec![0.0; vision.scratch_len(parallel.workers())?];
    let mut embeddings = Array2::zeros((images.len(), vision.shape().embedding));
    for (image, mut row) in images.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let out = row.as_slice_mut().expect("rows are contiguous");
        vision.embed(&image.bytes, &mut scratch, &parallel, out)?;
    }
    Ok(embeddings)
}

/// Embeddings `[texts, embedding]`.
///
/// # Errors
/// [`Error::Runtime`].
pub fn texts(file: &Mapping, texts: &[inputs::Text], embedding: usize, threads: usize) -> Result<Array2<f32>, Error> {
    let text = Text::open(file, Kernels::detect())?;
    let parallel = Frugal { pool: Pool::new(threads), file };
    let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(1);
    let mut scratch = vec![0.0; text.scratch_len(longest, parallel.workers())?];
    let mut embeddings = Array2::zeros((texts.len(), embedding));
    for (input, mut row) in texts.iter().zip(embeddings.axis_iter_mut(Axis(0))) {
        let out = row.as_slice_mut().expect("rows are contiguous");
        text.embed(&input.ids, &mut scratch, &parallel, out)?;
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
