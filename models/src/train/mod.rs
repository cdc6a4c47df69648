//! The training loop and what it keeps.

mod average;
mod checkpoint;
mod curves;
mod metrics;
mod optimizer;
mod progress;
mod run;

pub use average::Average;
pub use checkpoint::State;
pub use curves::draw;
pub use metrics::{Metrics, Row};
pub use optimizer::{AdamW, learning_rate};
pub use progress::Progress;
pub use run::{Run, Stop, Summary};
