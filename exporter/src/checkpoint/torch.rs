//! What `torch.save` and TorchScript's `save` write: a zip archive of a pickle that describes tensors, and of the bytes they are made of.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::pickle::Pickle;
use super::view::TensorView;
use super::zip::Directory;
use super::{Container, region, state};
use crate::error::Error;
use crate::source::Tensor;

/// The entry that describes the tensors.
const DESCRIPTION: &str = "data.pkl";
/// The largest such entry; that of a model with a thousand tensors and its optimizer's state has one megabyte.
const MAX_DESCRIPTION: u64 = 16 << 20;

/// An open archive, all of whose tensors lie in it.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: Mutex<File>,
    tensors: BTreeMap<String, TensorView>,
    /// Where storages start in the file, by key.
    starts: HashMap<String, u64>,
    is_script: bool,
}

impl Archive {
    /// Reads and checks the description.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is damaged, hostile, big-endian or no PyTorch archive; [`Error::Io`].
    pub(super) fn open(path: PathBuf) -> Result<Archive, Error> {
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let bad = |reason: String| Error::malformed(&path, reason);
        let directory = Directory::read(&path, &mut file)?;
        let prefix = prefix(&directory).map_err(bad)?;
        let is_script = directory.names().any(|name| {
            name.strip_prefix(&prefix).is_some_and(|name| name == "constants.pkl" || name.starts_with("code/"))
        });
        let order = directory.bytes(&path, &mut file, &format!("{prefix}byteorder"), 16)?;
        if let Some(order) = order.filter(|order| order != b"little") {
            let order = String::from_utf8_lossy(&order).into_owned();
            return Err(bad(format!("its byte order is `{order}`; save it again on a little-endian machine")));
        }
        let name = format!("{prefix}{DESCRIPTION}");
        let Some(description) = directory.bytes(&path, &mut file, &name, MAX_DESCRIPTION)? else {
            return Err(bad(format!("lacks {name}")));
        };
        let of_description = |reason: String| bad(format!("{name}: {reason}"));
        let pickle = Pickle::read(description).map_err(of_description)?;
        let tensors = state::tensors(&pickle).map_err(of_description)?;
        let mut starts = HashMap::new();
        for (tensor, view) in &tensors {
            if let Some(start) = starts.get(&view.key) {
                check_size(view, *start).map_err(|reason| bad(format!("tensor `{tensor}` {reason}")))?;
                continue;
            }
            let entry = format!("{prefix}data/{}", view.key);
            let Some(place) = directory.place(&path, &mut file, &entry)? else {
                return Err(bad(format!("lacks {entry}, the bytes of `{tensor}`")));
            };
            let place = (place.start, place.end - place.start);
            check_size(view, place).map_err(|reason| bad(format!("tensor `{tensor}` {reason}")))?;
            starts.insert(view.key.clone(), place);
        }
        let starts = starts.into_iter().map(|(key, (start, _))| (key, start)).collect();
        Ok(Archive { file: Mutex::new(file), tensors, starts, is_script, path })
    }
}

/// Whether the entry of a storage, by start and length, is as long as the storage says.
fn check_size(view: &TensorView, (_, length): (u64, u64)) -> Result<(), String> {
    let wanted = (view.stored as u64).checked_mul(view.element.size() as u64);
    if wanted.is_some_and(|wanted| wanted <= length) {
        return Ok(());
    }
    Err(format!("lies in a storage of {} elements, for which the file has {length} bytes", view.stored))
}

/// The folder of the archive that everything is in.
fn prefix(directory: &Directory) -> Result<String, String> {
    let mut found = directory
        .names()
        .filter_map(|name| name.strip_suffix(DESCRIPTION))
        .filter(|before| before.is_empty() || before.ends_with('/') && before.matches('/').count() == 1);
    match (found.next(), found.next()) {
        (Some(prefix), None) => Ok(prefix.to_owned()),
        (None, _) if directory.names().any(|name| name.ends_with("model.json")) => {
            Err("a TorchScript archive of PyTorch before 1.4: load it with torch.jit.load and save it again".into())
        }
        (None, _) => Err(format!("a zip archive without {DESCRIPTION}: torch.save did not write it")),
        (Some(_), Some(_)) => Err(format!("a zip archive with more than one {DESCRIPTION}")),
    }
}

impl Container for Archive {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.tensors.keys().map(String::as_str))
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|view| view.shape.as_slice())
    }

    fn read(&self, name: &str) -> Result<Tensor, Error> {
        let missing = || Error::MissingTensor(name.into());
        let view = self.tensors.get(name).ok_or_else(missing)?;
        let start = self.starts.get(&view.key).ok_or_else(missing)?;
        let bad = |reason| Error::malformed(&self.path, format!("tensor `{name}` {reason}"));
        view.element.widen().map_err(bad)?;
        let start = start + (view.offset * view.element.size()) as u64;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let span = region::read(&mut file, start, view.span(), view.element).map_err(Error::io(&self.path))?;
        Ok(Tensor { shape: view.shape.clone(), data: view.gather(span) })
    }

    fn is_script(&self) -> bool {
        self.is_script
    }
}
