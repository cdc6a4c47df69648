//! The layers of both towers.
//!
//! Weights, residuals, norms and losses are f32. Matrix products take their operands in [`Precision`], cast by hand where they are used.

mod attention;
mod frequency;
mod linear;
mod mlp;
mod norm;
mod stem;

pub use attention::{Attended, Attention};
pub use frequency::{Bases, FrequencyFilter};
pub use linear::Linear;
pub use mlp::Mlp;
pub use norm::{EPSILON, Norm};
pub use stem::Stem;

use tch::Kind;

use crate::config::Precision;

impl Precision {
    /// The element type of operands.
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}
