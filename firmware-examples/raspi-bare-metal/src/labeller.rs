//! One photo through one model: resize, embed, score, and what that cost.

use core::ops::Range;

use edgelip_drawing::{self as drawing, Label, Regions};
use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Error, Kernels, Labels, Parallel, Score, Vision, classify};

use crate::arena::{Arena, View};
use crate::counters::{Cost, Counters};
use crate::failure::Failure;
use crate::linked::{Model, Photo};

/// How many labels are kept.
pub const TOP: usize = 5;

/// A model that has been checked and opened.
pub struct Labeller {
    /// Its name.
    pub name: &'static str,
    /// Its tower.
    pub vision: Vision<'static>,
    labels: Labels<'static>,
}

/// What a model made of a photo.
#[derive(Clone, Copy)]
pub struct Answer {
    labels: [Label<'static>; TOP],
    found: usize,
    /// From the photo's pixels to all scores.
    pub cost: Cost,
}

impl Answer {
    /// The best labels, best first.
    pub fn labels(&self) -> &[Label<'static>] {
        &self.labels[..self.found]
    }
}

impl Labeller {
    /// Checks a model and opens it where it lies; `free` as for [`Model::bytes`].
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn open(model: &Model, free: &Range<usize>) -> Result<Self, Failure> {
        let name = model.name;
        let vision = Vision::open(model.bytes(free)?, Kernels::compiled())
            .map_err(|error| Failure::Refused { model: name, error })?;
        let labels = vision.labels().ok_or(Failure::NoLabels { model: name })?;
        Ok(Labeller { name, vision, labels })
    }

    /// Labels a photo, and leaves what it saw in view `index`.
    ///
    /// # Errors
    /// [`Failure::Arena`] if there is not memory enough.
    pub fn label(
        &self,
        photo: &Photo,
        arena: &mut Arena,
        index: usize,
        parallel: &dyn Parallel,
        counters: &Counters,
    ) -> Result<Answer, Failure> {
        let (scored, cost) = counters.measure(|| self.score(photo, arena, index, parallel));
        let scores = scored?;
        let mut top = [0; TOP];
        let found = classify::top_k(scores, &mut top);
        let labels = top.map(|index| Label {
            name: self.labels.name(index).unwrap_or_default(),
            score: scores.get(index).copied().unwrap_or_default(),
        });
        Ok(Answer { labels, found, cost })
    }

    fn score<'a>(
        &self,
        photo: &Photo,
        arena: &'a mut Arena,
        index: usize,
        parallel: &dyn Parallel,
    ) -> Result<&'a [f32], Failure> {
        let Arena { scratch, views, embedding, scores } = arena;
        let View { pixels, tokens } = &mut views[index];
        let vision = &self.vision;
        let shape = vision.shape();
        let pixels = self.part("pixels", pixels, shape.image[0] * shape.image[1] * 3)?;
        let tokens = self.part("tokens", tokens, shape.grid()[0] * shape.grid()[1])?;
        let embedding = self.part("embedding", embedding, shape.embedding)?;
        let scores = self.part("scores", scores, self.labels.len())?;

        let available = size_of_val(scratch);
        let refused = |error| match error {
            Error::Scratch { needed } => {
                Failure::Arena { model: self.name, part: "scratch", needed: 4 * needed, available }
            }
            error => Failure::Refused { model: self.name, error },
        };
        let image = Rgb { data: photo.data, height: photo.height, width: photo.width };
        vision.preprocess().apply(vision.kernels(), image, scratch, pixels).map_err(refused)?;
        vision.embed_traced(pixels, scratch, parallel, embedding, tokens).map_err(refused)?;
        let (scale, bias) = (vision.logit_scale(), vision.logit_bias());
        classify::logits(vision.kernels(), embedding, &self.labels, scale, bias, scores).map_err(refused)?;
        match vision.score() {
            Score::Softmax => classify::softmax(scores),
            Score::Sigmoid => classify::sigmoid(scores),
        }
        Ok(scores)
    }

    /// The photo as the model saw it and what it merged, from its view; `None` for a model that merges nothing.
    pub fn seen<'a>(&self, view: &'a View) -> Option<(drawing::Photo<'a>, Regions<'a>)> {
        if !self.vision.plan().merges() {
            return None;
        }
        let ([height, width], [rows, columns]) = (self.vision.shape().image, self.vision.shape().grid());
        let photo = drawing::Photo::new(view.pixels.get(..height * width * 3)?, height, width)?;
        Some((photo, Regions::new(view.tokens.get(..rows * columns)?, rows, columns)?))
    }

    /// The first `needed` elements of a part of the arena.
    fn part<'a, T>(&self, part: &'static str, memory: &'a mut [T], needed: usize) -> Result<&'a mut [T], Failure> {
        let available = size_of_val(memory);
        memory.get_mut(..needed).ok_or(Failure::Arena {
            model: self.name,
            part,
            needed: needed * size_of::<T>(),
            available,
        })
    }
}
