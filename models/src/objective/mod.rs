//! What a batch costs, for each way of learning.

mod contrastive;
mod mixing;
mod multilabel;

pub use contrastive::{Contrastive, TextSource};
pub use mixing::Mixed;
pub use multilabel::{Classifier, MultiLabel};

use tch::Tensor;

use crate::data::Batch;
use crate::vision::Merge;

/// What a batch costs.
#[derive(Debug)]
pub struct Outcome {
    /// What is minimised, a scalar.
    pub loss: Tensor,
    /// Its parts and what else is worth a curve, scalars without gradients.
    pub parts: Vec<(&'static str, Tensor)>,
}

/// A model that learns. Several that share their weights can learn from different batches at once, each in a thread of its own.
pub trait Learner: Send {
    /// The cost of a batch under a merging schedule.
    fn outcome(&self, batch: &Batch, merge: Option<&Merge>) -> Outcome;

    /// Keeps what must stay in bounds there, after each step.
    fn constrain(&self) {}
}
