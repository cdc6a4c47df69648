//! A folder with one folder of images for each class; the folder's name is the class's name.

use std::fs;
use std::path::{Path, PathBuf};

use super::Record;
use crate::error::Error;

pub(super) fn read(path: &Path, take: &mut dyn FnMut(Record)) -> Result<usize, Error> {
    let mut skipped = 0;
    for class in sorted(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let id = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = id.replace('_', " ");
        for file in sorted(&class)?.into_iter().filter(|file| is_image(file)) {
            match fs::read(&file) {
                Ok(image) => take(Record { image, captions: vec![name.clone()], class: Some(id.clone()) }),
                Err(_) => skipped += 1,
            }
        }
    }
    Ok(skipped)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp")
}

/// A folder's entries in the order of their names: the file system's own order differs between machines.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    Ok(paths)
}
