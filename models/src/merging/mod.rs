//! Token merging while training and testing: fixed counts from a compression rate, pairs by similarity, an optional guide.

mod guide;
mod pairs;
mod schedule;

pub use guide::{energy, guide};
pub use pairs::{Tokens, merge};
pub use schedule::{Choice, Schedule, macs, plan, snake};
