//! A folder of weights: bytes to named tensors.
//!
//! Nothing is mapped and nothing is kept: each tensor is read when it is asked for, so an export never holds more than a few.

mod safetensors;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::safetensors::tensor::TensorInfo;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::source::Tensor;
use safetensors::Shard;

/// The one weight file of a small checkpoint.
const SINGLE: &str = "model.safetensors";
/// What names the weight files of a large one.
const INDEX: &str = "model.safetensors.index.json";

/// The weights of a Hugging Face folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    shards: Vec<Shard>,
    /// Name to the shard that holds it.
    tensors: BTreeMap<String, usize>,
}

/// The part of an index that matters.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Reads and checks the headers of the weight files in a folder.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Malformed`], naming the file.
    pub fn open(folder: &Path) -> Result<Checkpoint, Error> {
        let metadata = fs::metadata(folder).map_err(Error::io(folder))?;
        if !metadata.is_dir() {
            return Err(Error::malformed(
                folder,
                "not a folder: give the checkpoint's folder, the one with config.json",
            ));
        }
        if folder.join(SINGLE).exists() {
            let shard = Shard::open(folder.join(SINGLE))?;
            let tensors = shard.names().map(|name| (name.to_owned(), 0)).collect();
            return Ok(Checkpoint { folder: folder.into(), shards: vec![shard], tensors });
        }
        if folder.join(INDEX).exists() {
            return Checkpoint::open_index(folder);
        }
        let other = [
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "open_clip_model.safetensors",
            "open_clip_pytorch_model.bin",
        ];
        let reason = match other.iter().find(|name| folder.join(name).exists()) {
            Some(found) => format!(
                "has {found}, but only {SINGLE} (or {INDEX} with its shards) is read: save the model again with transformers' save_pretrained"
            ),
            None => format!("has neither {SINGLE} nor {INDEX}"),
        };
        Err(Error::malformed(folder, reason))
    }

    fn open_index(folder: &Path) -> Result<Checkpoint, Error> {
        let path = folder.join(INDEX);
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let index: Index = serde_json::from_str(&text).map_err(|error| Error::malformed(&path, error))?;
        let mut shards: Vec<Shard> = Vec::new();
        let mut position = BTreeMap::new();
        let mut tensors = BTreeMap::new();
        for (name, file) in index.weight_map {
            let shard = match position.get(&file) {
                Some(&shard) => shard,
                None => {
                    if Path::new(&file).file_name().is_none_or(|plain| plain != file.as_str()) {
                        return Err(Error::malformed(
                            &path,
                            format!("`{file}` is not the name of a file in the same folder"),
                        ));
                    }
                    shards.push(Shard::open(folder.join(&file))?);
                    position.insert(file.clone(), shards.len() - 1);
                    shards.len() - 1
                }
            };
            if shards[shard].info(&name).is_none() {
                return Err(Error::malformed(&path, format!("places `{name}` in {file}, which lacks it")));
            }
            tensors.insert(name, shard);
        }
        shards.shrink_to_fit();
        Ok(Checkpoint { folder: folder.into(), shards, tensors })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The weight files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.shards.iter().map(|shard| shard.path())
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let shard = *self.tensors.get(name)?;
        self.shards[shard].info(name).map(|info: &TensorInfo| info.shape.as_slice())
    }

    /// Reads a tensor and widens it to f32.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::Malformed`] for a type other than f32, f16 and bf16; [`Error::Io`].
    pub fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let shard = *self.tensors.get(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        self.shards[shard].read(name)
    }

    /// SHA-256 of the weight files one after the other, in order of their names, in hexadecimal.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sha256(&self) -> Result<String, Error> {
        let mut paths: Vec<&Path> = self.files().collect();
        paths.sort();
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        for path in paths {
            let mut file = File::open(path).map_err(Error::io(path))?;
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => hash.update(&buffer[..read]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Error::io(path)(error)),
                }
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Bytes of the weight files.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn byte_len(&self) -> Result<u64, Error> {
        self.files().map(|path| Ok(fs::metadata(path).map_err(Error::io(path))?.len())).sum()
    }
}

#[cfg(test)]
mod tests;
