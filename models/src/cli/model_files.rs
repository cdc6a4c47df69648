//! Arguments that several commands share.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use edgelip_models::data::Texts;
use edgelip_models::model::Trained;
use edgelip_models::text::{Bank, Encoder, MiniLm, Tokenizer};
use edgelip_models::wordnet::{Vocabulary, WordNet};
use tch::Device;

/// The frozen text tower's files.
#[derive(Debug, Args)]
pub struct TextFiles {
    /// Folder of all-MiniLM-L6-v2 with model.safetensors and tokenizer.json (an own text tower takes only the tokenizer)
    #[arg(long, value_name = "FOLDER")]
    pub minilm: Option<PathBuf>,
    /// Folder that keeps text embeddings for the next time
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
}

impl TextFiles {
    /// The frozen tower.
    pub fn minilm(&self) -> Result<MiniLm> {
        Ok(MiniLm::read(&self.folder()?.join("model.safetensors"), device())?)
    }

    /// The tokenizer; texts are cut to `tokens` tokens.
    pub fn tokenizer(&self, tokens: usize) -> Result<Tokenizer> {
        Ok(Tokenizer::read(&self.folder()?.join("tokenizer.json"), tokens)?)
    }

    /// Embeddings of all texts, by the model's own text tower or the frozen one.
    pub fn bank(&self, model: &Trained, texts: &Texts) -> Result<Bank> {
        let tokenizer = self.tokenizer(model.config.text.tokens)?;
        let encoder: &dyn Encoder = match &model.text {
            Some(own) => own,
            None => &self.minilm()?,
        };
        if encoder.width() != model.config.vision.embedding {
            bail!("the text tower gives {} values, the model {}", encoder.width(), model.config.vision.embedding);
        }
        Ok(Bank::embed(&texts.strings, encoder, &tokenizer, false, self.cache.as_deref())?)
    }

    fn folder(&self) -> Result<&PathBuf> {
        self.minilm
            .as_ref()
            .context("this model needs the files of the frozen text tower: give their folder with --minilm")
    }
}

/// What catlip needs.
#[derive(Debug, Args)]
pub struct LabelFiles {
    /// Folder of WordNet 3.0 with index.noun, data.noun and noun.exc (catlip)
    #[arg(long, value_name = "FOLDER")]
    pub wordnet: Option<PathBuf>,
    /// The synsets that are learned, as `edgelip-train vocabulary` writes them (catlip)
    #[arg(long, value_name = "FILE")]
    pub vocabulary: Option<PathBuf>,
}

impl LabelFiles {
    /// Reads both.
    pub fn open(&self) -> Result<(WordNet, Vocabulary)> {
        let wordnet = self.wordnet.as_ref().context("catlip needs WordNet: give its folder with --wordnet")?;
        Ok((WordNet::read(wordnet)?, self.vocabulary()?))
    }

    /// Reads the synsets alone.
    pub fn vocabulary(&self) -> Result<Vocabulary> {
        let vocabulary =
            self.vocabulary.as_ref().context("catlip needs a vocabulary: make one with `edgelip-train vocabulary`")?;
        Ok(Vocabulary::read(vocabulary)?)
    }
}

/// A GPU if libtorch has one.
pub fn device() -> Device {
    Device::cuda_if_available()
}

/// Refuses to overwrite a file or folder unless `force` is given.
pub fn guard(path: &std::path::Path, force: bool) -> Result<()> {
    if path.exists() && !force {
        bail!("{} exists: give --force to overwrite it", path.display());
    }
    Ok(())
}
