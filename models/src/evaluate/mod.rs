//! How good an image tower is, at each compression rate.

mod average_precision;
mod calibration;
mod embed;
mod likeness;
mod linear_probe;
mod nearest;
mod paired;
mod retrieval;
mod zero_shot;

pub use average_precision::mean_average_precision;
pub use calibration::{expected_error, fit_scale, negative_log_likelihood};
pub use embed::{embed, embed_with};
pub use likeness::{Likeness, likeness};
pub use linear_probe::linear_probe;
pub use nearest::nearest_neighbours;
pub use paired::{Interval, difference, share};
pub use retrieval::{Recall, recall};
pub use zero_shot::{Answers, LabelBank, accuracy};
