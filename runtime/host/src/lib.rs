//! Zero-shot image labelling on small Linux boards: what the runtime needs from an operating system, and the `edgelip` command line.
//!
//! [`Mapping`] lends a model file to the runtime and [`threads`] says how many workers it gets. An [`ImageTower`] or a [`TextTower`]
//! is such a file with an [`engine`] and all buffers it works in; a [`Classifier`] is an image tower and labels to choose from,
//! which come with the file or from a [`LabelBank`] that a text tower makes. A [`camera`] gives frames, a [`display`] shows pictures.
//!
//! ```no_run
//! use edgelip::{Classifier, LabelSource, Mapping, Options, decode};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = "model.onnx".as_ref();
//! let file = Mapping::open(path)?;
//! let mut classifier = Classifier::open(&file, path, &Options::default(), LabelSource::Model)?;
//! let image = decode::rgb8("cat.jpg".as_ref())?;
//! for label in classifier.classify(image.view())?.top(5) {
//!     println!("{} {}", label.label, label.score);
//! }
//! # Ok(()) }
//! ```

#![deny(unsafe_code)]

pub mod camera;
mod classifier;
pub mod decode;
pub mod display;
pub mod engine;
mod error;
mod guard;
mod image_tower;
pub mod label_bank;
pub mod label_set;
mod labeller;
pub mod machine;
mod mapping;
pub mod npy;
pub mod onnx;
pub mod output;
pub mod preset;
pub mod stats;
pub mod templates;
pub mod text_batch;
mod text_tower;
pub mod threads;
pub mod timeline;
pub mod tokenizer;

pub use classifier::{Classifier, LabelSource, Scored, Scores};
pub use engine::Engine;
pub use error::Error;
pub use image_tower::{ImageTower, Options};
pub use label_bank::LabelBank;
pub use labeller::{Bytes, Labeller};
pub use mapping::Mapping;
pub use text_tower::TextTower;
