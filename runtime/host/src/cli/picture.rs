//! Photos as commands read them.

use std::io;
use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use edgelip::Error;
use edgelip::decode::{self, Alpha, Options, RgbImage};

use super::warn;

/// How to read photos.
#[derive(Debug, Clone, Copy, Args)]
pub struct PictureArgs {
    /// Turn photos as their EXIF orientation says; by default pixels are taken as stored, as the models' own preprocessing does
    #[arg(long)]
    pub exif: bool,

    /// What becomes of transparency
    #[arg(long, value_enum, default_value_t, value_name = "GROUND")]
    pub alpha: AlphaName,
}

/// What becomes of transparency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AlphaName {
    /// a white ground, as transformers 5 does
    #[default]
    White,
    /// hidden colours come out, as in the original CLIP
    Drop,
}

impl PictureArgs {
    /// Reads a photo, from standard input if its name is `-`, and warns if it will be seen otherwise than people see it.
    pub fn read(&self, path: &Path) -> Result<RgbImage> {
        let alpha = match self.alpha {
            AlphaName::White => Alpha::White,
            AlphaName::Drop => Alpha::Drop,
        };
        let options = Options { rotate: self.exif, alpha, ..Options::default() };
        let image = match path.as_os_str() == "-" {
            true => decode::read_from(io::stdin().lock(), Path::new("standard input"), &options)?,
            false => decode::rgb8_with(path, &options)?,
        };
        if image.is_turned {
            warn(format!("{}: is stored turned or mirrored; give --exif to set it upright", path.display()));
        }
        Ok(image)
    }
}

/// An error of a photo that was read, with its name.
pub fn failed(path: &Path, error: impl Into<Error>) -> anyhow::Error {
    let error = error.into();
    anyhow::anyhow!("{}: {error}", path.display())
}
