//! Zero-shot image labelling that executes an edgelip model file where it lies: no `std`, no allocation, no `unsafe`.
//!
//! Data flows one way: the file ([`onnx`]) gives a [`plan`] and borrowed weights, the towers ([`Vision`], [`Text`])
//! run operators on them, and the operators call the kernels of `edgelip-kernels`.
//!
//! The feature `mlip`, on by default, is what MLIP has beyond CLIP: convolutional stems, frequency blocks, guided merging. A microcontroller
//! saves 13 KiB without it; a model that needs it is then refused with [`Error::Feature`]. Without `rough`, on by default too, pairs are searched for
//! exactly in 8-bit models as well, which saves 4 KiB and takes longer where kernels multiply integers fast.
//!
//! ```no_run
//! # fn main() -> Result<(), edgelip_runtime::Error> {
//! use edgelip_runtime::{Kernels, Single, Vision, classify};
//! # let bytes: &[u8] = &[]; let pixels: &[u8] = &[];
//! let vision = Vision::open(bytes, Kernels::generic())?;
//! # let mut buffer = [0.0; 1 << 20]; let scratch = &mut buffer[..];
//! let mut embedding = [0.0; 512];
//! vision.embed(pixels, scratch, &Single, &mut embedding)?;
//! if let Some(labels) = vision.labels() {
//!     let mut scores = [0.0; 1000];
//!     let scores = &mut scores[..labels.len()];
//!     classify::logits(vision.kernels(), &embedding, &labels, vision.logit_scale(), vision.logit_bias(), scores)?;
//!     classify::softmax(scores);
//! }
//! # Ok(()) }
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod classify;
mod error;
pub mod image;
mod labels;
mod model;
mod number;
pub mod onnx;
mod ops;
pub mod plan;
mod post_norm;
mod scratch;
mod split;
pub mod steady;
mod text;
mod transformer;
mod vision;

pub use edgelip_kernels::{Kernels, Parallel, Part, Single, Step};
pub use error::{Error, Problem};
pub use labels::Labels;
pub use model::{Guide, Precision, Readout, Score};
pub use text::{Padding, Text};
pub use vision::Vision;
