//! What is minimised.

mod contrast;
mod late_interaction;

pub use contrast::{contrast, hits, positives};
pub use late_interaction::{TextTokens, late_interaction};
