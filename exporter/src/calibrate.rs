//! Which spread of the merging over the blocks keeps the embeddings of given photos best.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use edgelip::{ImageTower, Mapping, Options, decode};
use edgelip_runtime::plan::Merge;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::Error;
use crate::graph::{self, Guide, Precision, VisionOptions};
use crate::schedule::{self, Schedule, Shape};
use crate::source::Source;

/// Slopes of the curves that are tried; 0 is the geometric one. A study found that trying more gains nothing.
const SLOPES: [f64; 5] = [0.0, 0.75, 1.5, 2.25, 3.0];
/// More photos do not change the ranking.
const MAX_PHOTOS: usize = 100;

/// One row for each photo.
type Embeddings = Vec<Vec<f32>>;

/// What to calibrate, on what.
pub struct Calibration<'a> {
    /// The model.
    pub source: &'a dyn Source,
    /// A folder of JPEG, PNG and WebP photos, at least two.
    pub photos: &'a Path,
    /// How tokens are chosen.
    pub merge: Merge,
    /// What keeps informative tokens from merging.
    pub guide: Guide,
    /// How weights are stored.
    pub precision: Precision,
    /// Share of multiply-adds to save.
    pub compression: f64,
    /// Threads of the runtime.
    pub threads: usize,
    /// Folder for the models that are tried, one at a time.
    pub scratch: &'a Path,
    /// Hears how many of how many runs are done.
    pub progress: &'a dyn Fn(u64, u64),
}

/// A schedule and how well it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The shape's slope.
    pub slope: f64,
    /// Tokens merged in each block.
    pub merged: Vec<usize>,
    /// Share of multiply-adds saved.
    pub saving: f64,
    /// Mean cosine of merged with unmerged embeddings, both less the mean of the unmerged.
    pub cosine: f64,
}

impl Candidate {
    /// The candidate as a schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule { merged: self.merged.clone(), saving: self.saving, shape: Shape::BackLoaded { slope: self.slope } }
    }
}

impl Calibration<'_> {
    /// Tries every curve on every photo; the best comes first.
    ///
    /// # Errors
    /// [`Error::Calibration`] for a folder without usable photos, [`Error::Schedule`] if no curve reaches the rate, and what writing and
    /// running a model can meet.
    pub fn run(&self) -> Result<Vec<Candidate>, Error> {
        let shape = schedule::tower(self.source.model(), self.guide)?;
        let mut candidates = Vec::new();
        let mut refusal = None;
        for slope in SLOPES {
            match schedule::plan(&shape, self.merge, &Shape::BackLoaded { slope }, self.compression) {
                Ok(Schedule { merged, saving, .. }) => {
                    candidates.push(Candidate { slope, merged, saving, cosine: 0.0 })
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        if let (true, Some(refusal)) = (candidates.is_empty(), refusal) {
            return Err(refusal);
        }
        let paths = photos(self.photos)?;
        let total = (paths.len() * (candidates.len() + 1)) as u64;
        let mut done = 0;
        let mut step = || {
            done += 1;
            (self.progress)(done, total);
        };

        let mut pixels = Vec::new();
        let unmerged = self.with_tower(&[], |tower| {
            let embed = |path: &PathBuf| {
                let image = decode::rgb8(path)?;
                tower.load(image.view())?;
                pixels.push(tower.pixels().to_vec());
                let embedding = embedding(tower)?;
                step();
                Ok(embedding)
            };
            paths.iter().map(embed).collect()
        })?;
        for candidate in &mut candidates {
            let merged = self.with_tower(&candidate.merged, |tower| {
                let embed = |pixels: &Vec<u8>| {
                    tower.pixels_mut().copy_from_slice(pixels);
                    let embedding = embedding(tower)?;
                    step();
                    Ok(embedding)
                };
                pixels.iter().map(embed).collect()
            })?;
            candidate.cosine = centred_cosine(&unmerged, &merged);
        }
        candidates.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        Ok(candidates)
    }

    /// Exports the tower with a schedule to a file that lives as long as `run` does.
    fn with_tower(
        &self,
        merged: &[usize],
        run: impl FnOnce(&mut ImageTower<'_>) -> Result<Embeddings, Error>,
    ) -> Result<Embeddings, Error> {
        let merge = if merged.is_empty() { Merge::None } else { self.merge };
        let options = VisionOptions {
            merge,
            schedule: merged.to_vec(),
            compression: self.compression,
            guide: self.guide,
            precision: self.precision,
        };
        let mut file = NamedTempFile::with_prefix_in(".edgelip-", self.scratch).map_err(Error::io(self.scratch))?;
        graph::vision(self.source, &options)?.write(&mut file)?;
        file.flush().map_err(Error::io(file.path()))?;
        let mapping = Mapping::open(file.path())?;
        let options = Options { threads: self.threads, ..Options::default() };
        run(&mut ImageTower::open(&mapping, file.path(), &options)?)
    }
}

fn embedding(tower: &mut ImageTower<'_>) -> Result<Vec<f32>, Error> {
    let output = tower.run()?;
    output.embedding.map(<[f32]>::to_vec).ok_or_else(|| Error::Calibration("the model gives no embedding".into()))
}

/// Photos in order of their names; of a large folder, some evenly spread ones.
fn photos(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if ["jpg", "jpeg", "png", "webp"].contains(&extension.as_str()) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() < 2 {
        let reason = format!(
            "{} has {} photos (.jpg, .png, .webp); some 50 are a good choice, 2 the least",
            folder.display(),
            paths.len()
        );
        return Err(Error::Calibration(reason));
    }
    let count = paths.len().min(MAX_PHOTOS);
    Ok((0..count).map(|index| paths[index * paths.len() / count].clone()).collect())
}

/// Without the mean, which all photos share, a cosine tells photos apart.
fn centred_cosine(unmerged: &[Vec<f32>], merged: &[Vec<f32>]) -> f64 {
    let width = unmerged.first().map_or(0, Vec::len);
    let count = unmerged.len() as f64;
    let mean: Vec<f64> =
        (0..width).map(|column| unmerged.iter().map(|row| f64::from(row[column])).sum::<f64>() / count).collect();
    let cosine = |a: &Vec<f32>, b: &Vec<f32>| {
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for ((a, b), mean) in a.iter().zip(b).zip(&mean) {
            let (a, b) = (f64::from(*a) - mean, f64::from(*b) - mean);
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        ab / (aa * bb).sqrt().max(f64::MIN_POSITIVE)
    };
    unmerged.iter().zip(merged).map(|(a, b)| cosine(a, b)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_part_does_not_count() {
        let rows = vec![vec![10.0, 1.0], vec![10.0, -1.0]];
        assert!((centred_cosine(&rows, &rows) - 1.0).abs() < 1e-9);
        let swapped = vec![rows[1].clone(), rows[0].clone()];
        assert!((centred_cosine(&rows, &swapped) + 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_folder_without_photos_says_so() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(photos(folder.path()).expect_err("empty").to_string().contains("has 0 photos"));
        for index in 0..250 {
            fs::write(folder.path().join(format!("{index:03}.JPG")), b"").expect("written");
        }
        let chosen = photos(folder.path()).expect("photos");
        assert_eq!(chosen.len(), MAX_PHOTOS);
        assert!(chosen.is_sorted());
    }
}
