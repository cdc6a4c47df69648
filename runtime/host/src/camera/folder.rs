use std::fs;
use std::path::{Path, PathBuf};

use super::{Frame, Source, Taken};
use crate::Error;
use crate::decode::{self, Options};

/// Names that photos end in, whatever the case.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// The photos of a folder by name, as if they were frames.
pub struct Folder {
    photos: Vec<PathBuf>,
    next: usize,
    repeat: bool,
    options: Options,
    /// Whether any photo could be read since the first one.
    useful: bool,
}

impl Folder {
    /// The photos that are there now. With `repeat` the first one follows the last one.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be read, [`Error::Malformed`] if it has no photos.
    pub fn open(folder: &Path, repeat: bool, options: Options) -> Result<Self, Error> {
        let mut photos = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
                photos.push(path);
            }
        }
        photos.sort();
        if photos.is_empty() {
            return Err(Error::malformed(folder, format!("has no photos: no files in {}", ENDINGS.join(", "))));
        }
        Ok(Folder { photos, next: 0, repeat, options, useful: false })
    }
}

impl Source for Folder {
    fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error> {
        // Photos none of which can be read are not tried for ever.
        if self.next == self.photos.len() && self.repeat && self.useful {
            (self.next, self.useful) = (0, false);
        }
        let Some(path) = self.photos.get(self.next) else { return Ok(Taken::End) };
        self.next += 1;
        match decode::rgb8_with(path, &self.options) {
            Ok(image) => {
                self.useful = true;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                *frame = Frame { data: image.data, height: image.height, width: image.width, name };
                Ok(Taken::Frame)
            }
            Err(error) => Ok(Taken::Skipped(error)),
        }
    }

    fn is_live(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_come_by_name_and_broken_ones_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let open = |repeat| Folder::open(folder.path(), repeat, Options::default());
        fs::write(at("notes.txt"), "no photo").unwrap();
        assert!(open(false).err().unwrap().to_string().contains("no photos"));
        image::RgbImage::from_pixel(3, 2, image::Rgb([1, 2, 3])).save(at("c.PNG")).unwrap();
        image::RgbImage::new(1, 1).save(at("a.png")).unwrap();
        fs::write(at("b.jpg"), "broken").unwrap();
        for (repeat, wanted) in
            [(false, ["1x1", "skipped", "3x2", "end", "end"]), (true, ["1x1", "skipped", "3x2", "1x1", "skipped"])]
        {
            let (mut source, mut frame) = (open(repeat).unwrap(), Frame::default());
            let found = wanted.map(|_| match source.next(&mut frame).unwrap() {
                Taken::Frame => format!("{}x{}", frame.width, frame.height),
                Taken::Skipped(error) => {
                    assert!(error.to_string().contains("b.jpg"));
                    "skipped".into()
                }
                Taken::End => "end".into(),
            });
            assert_eq!(found, wanted);
        }
        ["a.png", "c.PNG"].into_iter().for_each(|name| fs::remove_file(at(name)).unwrap());
        let mut source = open(true).unwrap();
        assert!(matches!(source.next(&mut Frame::default()), Ok(Taken::Skipped(_))));
        assert!(matches!(source.next(&mut Frame::default()), Ok(Taken::End)));
    }
}
