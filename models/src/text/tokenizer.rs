//! From a text to token ids.

use std::path::Path;

use tch::{Device, Tensor};

use crate::error::Error;

/// A tokenizer read from `tokenizer.json`.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    most: usize,
}

impl Tokenizer {
    /// Reads the file; texts will be cut to `most` tokens, the closing token among them.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a tokenizer.
    pub fn read(path: &Path, most: usize) -> Result<Self, Error> {
        let mut inner = tokenizers::Tokenizer::from_file(path).map_err(|error| Error::malformed(path, error))?;
        inner.with_padding(None);
        let truncation = tokenizers::TruncationParams { max_length: most, ..Default::default() };
        inner.with_truncation(Some(truncation)).map_err(|error| Error::malformed(path, error))?;
        Ok(Tokenizer { inner, most })
    }

    /// Token ids of a text, with the opening and closing token; never none.
    pub fn ids(&self, text: &str) -> Vec<i64> {
        match self.inner.encode(text, true) {
            Ok(encoding) if !encoding.is_empty() => encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
            _ => vec![0],
        }
    }

    /// Tokens that a text is cut to.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many ids there are.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// Ids padded with zeros to the longest text, and the mask that tells them apart, both `[B, M]`.
pub fn pad(ids: &[&[i64]], device: Device) -> (Tensor, Tensor) {
    let longest = ids.iter().map(|ids| ids.len()).max().unwrap_or(0);
    let (mut padded, mut mask) = (Vec::new(), Vec::new());
    for ids in ids {
        padded.extend(ids.iter().copied().chain(std::iter::repeat_n(0, longest - ids.len())));
        mask.extend((0..longest).map(|m| i64::from(m < ids.len())));
    }
    let matrix = |values: &[i64]| Tensor::from_slice(values).view([ids.len() as i64, longest as i64]).to_device(device);
    (matrix(&padded), matrix(&mask))
}
