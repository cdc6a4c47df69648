//! Images with captions: readers, decoding, augmentation, and batches in an order that depends on the seed and the step alone.

mod augment;
mod batches;
mod dataset;
mod folder;
mod labels;
mod normalise;
mod parquet;
mod photo;
mod record;
mod resize;
mod shards;
mod texts;

pub use augment::augment;
pub use batches::{Batch, Batches};
pub use dataset::{Dataset, Item, Skipped};
pub use labels::Labels;
pub use normalise::normalise;
pub use photo::Photo;
pub use record::{Record, Source, read};
pub use resize::square;
pub use texts::{Group, Texts};
