//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Error;

/// A file under another name until [`Output::commit`] gives it its own; dropped before that, nothing is left behind.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    /// Where it goes: the same, or what it is a symbolic link to.
    target: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl Output {
    /// Starts a file beside its final place. That of a symbolic link is where it leads to: the link stays.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it exists and is not to be replaced, is no regular file, or is a circle of links; [`Error::Io`] if the
    /// folder can't be written to.
    pub fn create(path: impl AsRef<Path>, replace: bool) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        Self::check(&path, replace)?;
        let target = target(&path)?;
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::metadata(folder).map_err(Error::io(folder))?;
        let file = tempfile::Builder::new().prefix(".edgelip-").tempfile_in(folder).map_err(Error::io(&path))?;
        Ok(Output { path, target, writer: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Whether [`Output::create`] would refuse the path, to know before long work.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn check(path: impl AsRef<Path>, replace: bool) -> Result<(), Error> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Ok(kind) if kind.is_dir() => Err(Error::malformed(path, "is a directory")),
            // Renaming over a device or a pipe would not write to it but take its place.
            Ok(kind) if !kind.is_file() => Err(Error::malformed(path, "is not a regular file")),
            Ok(_) if !replace => Err(Error::malformed(path, "exists already; give --force to replace it")),
            _ => Ok(()),
        }
    }

    /// Moves the finished file to its place, over any older one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn commit(self) -> Result<(), Error> {
        let Output { path, target, writer } = self;
        let file = writer.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        readable(file.as_file()).map_err(Error::io(&path))?;
        file.persist(&target).map_err(|error| Error::io(&path)(error.error))?;
        Ok(())
    }

    /// Where all that was written so far lies until [`Output::commit`], to be checked before it counts.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn draft(&mut self) -> Result<&Path, Error> {
        self.writer.flush().map_err(Error::io(&self.path))?;
        Ok(self.writer.get_ref().path())
    }

    /// The final place, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Most links that are followed, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Where a chain of symbolic links ends, though nothing may be there yet.
fn target(path: &Path) -> Result<PathBuf, Error> {
    let mut target = path.to_path_buf();
    for _ in 0..=MAX_LINKS {
        match fs::read_link(&target) {
            Ok(link) => target = target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(Error::malformed(path, "too many symbolic links"))
}

/// Temporary files are private; a result is for everyone whom the user's mask lets read it.
#[cfg(unix)]
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mask = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or(0o022);
    file.set_permissions(fs::Permissions::from_mode(0o666 & !mask))
}

#[cfg(not(unix))]
fn readable(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        let mut output = Output::create(&path, false).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let mut output = Output::create(&path, false).unwrap();
        output.write_all(b"whole").unwrap();
        assert_eq!(fs::read(output.draft().unwrap()).unwrap(), b"whole");
        output.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");

        assert!(Output::create(&path, false).unwrap_err().to_string().contains("--force"));
        let mut output = Output::create(&path, true).unwrap();
        output.write_all(b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_written_through() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("models")).unwrap();
        symlink("models/v1.onnx", at("latest.onnx")).unwrap();
        symlink(at("latest.onnx"), at("model.onnx")).unwrap();
        for text in ["new", "newer"] {
            let mut output = Output::create(at("model.onnx"), true).unwrap();
            output.write_all(text.as_bytes()).unwrap();
            assert_eq!(output.path(), at("model.onnx"));
            output.commit().unwrap();
            assert_eq!(fs::read(at("models/v1.onnx")).unwrap(), text.as_bytes());
            assert!(at("latest.onnx").is_symlink() && at("model.onnx").is_symlink());
        }
        assert!(Output::create(at("model.onnx"), false).unwrap_err().to_string().contains("--force"));
        symlink("circle", at("circle")).unwrap();
        assert!(Output::create(at("circle"), true).unwrap_err().to_string().contains("too many symbolic links"));
    }

    #[test]
    #[cfg(unix)]
    fn a_device_is_never_replaced() {
        for replace in [false, true] {
            assert!(Output::check("/dev/null", replace).unwrap_err().to_string().contains("not a regular file"));
            assert!(Output::create("/dev/null", replace).is_err());
        }
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(Output::create("/no/such/folder/out.npy", false).is_err());
    }
}
