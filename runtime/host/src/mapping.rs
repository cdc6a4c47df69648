//! A model file mapped into memory: its pages are loaded when they are first read, and shared with other processes.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::Error;

/// A read-only mapping of a whole file. Starts at a page boundary, as the runtime's alignment asks for.
#[derive(Debug)]
pub struct Mapping(Mmap);

impl Mapping {
    /// Maps a regular file.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be opened, [`Error::Malformed`] if it is a directory, a device or empty.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        // Opening a named pipe would wait for a writer: look before.
        let kind = fs::metadata(path).map_err(Error::io(path))?;
        if kind.is_dir() {
            return Err(Error::malformed(path, "is a directory, not a model file"));
        }
        if !kind.is_file() {
            return Err(Error::malformed(path, "is not a regular file"));
        }
        if kind.len() == 0 {
            return Err(Error::malformed(path, "the file is empty"));
        }
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the mapping is private and read-only, and nothing in this project writes to a model file in place:
        // new versions are renamed over old ones, which leaves this mapping's pages as they are. Another process that
        // truncates the file while it is in use ends this one with SIGBUS, as with any mapped file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Mapping(map))
    }

    /// Asks the system to read the whole file ahead. Its pages are not in this process's memory until they are used.
    pub fn prefetch(&self) {
        #[cfg(unix)]
        // Advice that is not taken costs time, not correctness.
        let _ = self.0.advise(memmap2::Advice::WillNeed);
    }

    /// Takes the pages read so far out of this process's memory; they come back from the file, or the system's cache of it, when they are used.
    pub fn release(&self) {
        // SAFETY: the mapping is read-only, so there is nothing in its pages that the file does not hold: what is read again is the same.
        #[cfg(unix)]
        #[allow(unsafe_code)]
        let _ = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.onnx");
        fs::write(&empty, []).unwrap();
        for (path, reason) in [
            (folder.path().join("none.onnx"), "No such file"),
            (folder.path().to_path_buf(), "is a directory"),
            (empty, "is empty"),
            ("/dev/null".into(), "not a regular file"),
        ] {
            let message = Mapping::open(&path).unwrap_err().to_string();
            assert!(message.contains(reason) && message.starts_with(path.to_str().unwrap()), "{message}");
        }
    }

    #[test]
    fn a_replaced_file_leaves_the_mapping_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&old, b"old").unwrap();
        fs::write(&new, b"newer").unwrap();
        let mapping = Mapping::open(&old).unwrap();
        fs::rename(&new, &old).unwrap();
        assert_eq!(&*mapping, b"old");
        mapping.release();
        assert_eq!(&*mapping, b"old");
        assert_eq!(&*Mapping::open(&old).unwrap(), b"newer");
    }
}
