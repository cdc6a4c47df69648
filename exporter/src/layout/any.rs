//! A checkpoint of whichever layout its folder has.

use std::path::Path;

use super::bert::Bert;
use super::clip::Clip;
use super::fields::Fields;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{ModelConfig, Provenance, Source, Tensor};

/// A checkpoint of a layout that is known.
#[derive(Debug)]
pub enum Layout {
    /// CLIP, and MLIP, which keeps to its names.
    Clip(Clip),
    /// A text tower of sentence-transformers.
    Bert(Bert),
}

impl Layout {
    /// Opens a folder; `modules.json`, or `config.json`'s `model_type`, says what it is.
    ///
    /// # Errors
    /// Those of [`Clip::open`] and [`Bert::open`].
    pub fn open(folder: &Path) -> Result<Layout, Error> {
        let config = folder.join("config.json");
        let is_bert = folder.join("modules.json").exists()
            || config.exists() && Fields::read(&config)?.text("model_type", "")? == "bert";
        if is_bert { Bert::open(folder).map(Layout::Bert) } else { Clip::open(folder).map(Layout::Clip) }
    }

    /// What people call the layout.
    pub fn name(&self) -> &'static str {
        match self {
            Layout::Clip(clip) if clip.model().family == "mlip" => "MLIP of edgelip-train",
            Layout::Clip(_) => "Hugging Face CLIP",
            Layout::Bert(_) => "sentence-transformers BERT",
        }
    }

    /// The weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        match self {
            Layout::Clip(clip) => clip.checkpoint(),
            Layout::Bert(bert) => bert.checkpoint(),
        }
    }

    /// Parameters of a tower, `vision` or `text`.
    pub fn parameters(&self, tower: &str) -> u64 {
        match self {
            Layout::Clip(clip) => clip.parameters(tower),
            Layout::Bert(bert) if tower == "text" => bert.parameters(),
            Layout::Bert(_) => 0,
        }
    }

    /// Where the weights come from, to be completed.
    pub fn provenance_mut(&mut self) -> &mut Provenance {
        match self {
            Layout::Clip(clip) => clip.provenance_mut(),
            Layout::Bert(bert) => bert.provenance_mut(),
        }
    }

    /// Takes images of another size, as [`Clip::set_image_size`] does.
    ///
    /// # Errors
    /// [`Error::NoTower`] without an image tower, and those of [`Clip::set_image_size`].
    pub fn set_image_size(&mut self, side: usize) -> Result<(), Error> {
        match self {
            Layout::Clip(clip) => clip.set_image_size(side),
            Layout::Bert(_) => Err(Error::NoTower("an image")),
        }
    }

    /// Takes shorter texts, as [`Bert::set_context`] does.
    ///
    /// # Errors
    /// [`Error::Config`] for a CLIP, and those of [`Bert::set_context`].
    pub fn set_context(&mut self, context: usize) -> Result<(), Error> {
        match self {
            Layout::Clip(clip) => {
                let reason = "a CLIP's text tower is exported with all of it; a BERT's can be cut";
                Err(Error::config(clip.checkpoint().folder(), "context", reason))
            }
            Layout::Bert(bert) => bert.set_context(context),
        }
    }

    /// The tokenizer as the text of a `tokenizer.json`, and the end token made sure of.
    ///
    /// # Errors
    /// Those of [`Clip::tokenizer`] and [`Bert::tokenizer`].
    pub fn tokenizer(&mut self) -> Result<String, Error> {
        match self {
            Layout::Clip(clip) => clip.tokenizer(),
            Layout::Bert(bert) => bert.tokenizer(),
        }
    }

    fn source(&self) -> &dyn Source {
        match self {
            Layout::Clip(clip) => clip,
            Layout::Bert(bert) => bert,
        }
    }
}

impl Source for Layout {
    fn model(&self) -> &ModelConfig {
        self.source().model()
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        self.source().tensor(name)
    }

    fn has(&self, name: &str) -> bool {
        self.source().has(name)
    }
}
