//! Ways to run a model file: in place by edgelip's own runtime, or its graph by tract or onnxruntime.

#[cfg(any(feature = "ort", feature = "tract"))]
pub mod graph;
pub mod native;
#[cfg(feature = "ort")]
pub mod ort;
mod provider;
#[cfg(feature = "tract")]
pub mod tract;

use crate::Error;

pub use provider::Provider;

/// What runs a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// The runtime, executing the file in place.
    #[default]
    Native,
    /// tract, running the file's graph; only in builds with the feature `tract`.
    Tract,
    /// onnxruntime, running the file's graph; only in builds with the feature `ort`.
    Ort(Provider),
}

/// What an image tower gave, borrowed from its engine until the next run.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// The image's embedding `[E]`, l2-normalised.
    pub embedding: Option<&'a [f32]>,
    /// The graph's own logits `[L]`, if it has any and runs as a graph.
    pub logits: Option<&'a [f32]>,
}

/// A loaded image tower.
pub trait ImageEngine: Send {
    /// Runs the tower on pixels `[H, W, 3]` after resize and crop.
    ///
    /// # Errors
    /// [`Error::Runtime`], [`Error::Tract`] or [`Error::Ort`].
    fn run(&mut self, pixels: &[u8]) -> Result<Output<'_>, Error>;

    /// Bytes of work space, if the engine knows.
    fn scratch_bytes(&self) -> Option<usize>;

    /// Lets later runs remember which patches end in which token; engines that can't tell do nothing.
    fn trace(&mut self) {}

    /// For each patch the token that it ended in; `None` if nothing was traced.
    fn tokens(&self) -> Option<&[u16]> {
        None
    }
}

/// A loaded text tower.
pub trait TextEngine: Send {
    /// The embedding `[E]` of token ids, start and end token included, l2-normalised.
    ///
    /// # Errors
    /// [`Error::Runtime`], [`Error::Tract`] or [`Error::Ort`].
    fn run(&mut self, ids: &[u32]) -> Result<&[f32], Error>;

    /// Bytes of work space, if the engine knows.
    fn scratch_bytes(&self) -> Option<usize>;
}

/// Refuses a result that damaged weights, which have no other way to show, made infinite or no number.
pub(crate) fn check_finite(values: &[f32]) -> Result<(), Error> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(Error::Unusable("the model's result is not finite: its weights are damaged".into())),
    }
}

/// `len` zeros, or an error where they do not fit into memory.
pub(crate) fn buffer(len: usize) -> Result<Vec<f32>, Error> {
    let mut buffer = Vec::new();
    grow(&mut buffer, len)?;
    Ok(buffer)
}

/// Makes a buffer at least `len` long.
pub(crate) fn grow(buffer: &mut Vec<f32>, len: usize) -> Result<(), Error> {
    if buffer.len() < len {
        let bytes = len.saturating_mul(size_of::<f32>());
        buffer.try_reserve_exact(len - buffer.len()).map_err(|_| Error::Memory { bytes })?;
        buffer.resize(len, 0.0);
    }
    Ok(())
}
