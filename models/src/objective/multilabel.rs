//! `catlip`: the synsets of the captions as labels of one classifier, no text tower and no pairs.

use tch::{Kind, Tensor};

use super::{Learner, Mixed, Outcome};
use crate::config::Config;
use crate::data::Batch;
use crate::loss::{multi_hot, multilabel};
use crate::nn::Linear;
use crate::parameters::{Parameters, Start};
use crate::vision::{ImageTower, Merge, Outputs};

/// The linear classifier on the class token; its rows are what Transfer Init takes.
#[derive(Debug)]
pub struct Classifier {
    linear: Linear,
    bias: Tensor,
}

impl Classifier {
    /// Parameters `classifier.weight` and `classifier.bias`.
    pub fn new(parameters: &Parameters, config: &Config) -> Self {
        let prior = config.labels.prior;
        let shape = [config.vision.width, config.labels.count];
        Classifier {
            linear: Linear::without_bias(parameters, "classifier", shape, 0.01, config.train.precision),
            bias: parameters.vector(
                "classifier.bias",
                &[config.labels.count],
                Start::Constant((prior / (1.0 - prior)).ln()),
            ),
        }
    }

    /// Logits `[B, C]`, in f32.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.linear.forward(features).to_kind(Kind::Float) + &self.bias
    }
}

/// An image tower that learns to name what captions mention.
#[derive(Debug)]
pub struct MultiLabel {
    image: ImageTower,
    classifier: Classifier,
    /// The labels of each image of the data set.
    targets: Vec<Vec<i64>>,
    config: Config,
}

impl MultiLabel {
    /// Makes the parameters. `config.labels.count` is the vocabulary's length.
    pub fn new(parameters: &Parameters, config: &Config, targets: Vec<Vec<i64>>) -> Self {
        let image = ImageTower::new(parameters, &config.vision, Outputs::default(), config.train.precision);
        MultiLabel { image, classifier: Classifier::new(parameters, config), targets, config: config.clone() }
    }
}

impl Learner for MultiLabel {
    fn outcome(&self, batch: &Batch, merge: Option<&Merge>) -> Outcome {
        let rows: Vec<&[i64]> = batch.items.iter().map(|&item| self.targets[item].as_slice()).collect();
        let mixed = Mixed::draw(&self.config, batch);
        let targets = mixed.targets(&multi_hot(&rows, self.config.labels.count, batch.images.device()));
        let logits = self.classifier.forward(&self.image.forward(&mixed.images, merge).spatial);
        let hits = tch::no_grad(|| {
            targets.gather(1, &logits.argmax(1, true), false).gt(0.0).to_kind(Kind::Float).mean(Kind::Float)
        });
        let loss = multilabel(&logits, &targets);
        Outcome { parts: vec![("hits", hits)], loss }
    }
}
