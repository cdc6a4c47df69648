//! Named tensors in a safetensors file, written so that a kill leaves the old file or the new one, never half of one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};

use crate::error::Error;

/// What a file held; tensors are taken out one by one.
#[derive(Debug)]
pub struct Contents {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Contents {
    /// A tensor by its name.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file has none of that name.
    pub fn take(&mut self, name: &str) -> Result<Tensor, Error> {
        self.tensors.remove(name).ok_or_else(|| Error::malformed(&self.path, format!("no tensor `{name}`")))
    }

    /// The names that are left.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A word of the metadata.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file has none of that name.
    pub fn word(&self, name: &str) -> Result<&str, Error> {
        self.metadata
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| Error::malformed(&self.path, format!("no metadata `{name}`")))
    }
}

/// Reads a whole file onto the CPU.
///
/// # Errors
/// [`Error::Io`], or [`Error::Malformed`] if it is not safetensors or has a type that is not known here.
pub fn read(path: &Path) -> Result<Contents, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let wrong = |error: safetensors::SafeTensorError| Error::malformed(path, error);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
    let mut tensors = HashMap::new();
    for (name, view) in SafeTensors::deserialize(&bytes).map_err(wrong)?.tensors() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            other => return Err(Error::malformed(path, format!("tensor `{name}` is {other:?}"))),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        tensors.insert(name, Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    Ok(Contents { path: path.into(), tensors, metadata: header.metadata().clone().unwrap_or_default() })
}

/// Writes tensors and words of metadata.
///
/// # Errors
/// [`Error::Io`].
pub fn write(path: &Path, tensors: &[(&str, &Tensor)], metadata: &[(&str, String)]) -> Result<(), Error> {
    let mut parts = Vec::new();
    for (name, tensor) in tensors {
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int64 => Dtype::I64,
            other => return Err(Error::malformed(path, format!("tensor `{name}` is {other:?}"))),
        };
        let mut bytes = vec![0u8; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
        parts.push((*name, dtype, shape, bytes));
    }
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in &parts {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| Error::malformed(path, error))?;
        views.push((*name, view));
    }
    let metadata = metadata.iter().map(|(name, word)| ((*name).to_owned(), word.clone())).collect();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| Error::malformed(path, error))?;
    replace(path, &bytes)
}

/// Writes one word into a file's metadata, in place of an older one of that name. All else stays.
///
/// # Errors
/// [`Error::Io`], or [`Error::Malformed`] if it is not safetensors.
pub fn annotate(path: &Path, name: &str, word: &str) -> Result<(), Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let wrong = |error: safetensors::SafeTensorError| Error::malformed(path, error);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
    let mut metadata = header.metadata().clone().unwrap_or_default();
    metadata.insert(name.to_owned(), word.to_owned());
    let tensors = SafeTensors::deserialize(&bytes).map_err(wrong)?;
    replace(path, &safetensors::serialize(tensors.tensors(), Some(metadata)).map_err(wrong)?)
}

/// Replaces a file's content at once: written beside it, flushed to the disk, then renamed.
///
/// # Errors
/// [`Error::Io`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = fs::write(&partial, bytes)
        .and_then(|()| File::open(&partial)?.sync_all())
        .and_then(|()| fs::rename(&partial, path))
        .map_err(Error::io(path));
    if written.is_err() {
        // A full disk is full of this, too.
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/tensors.safetensors");
        let float = Tensor::from_slice(&[0.1f32, -0.0, f32::MIN_POSITIVE, f32::NAN]).view([2, 2]);
        let half = Tensor::from_slice(&[1.5f32, 2.0]).to_kind(Kind::BFloat16);
        write(&path, &[("float", &float), ("half", &half)], &[("step", "7".into())]).unwrap();
        let mut read = read(&path).unwrap();
        assert_eq!(read.word("step").unwrap(), "7");
        let bits = |tensor: Tensor| {
            Vec::<f32>::try_from(tensor.view([-1])).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(read.take("float").unwrap()), bits(float));
        assert_eq!(read.take("half").unwrap().to_kind(Kind::Float).double_value(&[0]), 1.5);
        assert!(read.take("half").unwrap_err().to_string().contains("no tensor `half`"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing partial is left");
    }

    #[test]
    fn a_word_is_replaced_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let tensor = Tensor::from_slice(&[0.1f32, -0.0, f32::MIN_POSITIVE]);
        write(&path, &[("x", &tensor)], &[("step", "7".into())]).unwrap();
        for word in ["1.5", "2.5"] {
            annotate(&path, "scale", word).unwrap();
            let mut read = read(&path).unwrap();
            assert_eq!((read.word("step").unwrap(), read.word("scale").unwrap()), ("7", word));
            assert_eq!(Vec::<f32>::try_from(read.take("x").unwrap()).unwrap(), [0.1, -0.0, f32::MIN_POSITIVE]);
        }
    }

    #[test]
    fn what_cannot_be_replaced_leaves_nothing_partial() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("by a folder")).unwrap();
        assert!(matches!(replace(&path, b"x"), Err(Error::Io { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        write(&path, &[("x", &Tensor::zeros([100], (Kind::Float, Device::Cpu)))], &[]).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        assert!(matches!(super::read(&path), Err(Error::Malformed { .. })));
    }
}
