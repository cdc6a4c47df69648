//! Files of weights: bytes to named tensors.
//!
//! Nothing is mapped and nothing is kept: each tensor is read when it is asked for, so an export never holds more than a few. A file's kind is
//! told by its first bytes, not by its name.

mod allowed;
mod call;
mod element;
mod keys;
mod machine;
mod pickle;
mod region;
mod safetensors;
mod state;
mod torch;
mod view;
mod zip;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use keys::pickled_keys;

use crate::error::Error;
use crate::source::Tensor;

/// The weight files of a folder by the names that libraries give them, the better first.
const OF_TRANSFORMERS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
const OF_OPEN_CLIP: [&str; 2] = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];
/// What else a single file of weights may be called.
const EXTENSIONS: [&str; 5] = ["safetensors", "pt", "pth", "bin", "ckpt"];
/// What training wraps a model in, if all names begin with it.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// A file with tensors in it.
trait Container: Debug + Send + Sync {
    fn path(&self) -> &Path;

    /// The names of all tensors.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    fn shape(&self, name: &str) -> Option<&[usize]>;

    /// Reads a tensor and widens it to f32.
    fn read(&self, name: &str) -> Result<Tensor, Error>;

    /// Whether the file is a TorchScript archive.
    fn is_script(&self) -> bool {
        false
    }
}

/// The files of one model.
type Shards = Vec<Box<dyn Container>>;

/// The weights of a model, in one file or in several.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    folder: PathBuf,
    shards: Shards,
    /// Name to the shard that holds it, and what it is called there.
    tensors: BTreeMap<String, (usize, String)>,
}

/// The part of an index that matters.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a file of weights, or those of a folder, and checks that all tensors lie where they should.
    ///
    /// Files are safetensors, what `torch.save` or TorchScript write, or the index of several. Names lose what training wraps a model in
    /// (`module.`), if all of them begin with it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Malformed`], naming the file.
    pub fn open(path: &Path) -> Result<Checkpoint, Error> {
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        let (folder, file) = if metadata.is_dir() {
            (path.to_path_buf(), weights_of(path)?)
        } else {
            (path.parent().unwrap_or(Path::new("")).to_path_buf(), path.to_path_buf())
        };
        let is_index = file.to_string_lossy().ends_with(".index.json");
        let (shards, places) = if is_index {
            open_index(&folder, file)?
        } else {
            let shard = container(file)?;
            let places = shard.names().map(|name| (name.to_owned(), 0)).collect();
            (vec![shard], places)
        };
        let tensors = places.into_iter().map(|(name, shard)| (name.clone(), (shard, name))).collect();
        let mut checkpoint = Checkpoint { path: path.into(), folder, shards, tensors };
        checkpoint.unwrap();
        Ok(checkpoint)
    }

    /// Takes the tensors of another checkpoint in, `prefix` before their names.
    pub fn join(&mut self, other: Checkpoint, prefix: &str) {
        let first = self.shards.len();
        self.shards.extend(other.shards);
        let theirs = other.tensors.into_iter();
        self.tensors.extend(theirs.map(|(name, (shard, stored))| (format!("{prefix}{name}"), (first + shard, stored))));
    }

    /// Takes what training wraps a model in off all names.
    fn unwrap(&mut self) {
        while let Some(wrapper) = WRAPPERS
            .iter()
            .find(|wrapper| !self.tensors.is_empty() && self.tensors.keys().all(|name| name.starts_with(*wrapper)))
        {
            let tensors = std::mem::take(&mut self.tensors).into_iter();
            self.tensors = tensors.map(|(name, place)| (name[wrapper.len()..].to_owned(), place)).collect();
        }
    }

    /// The folder that the weights lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the weights are those of a TorchScript archive.
    pub fn is_script(&self) -> bool {
        self.shards.iter().any(|shard| shard.is_script())
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
        let (shard, stored) = self.tensors.get(name)?;
        self.shards[*shard].shape(stored)
    }

    /// Reads a tensor and widens it to f32.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::Malformed`] for a type other than f64, f32, f16 and bf16; [`Error::Io`].
    pub fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let (shard, stored) = self.tensors.get(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        self.shards[*shard].read(stored)
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

/// The file of weights, or the index of several, in a folder.
fn weights_of(folder: &Path) -> Result<PathBuf, Error> {
    let is_open_clip = folder.join("open_clip_config.json").exists() && !folder.join("config.json").exists();
    let known = if is_open_clip {
        [&OF_OPEN_CLIP[..], &OF_TRANSFORMERS].concat()
    } else {
        [&OF_TRANSFORMERS[..], &OF_OPEN_CLIP].concat()
    };
    if let Some(name) = known.into_iter().find(|name| folder.join(name).exists()) {
        return Ok(folder.join(name));
    }
    let mut others = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if EXTENSIONS.contains(&extension) {
            others.push(path);
        }
    }
    others.sort();
    match others.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::malformed(
            folder,
            "has no weights: neither model.safetensors nor pytorch_model.bin nor any such file",
        )),
        [first, second, ..] => {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let reason = format!(
                "has several files of weights, {} and {} among them: give one of them instead of the folder",
                name(first),
                name(second)
            );
            Err(Error::malformed(folder, reason))
        }
    }
}

/// The files that an index names, and which of them holds which tensor.
fn open_index(folder: &Path, path: PathBuf) -> Result<(Shards, BTreeMap<String, usize>), Error> {
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let index: Index = serde_json::from_str(&text).map_err(|error| Error::malformed(&path, error))?;
    let mut shards = Shards::new();
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
                shards.push(container(folder.join(&file))?);
                position.insert(file.clone(), shards.len() - 1);
                shards.len() - 1
            }
        };
        if shards[shard].shape(&name).is_none() {
            return Err(Error::malformed(&path, format!("places `{name}` in {file}, which lacks it")));
        }
        tensors.insert(name, shard);
    }
    Ok((shards, tensors))
}

/// Opens a file by what it begins with.
fn container(path: PathBuf) -> Result<Box<dyn Container>, Error> {
    let mut start = Vec::new();
    File::open(&path).and_then(|file| file.take(8).read_to_end(&mut start)).map_err(Error::io(&path))?;
    let is_legacy = start.first_chunk().is_some_and(|word| u64::from_le_bytes(*word) > safetensors::MAX_HEADER)
        && matches!(start.as_slice(), [0x80, 2..=5, ..]);
    match start.as_slice() {
        [b'P', b'K', ..] => Ok(Box::new(torch::Archive::open(path)?)),
        _ if is_legacy => {
            let shown = path.display();
            let reason = format!(
                "a pickle as PyTorch wrote before 1.6: convert it with `python -c \"import torch; torch.save(torch.load('{shown}', \
                 map_location='cpu', weights_only=True), 'new.pt')\"`"
            );
            Err(Error::malformed(&path, reason))
        }
        b"version " => Err(Error::malformed(&path, "a pointer of Git LFS, not the file itself: run `git lfs pull`")),
        [b'{', ..] => Err(Error::malformed(&path, "a configuration, not weights: give its folder")),
        _ => Ok(Box::new(safetensors::Shard::open(path)?)),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod torch_tests;
