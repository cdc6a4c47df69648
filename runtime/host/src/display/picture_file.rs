use std::path::{Path, PathBuf};

use super::{Canvas, Display, check};
use crate::Error;
use crate::output::Output;

/// A PNG file that always holds the latest picture, whole.
#[derive(Debug)]
pub struct PictureFile {
    path: PathBuf,
    size: [u32; 2],
}

impl PictureFile {
    /// Pictures of this size. The file appears with the first one.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file exists and is not to be replaced.
    pub fn new(path: &Path, size: [u32; 2], replace: bool) -> Result<Self, Error> {
        Output::check(path, replace)?;
        Ok(PictureFile { path: path.to_path_buf(), size })
    }
}

impl Display for PictureFile {
    fn size(&self) -> [u32; 2] {
        self.size
    }

    fn lasts(&self) -> bool {
        true
    }

    fn show(&mut self, canvas: &Canvas) -> Result<(), Error> {
        check(self, canvas)?;
        let [width, height] = self.size;
        let mut output = Output::create(&self.path, true)?;
        let mut encoder = png::Encoder::new(&mut output, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(canvas.data())?;
            writer.finish()
        });
        written.map_err(|error| Error::malformed(&self.path, error))?;
        output.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_latest_picture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("screen.png");
        let mut file = PictureFile::new(&path, [5, 4], false).unwrap();
        file.show(&Canvas::new([5, 4])).unwrap();
        file.show(&Canvas::new([5, 4])).unwrap();
        assert_eq!(crate::decode::rgb8(&path).unwrap().data, [0; 60]);
        assert!(file.show(&Canvas::new([4, 5])).is_err());
        assert!(PictureFile::new(&path, [5, 4], false).is_err() && PictureFile::new(&path, [5, 4], true).is_ok());
    }
}
