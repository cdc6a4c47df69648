//! One row of a data set as its file holds it, and which reader a path needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{folder, parquet, shards};
use crate::error::Error;

/// An encoded image and what is said of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The image file's bytes.
    pub image: Vec<u8>,
    /// Sentences; or, with a class, its names, the most common first.
    pub captions: Vec<String>,
    /// What tells the class from others, a WordNet id for example.
    pub class: Option<String>,
}

/// A data set on the command line: a path, and how often each of its images is drawn in an epoch (`path@2.5`).
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// A Parquet file, a tar shard, or a folder of class folders.
    pub path: PathBuf,
    /// Draws of each image in an epoch.
    pub weight: f64,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, weight) = match text.rsplit_once('@') {
            Some((path, weight)) => match weight.parse::<f64>() {
                Ok(weight) if weight > 0.0 && weight.is_finite() => (path, weight),
                _ => return Err(format!("`{weight}` after @ is not a positive number of draws")),
            },
            None => (text, 1.0),
        };
        Ok(Source { path: path.into(), weight })
    }
}

/// Gives each readable row of a file to `take`; the number of those that are not.
///
/// # Errors
/// [`Error::Io`] or [`Error::Malformed`] if the file as a whole can't be read.
pub fn read(path: &Path, take: &mut dyn FnMut(Record)) -> Result<usize, Error> {
    let kind = fs::metadata(path).map_err(Error::io(path))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        _ if kind.is_dir() => folder::read(path, take),
        Some("parquet") => parquet::read(path, take),
        Some("tar") => shards::read(path, take),
        _ => Err(Error::malformed(path, "neither a folder, nor .parquet, nor .tar")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_have_a_weight() {
        assert_eq!("a.parquet".parse(), Ok(Source { path: "a.parquet".into(), weight: 1.0 }));
        assert_eq!("b/c.tar@2.5".parse(), Ok(Source { path: "b/c.tar".into(), weight: 2.5 }));
        assert!("a@0".parse::<Source>().is_err() && "a@x".parse::<Source>().is_err());
    }
}
