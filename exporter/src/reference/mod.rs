//! The checkpoint's own arithmetic: plain f32, layer by layer, straight from the unfolded tensors.
//!
//! Nothing here is folded, packed or fused, and nothing is shared with the graph or the runtime: this is what both are held against. A
//! tensor is read when its layer comes and dropped after it, so a whole tower never lies in memory; several inputs go through each
//! layer together, so that it is read once.

mod attention;
mod bert;
mod block;
mod embed;
mod frequency;
#[cfg(test)]
mod goldens;
mod guide;
mod head;
mod layer;
mod merge;
mod stem;
mod text;
mod vision;

pub use merge::{Merging, Rule};
pub use text::{norm_ranges, text};
pub use vision::vision;
