//! One safetensors file: a header of names, types, shapes and offsets, then the bytes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::element::Element;
use super::{Container, region};
use crate::error::Error;
use crate::source::Tensor;

/// Largest header the format allows.
pub(super) const MAX_HEADER: u64 = 100_000_000;

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

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }
}

impl Container for Shard {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.names.iter().map(String::as_str))
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.info(name).map(|info| info.shape.as_slice())
    }

    fn read(&self, name: &str) -> Result<Tensor, Error> {
        let info = self.info(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        let element = element(info.dtype);
        let bad = |reason| Error::malformed(&self.path, format!("tensor `{name}` {reason}"));
        element.widen().map_err(bad)?;
        let (start, end) = info.data_offsets;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let data = region::read(&mut file, self.data + start as u64, (end - start) / element.size(), element)
            .map_err(Error::io(&self.path))?;
        Ok(Tensor { shape: info.shape.clone(), data })
    }
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::Other("I64", 8),
        Dtype::I32 => Element::Other("I32", 4),
        Dtype::U8 => Element::Other("U8", 1),
        Dtype::BOOL => Element::Other("BOOL", 1),
        _ => Element::Other("another", 1),
    }
}
