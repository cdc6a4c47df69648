//! Metrics of each step as JSON lines.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::tensor_file::replace;

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Counted from 1.
    pub step: u64,
    /// What was minimised.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub gradient: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The compression rate of the step's (last) forward pass.
    pub compression: f64,
    /// Seconds of training so far, over all sessions.
    pub seconds: f64,
    /// The loss's parts and what else the objective shows.
    #[serde(flatten)]
    pub parts: std::collections::BTreeMap<String, f64>,
}

/// A growing file.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file and drops rows after step `done`: those steps will be taken again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path, done: u64) -> Result<Metrics, Error> {
        if path.exists() {
            let text = fs::read_to_string(path).map_err(Error::io(path))?;
            let row = |line: &str| serde_json::from_str::<Row>(line).ok();
            // The lines as they are: numbers that are read and written again may change in their last digit.
            let kept = text.lines().filter(|line| row(line).is_some_and(|row| row.step <= done));
            let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
            replace(path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        Ok(Metrics { path: path.into(), file })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn push(&mut self, row: &Row) -> Result<(), Error> {
        self.file.write_all(line(row).as_bytes()).map_err(Error::io(&self.path))
    }

    /// All whole rows of a file; a last line that a kill cut off is left out.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(path: &Path) -> Result<Vec<Row>, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

fn line(row: &Row) -> String {
    serde_json::to_string(row).map(|line| line + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_after_the_checkpoint_and_half_lines_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let row = |step| Row {
            step,
            loss: 0.5,
            gradient: 1.0,
            // What serde_json reads as its neighbour.
            learning_rate: 0.001_750_000_000_000_000_3,
            compression: 0.0,
            seconds: 2.0,
            parts: [("hits".to_owned(), 0.25)].into(),
        };
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (1..=3).for_each(|step| metrics.push(&row(step)).unwrap());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":4,\"lo").unwrap();
        let mut metrics = Metrics::open(&path, 2).unwrap();
        metrics.push(&row(3)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), [1, 2, 3].map(|step| line(&row(step))).concat());
        assert_eq!(Metrics::read(&path).unwrap().iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
