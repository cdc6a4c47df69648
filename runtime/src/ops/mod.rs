//! Operators above the kernels: what the encoders are written in.

pub(crate) mod merge;
pub(crate) mod patches;
