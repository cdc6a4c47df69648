//! Operators above the kernels: what the encoders are written in.

pub(crate) mod convolution;
pub(crate) mod guide;
pub(crate) mod merge;
pub(crate) mod patches;
pub(crate) mod tanh;
