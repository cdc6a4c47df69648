//! Accuracy on photos that lie in a folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use edgelip::{Classifier, LabelSource, Mapping, Options};

use super::super::picture::{self, PictureArgs};
use super::super::progress::Progress;

/// Photos and their classes.
pub struct Labelled {
    /// Path and class of each photo.
    photos: Vec<(PathBuf, String)>,
}

impl Labelled {
    /// Finds the photos in the folders in `folder`: JPEG, PNG and WebP files.
    pub fn find(folder: &Path) -> Result<Self> {
        let entries = |path: &Path| -> Result<Vec<PathBuf>> {
            let read = fs::read_dir(path).with_context(|| path.display().to_string())?;
            let mut paths = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
            paths.sort();
            Ok(paths)
        };
        let mut photos = Vec::new();
        for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let found = entries(&class)?.into_iter().filter(|path| is_photo(path));
            photos.extend(found.map(|path| (path, name.clone())));
        }
        if photos.is_empty() {
            bail!("{}: has no folders with JPEG, PNG or WebP files", folder.display());
        }
        Ok(Labelled { photos })
    }

    /// Share of the photos whose best label is the name of their folder; case and `_`, `-`, space do not matter.
    pub fn accuracy(&self, path: &Path, mapping: &Mapping, options: &Options, picture: PictureArgs) -> Result<f64> {
        let mut classifier = Classifier::open(mapping, path, options, LabelSource::Model)?;
        if let Some(labels) = classifier.tower().vision().and_then(|vision| vision.labels()) {
            let names: Vec<String> = labels.names().map(plain).collect();
            if let Some((_, class)) = self.photos.iter().find(|(_, class)| !names.contains(&plain(class))) {
                bail!("the model has no label `{class}`, which a folder is named after");
            }
        }
        let progress = Progress::new("photos", self.photos.len());
        let mut right = 0;
        for (done, (photo, class)) in self.photos.iter().enumerate() {
            let image = picture.read(photo)?;
            let scores = classifier.classify(image.view()).map_err(|error| picture::failed(photo, error))?;
            right += usize::from(scores.top(1).first().is_some_and(|best| plain(&best.label) == plain(class)));
            progress.at(done + 1);
        }
        Ok(right as f64 / self.photos.len() as f64)
    }
}

fn is_photo(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    path.is_file() && extension.is_some_and(|it| ["jpg", "jpeg", "png", "webp"].contains(&it.as_str()))
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', '-'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Labelled::find(folder.path()).is_err());
        for (class, file) in [("red_apple", "b.JPG"), ("red_apple", "a.png"), ("cat", "c.webp"), ("cat", "notes.txt")] {
            fs::create_dir_all(folder.path().join(class)).unwrap();
            fs::write(folder.path().join(class).join(file), "").unwrap();
        }
        let labelled = Labelled::find(folder.path()).unwrap();
        let classes: Vec<_> = labelled.photos.iter().map(|photo| photo.1.as_str()).collect();
        assert_eq!(classes, ["cat", "red_apple", "red_apple"]);
        assert_eq!(plain("Red-Apple"), plain("red_apple"));
        assert!(Labelled::find(&folder.path().join("none")).is_err());
    }
}
