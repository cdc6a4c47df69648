//! Arguments that several commands share.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use edgelip_models::text::{MiniLm, Tokenizer};
use tch::Device;

/// The frozen text tower's files.
#[derive(Debug, Args)]
pub struct TextFiles {
    /// Folder of all-MiniLM-L6-v2 with model.safetensors and tokenizer.json
    #[arg(long, value_name = "FOLDER")]
    pub minilm: Option<PathBuf>,
    /// Folder that keeps text embeddings for the next time
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
}

impl TextFiles {
    /// Reads both files.
    pub fn open(&self, tokens: usize) -> Result<(MiniLm, Tokenizer)> {
        let folder = self.minilm.as_ref().context("this model needs the frozen text tower: give its folder with --minilm")?;
        let model = MiniLm::read(&folder.join("model.safetensors"), device())?;
        Ok((model, Tokenizer::read(&folder.join("tokenizer.json"), tokens)?))
    }
}

/// A GPU if libtorch has one.
pub fn device() -> Device {
    Device::cuda_if_available()
}
