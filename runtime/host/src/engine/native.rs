//! The runtime's towers with the buffers and threads they work with.

use edgelip_kernels::{Kernels, Pool};
use edgelip_runtime::{Parallel, Text, Vision};

use super::{ImageEngine, Output, TextEngine, buffer, check_finite, grow};
use crate::Error;

/// An image tower that is executed in place.
pub struct NativeImage<'a> {
    vision: Vision<'a>,
    pool: Pool,
    scratch: Vec<f32>,
    embedding: Vec<f32>,
    /// For each patch the token that it ended in, if that is asked for.
    tokens: Option<Vec<u16>>,
}

impl<'a> NativeImage<'a> {
    /// Lends `threads` and all the memory that [`ImageEngine::run`] will need.
    ///
    /// # Errors
    /// [`Error::Runtime`], or [`Error::Memory`].
    pub fn new(vision: Vision<'a>, threads: usize) -> Result<Self, Error> {
        let pool = Pool::new(threads);
        let scratch = buffer(vision.scratch_len(pool.workers())?)?;
        let embedding = buffer(vision.shape().embedding)?;
        Ok(NativeImage { vision, pool, scratch, embedding, tokens: None })
    }
}

impl ImageEngine for NativeImage<'_> {
    fn run(&mut self, pixels: &[u8]) -> Result<Output<'_>, Error> {
        let NativeImage { vision, pool, scratch, embedding, tokens } = self;
        match tokens {
            Some(tokens) => vision.embed_traced(pixels, scratch, pool, embedding, tokens)?,
            None => vision.embed(pixels, scratch, pool, embedding)?,
        }
        check_finite(embedding)?;
        Ok(Output { embedding: Some(embedding), logits: None })
    }

    fn trace(&mut self) {
        self.tokens = Some(vec![0; self.vision.shape().grid().iter().product()]);
    }

    fn tokens(&self) -> Option<&[u16]> {
        self.tokens.as_deref()
    }

    fn scratch_bytes(&self) -> Option<usize> {
        Some(size_of_val(self.scratch.as_slice()))
    }
}

/// A text tower that is executed in place.
pub struct NativeText<'a> {
    text: Text<'a>,
    pool: Pool,
    scratch: Vec<f32>,
    embedding: Vec<f32>,
}

impl<'a> NativeText<'a> {
    /// Lends `threads`; work space grows with the longest text.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn new(text: Text<'a>, threads: usize) -> Result<Self, Error> {
        let embedding = buffer(text.embedding())?;
        Ok(NativeText { text, pool: Pool::new(threads), scratch: Vec::new(), embedding })
    }
}

impl TextEngine for NativeText<'_> {
    fn run(&mut self, ids: &[u32]) -> Result<&[f32], Error> {
        grow(&mut self.scratch, self.text.scratch_len(ids.len(), self.pool.workers())?)?;
        self.text.embed(ids, &mut self.scratch, &self.pool, &mut self.embedding)?;
        check_finite(&self.embedding)?;
        Ok(&self.embedding)
    }

    fn scratch_bytes(&self) -> Option<usize> {
        Some(size_of_val(self.scratch.as_slice()))
    }
}

/// The best kernels of this CPU.
pub fn kernels() -> Kernels {
    Kernels::detect()
}
