//! Which nodes of an ONNX file an accelerator does not take, by the lists in `exporter/operators/`: a check that runs nothing.
//!
//! Element types are known as far as the file declares them and operators hand them on; nothing is said against what is not known.
//! Conditions that no list can be checked for (shapes, mostly) are reported beside what is taken.

mod check;
mod element;
mod graph;
mod list;

pub use check::{Condition, Refusal, Report, check};
pub use list::{List, NAMES};
