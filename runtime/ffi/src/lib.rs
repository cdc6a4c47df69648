//! edgelip's C interface; `include/edgelip.h` is made from it.
//!
//! Callers' arguments are checked as far as C allows: null, lengths, texts that are not UTF-8. No panic leaves a function.
//! What `unsafe` there is turns raw arguments into borrowed ones (`argument`) and hands models out and back (`model`).

mod argument;

// The header has them in this order.
mod status;

pub mod model;

mod labels;

mod image;

pub use image::{
    EdgelipScore, edgelip_classify_file, edgelip_classify_rgb, edgelip_embed_file, edgelip_embed_rgb,
    edgelip_embedding_length,
};
pub use labels::{edgelip_label, edgelip_label_count, edgelip_set_labels};
pub use model::{EdgelipModel, edgelip_close, edgelip_open, edgelip_open_bytes};
pub use status::{EdgelipStatus, edgelip_error, edgelip_version};
