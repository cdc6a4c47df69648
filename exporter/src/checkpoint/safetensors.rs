//! One safetensors file: a header of names, types, shapes and offsets, then the bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::Error;
use crate::source::Tensor;

/// Largest header the format allows.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes converted at a time; a multiple of every element's size.
const CHUNK: usize = 1 << 18;

/// Appends the elements that some bytes hold.
type Widen = fn(&[u8], &mut Vec<f32>);

/// An open file whose header was found to fit its length.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    file: Mutex<File>,
    metadata: Metadata,
    names: Vec<String>,
    /// Where tensors start.
    data: u64,
}

impl Shard {
    pub(super) fn open(path: PathBuf) -> Result<Shard, Error> {
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let length = file.metadata().map_err(Error::io(&path))?.len();
        let mut prefix = [0; 8];
        if length < 8 {
            return Err(Error::malformed(&path, format!("{length} bytes are too few for a safetensors file")));
        }
        file.read_exact(&mut prefix).map_err(Error::io(&path))?;
        let header_len = u64::from_le_bytes(prefix);
        if header_len > MAX_HEADER || header_len > length - 8 {
            let reason =
                format!("not a safetensors file, or truncated: a header of {header_len} bytes in a file of {length}");
            return Err(Error::malformed(&path, reason));
        }
        let mut header = vec![0; header_len as usize];
        file.read_exact(&mut header).map_err(Error::io(&path))?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| Error::malformed(&path, format!("safetensors header: {error}")))?;
        let data = 8 + header_len;
        let expected = data.saturating_add(metadata.data_len() as u64);
        if expected != length {
            let reason = format!("truncated or damaged: the header promises {expected} bytes, the file has {length}");
            return Err(Error::malformed(&path, reason));
        }
        let names = metadata.offset_keys();
        Ok(Shard { path, file: Mutex::new(file), metadata, names, data })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Tensor, Error> {
        let info = self.info(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        let (size, widen): (usize, Widen) = match info.dtype {
            Dtype::F32 => (4, |bytes, out| out.extend(words(bytes).map(f32::from_le_bytes))),
            Dtype::F16 => (2, |bytes, out| out.extend(words(bytes).map(|word| f16::from_le_bytes(word).to_f32()))),
            Dtype::BF16 => (2, |bytes, out| out.extend(words(bytes).map(|word| bf16::from_le_bytes(word).to_f32()))),
            other => {
                let reason = format!("tensor `{name}` is of type {other:?}; F32, F16 and BF16 are read");
                return Err(Error::malformed(&self.path, reason));
            }
        };
        let (start, end) = info.data_offsets;
        let mut data = Vec::with_capacity((end - start) / size);
        let mut buffer = vec![0; CHUNK.min(end - start)];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.data + start as u64)).map_err(Error::io(&self.path))?;
        let mut left = end - start;
        while left > 0 {
            let chunk = &mut buffer[..CHUNK.min(left)];
            file.read_exact(chunk).map_err(Error::io(&self.path))?;
            widen(chunk, &mut data);
            left -= chunk.len();
        }
        Ok(Tensor { shape: info.shape.clone(), data })
    }
}

/// The bytes in groups of `N`.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
