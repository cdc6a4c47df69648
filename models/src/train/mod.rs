//! The training loop and what it keeps.

mod average;
mod checkpoint;
mod crew;
mod curves;
mod flat;
mod metrics;
mod muon;
mod optimizer;
mod progress;
mod run;
mod schedule;
mod timing;
mod transfer;

pub use average::Average;
pub use checkpoint::State;
pub use crew::Crew;
pub use curves::draw;
pub use flat::Flat;
pub use metrics::{Metrics, Row};
pub use optimizer::Optimizer;
pub use progress::Progress;
pub use run::{Run, Stop, Summary};
pub use schedule::learning_rate;
pub use timing::Stopwatch;
pub use transfer::{Rows, Transfer, transfer};
