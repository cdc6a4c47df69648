//! All images of a run, decoded once and kept in memory.

use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::{Photo, Record, record};
use crate::error::Error;

/// Rows decoded together.
const CHUNK: usize = 2_000;

/// One image with what is said of it.
#[derive(Debug, Clone)]
pub struct Item {
    /// The decoded image.
    pub photo: Photo,
    /// Sentences, or a class's names.
    pub captions: Vec<String>,
    /// The class's id.
    pub class: Option<String>,
}

/// Rows that could not be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Rows the file's reader gave up on.
    pub rows: usize,
    /// Images that are damaged or of an unknown format.
    pub images: usize,
    /// Rows of which nothing is said.
    pub captions: usize,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skipped { rows, images, captions } = self;
        write!(f, "skipped {rows} unreadable rows, {images} damaged images, {captions} rows without captions")
    }
}

/// Decoded images.
#[derive(Debug, Default)]
pub struct Dataset {
    /// The images in the order of their files.
    pub items: Vec<Item>,
    /// What was left out.
    pub skipped: Skipped,
}

impl Dataset {
    /// Reads and decodes one file or folder.
    ///
    /// # Errors
    /// As [`super::read`]; single rows that are damaged are counted, not fatal.
    pub fn read(path: &Path) -> Result<Dataset, Error> {
        let mut dataset = Dataset::default();
        let mut waiting = Vec::with_capacity(CHUNK);
        let skipped = record::read(path, &mut |record| {
            waiting.push(record);
            if waiting.len() == CHUNK {
                dataset.decode(std::mem::take(&mut waiting));
            }
        })?;
        dataset.decode(waiting);
        dataset.skipped.rows = skipped;
        Ok(dataset)
    }

    /// Appends another data set.
    pub fn extend(&mut self, other: Dataset) {
        self.items.extend(other.items);
        self.skipped.rows += other.skipped.rows;
        self.skipped.images += other.skipped.images;
        self.skipped.captions += other.skipped.captions;
    }

    fn decode(&mut self, records: Vec<Record>) {
        let decoded: Vec<_> = records.into_par_iter().map(|record| (Photo::decode(&record.image), record)).collect();
        for (photo, Record { mut captions, class, .. }) in decoded {
            captions.retain(|caption| !caption.trim().is_empty());
            match photo {
                None => self.skipped.images += 1,
                Some(_) if captions.is_empty() => self.skipped.captions += 1,
                Some(photo) => self.items.push(Item { photo, captions, class }),
            }
        }
    }
}
