//! What is minimised.

mod contrast;
mod late_interaction;
mod multilabel;

pub use contrast::{contrast, hits, positives};
pub use late_interaction::{TextTokens, late_interaction};
pub use multilabel::{multi_hot, multilabel};
