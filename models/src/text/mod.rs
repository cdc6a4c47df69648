//! Text: tokens, encoders, and what a frozen one says of all captions.

mod bank;
mod minilm;
mod own;
mod tokenizer;

pub use bank::Bank;
pub use minilm::MiniLm;
pub use own::OwnTower;
pub use tokenizer::{Tokenizer, pad};

use tch::{Device, Tensor};

/// A text tower.
pub trait Encoder {
    /// Width of the embeddings.
    fn width(&self) -> i64;

    /// Where the weights are.
    fn device(&self) -> Device;

    /// Unit embeddings `[B, E]` and token states `[B, M, E]` of padded ids `[B, M]` with a mask of ones and zeros.
    fn forward(&self, ids: &Tensor, mask: &Tensor) -> (Tensor, Tensor);
}
