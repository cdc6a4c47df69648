//! Operators above the kernels: what the encoders are written in.

#[allow(dead_code, reason = "the tower that starts with it comes next")]
pub(crate) mod convolution;
#[allow(dead_code, reason = "the tower that guides its merging comes next")]
pub(crate) mod guide;
pub(crate) mod merge;
pub(crate) mod patches;
