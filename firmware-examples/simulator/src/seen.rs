//! What a model makes of a photo.

use std::path::Path;

use anyhow::{Context, Result};
use edgelip::Mapping;
use edgelip::decode::RgbImage;
use edgelip_drawing::{Cost, Label, Photo, Regions, Report};
use edgelip_runtime::{Kernels, Score, Single, Vision, classify};

/// How many labels are worth showing.
const LABELS: usize = 6;

/// A photo with its labels, as a model sees it.
pub struct Seen {
    model: String,
    compression: f32,
    macs: u64,
    /// `[height, width, 3]`, what the model was given.
    pixels: Vec<u8>,
    size: [usize; 2],
    /// The token of each patch, `[rows, columns]`.
    tokens: Vec<u16>,
    grid: [usize; 2],
    labels: Vec<(String, f32)>,
}

impl Seen {
    /// Runs a model on a photo, with the plain kernels: they give the same bits on every machine.
    pub fn new(path: &Path, photo: &RgbImage) -> Result<Self> {
        let file = Mapping::open(path)?;
        let vision = Vision::open(&file, Kernels::generic()).with_context(|| path.display().to_string())?;
        let labels = vision.labels().with_context(|| format!("{}: the model has no labels", path.display()))?;
        let (shape, preprocess) = (*vision.shape(), vision.preprocess());
        let ([height, width], grid) = (shape.image, shape.grid());

        let resize = preprocess.scratch_len(photo.height, photo.width)?;
        let mut scratch = vec![0.0; vision.scratch_len(1)?.max(resize)];
        let (mut pixels, mut embedding) = (vec![0; height * width * 3], vec![0.0; shape.embedding]);
        let (mut tokens, mut scores) = (vec![0; grid[0] * grid[1]], vec![0.0; labels.len()]);
        preprocess.apply(vision.kernels(), photo.view(), &mut scratch, &mut pixels)?;
        vision.embed_traced(&pixels, &mut scratch, &Single, &mut embedding, &mut tokens)?;
        let (scale, bias) = (vision.logit_scale(), vision.logit_bias());
        classify::logits(vision.kernels(), &embedding, &labels, scale, bias, &mut scores)?;
        match vision.score() {
            Score::Softmax => classify::softmax(&mut scores),
            Score::Sigmoid => classify::sigmoid(&mut scores),
        }
        let mut top = [0; LABELS];
        let found = classify::top_k(&scores, &mut top);
        let named = |&index: &usize| (labels.name(index).unwrap_or_default().to_string(), scores[index]);
        Ok(Seen {
            model: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            compression: vision.plan().saving() as f32,
            macs: vision.plan().macs(),
            labels: top[..found].iter().map(named).collect(),
            size: [height, width],
            pixels,
            tokens,
            grid,
        })
    }

    /// The best labels.
    pub fn labels(&self) -> Vec<Label<'_>> {
        self.labels.iter().map(|(name, score)| Label { name, score: *score }).collect()
    }

    /// The work: unlike the time it is the same each time.
    pub fn cost(&self) -> Cost<'static> {
        Cost::Count(self.macs, "mul-adds")
    }

    /// All of it, to be drawn.
    pub fn report<'a>(&'a self, labels: &'a [Label<'a>], costs: &'a [Cost<'a>]) -> Report<'a> {
        Report {
            model: &self.model,
            compression: self.compression,
            costs,
            photo: Photo::new(&self.pixels, self.size[0], self.size[1]),
            merged: Regions::new(&self.tokens, self.grid[0], self.grid[1]),
            labels,
        }
    }
}
