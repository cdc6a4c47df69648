//! What the tensors of a checkpoint mean: naming schemes and configurations turned into a [`Source`].
//!
//! `detect` has the table of layouts. Each of them is a module that reads a configuration and says which tensor is which; what is then done
//! with them is the same for all, and here.

mod bert;
mod bert_config;
mod clip;
mod clip_config;
mod corenet;
#[cfg(test)]
mod crafted;
mod detect;
mod dual;
mod fields;
mod mlip;
mod open_clip;
mod open_clip_config;
mod open_clip_timm;
mod position;
pub mod preprocess;
mod sentencepiece;
mod siglip;
mod siglip_tokenizer;
mod tensors;
mod timm;
mod timm_architecture;
mod timm_config;
pub mod tokenizer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{Activation, ModelConfig, NormPlace, Provenance, Score, Source, Tensor, TextPooling};
use detect::Found;
use fields::Fields;
use preprocess::Steps;
use tensors::Stored;

/// Fewer tokens hold nothing but start and end.
const SHORTEST: usize = 3;

/// What a user knows and a checkpoint doesn't tell, or tells wrong.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What pixels go through before the image tower.
    pub preprocess: Option<Steps>,
    /// Activation of the MLPs of both towers.
    pub activation: Option<Activation>,
    /// A folder with a tokenizer, or the file of one.
    pub tokenizer: Option<PathBuf>,
}

/// A checkpoint of a known layout, all of whose tensors are there and agree with its configuration.
#[derive(Debug)]
pub struct Layout {
    name: &'static str,
    checkpoint: Checkpoint,
    parts: Parts,
}

/// What a layout's module makes of a checkpoint.
#[derive(Debug)]
struct Parts {
    /// Provenance is filled in later.
    model: ModelConfig,
    /// By canonical name.
    tensors: BTreeMap<String, Stored>,
    /// How patches get their places in images of another size.
    position: position::Rule,
    words: Words,
    /// The key of the configuration that says what the rows of a classifier are called, if there is one.
    class_names: Option<&'static str>,
}

/// Where texts become token ids, and what that has to agree with.
#[derive(Debug)]
struct Words {
    /// The folder or file of the tokenizer.
    place: PathBuf,
    /// What says how many tokens there are, and which one ends a text.
    config: PathBuf,
    /// What says that capitals do not matter, if anything does.
    lower_case: Option<PathBuf>,
    /// For a SigLIP's texts.
    cleaning: Cleaning,
}

impl Words {
    /// As most layouts have them.
    fn new(place: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Words { place: place.into(), config: config.into(), lower_case: None, cleaning: Cleaning::ByTokenizer }
    }
}

/// What becomes of texts before a SigLIP's tokenizer sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleaning {
    /// As in transformers: lower case, and no punctuation for the first SigLIP.
    ByTokenizer,
    /// As in open_clip: lower case and no punctuation for any, underscores being spaces.
    Canonical,
}

impl Layout {
    /// Opens a folder or a file of weights, whatever its layout.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a layout that is not known, naming those that are; [`Error::Config`] for settings that are not supported;
    /// [`Error::Tensors`] listing every tensor that is missing, not known or of another shape than the configuration says; those of
    /// [`Checkpoint::open`].
    pub fn open(path: &Path, options: &Options) -> Result<Layout, Error> {
        let found = Found::open(path, options)?;
        let row = found.row()?;
        let mut parts = (row.open)(&found)?;
        if let Some(activation) = options.activation {
            let towers = (&mut parts.model.vision, &mut parts.model.text);
            towers.0.iter_mut().for_each(|vision| vision.activation = activation);
            towers.1.iter_mut().for_each(|text| text.activation = activation);
        }
        if let Some(place) = &options.tokenizer {
            parts.words.place.clone_from(place);
        }
        parts.model.provenance.source =
            path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(Layout { name: row.name, checkpoint: found.checkpoint, parts })
    }

    /// What people call the layout.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Parameters of a tower, `vision` or `text`.
    pub fn parameters(&self, tower: &str) -> u64 {
        let of_tower = self.parts.tensors.iter().filter(|(canonical, _)| canonical.split('.').next() == Some(tower));
        let names: BTreeSet<String> =
            of_tower.flat_map(|(_, stored)| stored.view.others().into_iter().chain([stored.name.clone()])).collect();
        let shapes = names.iter().filter_map(|name| self.checkpoint.shape(name));
        shapes.map(|shape| shape.iter().product::<usize>() as u64).sum()
    }

    /// Where the weights come from, to be completed.
    pub fn provenance_mut(&mut self) -> &mut Provenance {
        &mut self.parts.model.provenance
    }

    /// Rows of the classifier behind the image tower, if it has one.
    pub fn classes(&self) -> Option<usize> {
        let stored = self.parts.tensors.get("classifier.weight")?;
        self.checkpoint.shape(&stored.name)?.first().copied()
    }

    /// What the rows of the classifier are called, if the checkpoint says so.
    ///
    /// # Errors
    /// [`Error::Config`] if it has names, but not one for each row.
    pub fn class_names(&self) -> Result<Option<Vec<String>>, Error> {
        let (Some(key), Some(rows)) = (self.parts.class_names, self.classes()) else { return Ok(None) };
        let config = Fields::read(&self.checkpoint.folder().join(timm::CONFIG))?;
        timm_config::class_names(&config, key, rows)
    }

    /// How logits become scores, if not as in training or if that is not known.
    ///
    /// # Errors
    /// [`Error::NoTower`] without an image tower.
    pub fn set_score(&mut self, score: Score) -> Result<(), Error> {
        self.parts.model.vision.as_mut().ok_or(Error::NoTower("an image"))?.head.score = score;
        Ok(())
    }

    /// Takes images of another size: the position embedding is interpolated, resizing and cropping follow.
    ///
    /// # Errors
    /// [`Error::NoTower`] without an image tower, [`Error::Config`] if `side` is not a multiple of the patch size, or the tower has a
    /// frequency stage, whose filters are for one grid.
    pub fn set_image_size(&mut self, side: usize) -> Result<(), Error> {
        let model = &mut self.parts.model;
        let (Some(vision), Some(preprocess)) = (&mut model.vision, &mut model.preprocess) else {
            return Err(Error::NoTower("an image"));
        };
        let refusal = |reason| Err(Error::config(self.checkpoint.path(), "image size", reason));
        if vision.frequency_blocks > 0 && vision.image_size != [side; 2] {
            let [own, _] = vision.image_size;
            return refusal(format!(
                "{side}, but the filters of the frequency stage are for images of {own}: leave --image-size out"
            ));
        }
        if side == 0 || !side.is_multiple_of(vision.patch) {
            let below = side / vision.patch * vision.patch;
            let nearest =
                if below == 0 { format!("{}", vision.patch) } else { format!("{below} or {}", below + vision.patch) };
            return refusal(format!("{side} is not a multiple of the patch size {}: try {nearest}", vision.patch));
        }
        preprocess::rescale(preprocess, vision.image_size, side);
        vision.image_size = [side; 2];
        Ok(())
    }

    /// Takes texts of at most `context` tokens, start and end token included: the position table is cut.
    ///
    /// # Errors
    /// [`Error::NoTower`] without a text tower; [`Error::Config`] for a CLIP, if the checkpoint does not take texts that long, or if nothing
    /// fits between start and end.
    pub fn set_context(&mut self, context: usize) -> Result<(), Error> {
        let Some(text) = &mut self.parts.model.text else { return Err(Error::NoTower("a text")) };
        let refusal = |reason| Err(Error::config(self.checkpoint.path(), "context", reason));
        if text.norm == NormPlace::Pre {
            return refusal("a CLIP's text tower is exported with all of it; a BERT's can be cut".into());
        }
        if !(SHORTEST..=text.context).contains(&context) {
            return refusal(format!("{context} tokens; this checkpoint takes {SHORTEST} to {}", text.context));
        }
        text.context = context;
        Ok(())
    }

    /// The tokenizer as the text of a `tokenizer.json`; the end token is sure from then on.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming the tokenizer's file; [`Error::Config`] if it has more tokens than the table, another end token than the
    /// configuration, or does not do what the configuration asks for.
    pub fn tokenizer(&mut self) -> Result<String, Error> {
        let Some(text) = &mut self.parts.model.text else { return Err(Error::NoTower("a text")) };
        let Words { place, config, lower_case, cleaning } = &self.parts.words;
        if let TextPooling::Last(padding) = &mut text.pooling {
            let words = siglip_tokenizer::read(place, *cleaning)?;
            *padding = words.padding;
            if words.size <= text.vocabulary && (padding.id as usize) < text.vocabulary {
                return Ok(words.json);
            }
            let reason = format!("{}, but the tokenizer has {} tokens", text.vocabulary, words.size);
            return Err(Error::config(config, "vocab_size", reason));
        }
        let (json, end, size) = tokenizer::read(place)?;
        if size > text.vocabulary {
            let reason = format!("{}, but the tokenizer has {size} tokens", text.vocabulary);
            return Err(Error::config(config, "vocab_size", reason));
        }
        if let Some(config) = lower_case
            && !tokenizer::lower_cases(&json)?
        {
            let reason = "true, but the tokenizer keeps capitals: set `lowercase` of the normalizer in tokenizer.json";
            return Err(Error::config(config, "do_lower_case", reason));
        }
        if text.pooling == TextPooling::EotFirst && text.eot != end {
            let reason = format!("{}, but texts end with token {end} of the tokenizer", text.eot);
            return Err(Error::config(config, "eos_token_id", reason));
        }
        text.eot = end;
        Ok(json)
    }
}

impl Source for Layout {
    fn model(&self) -> &ModelConfig {
        &self.parts.model
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let stored = self.parts.tensors.get(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        let read = |name: &str| self.checkpoint.tensor(name);
        let mut tensor = stored.view.of(read(&stored.name)?, read)?;
        match name {
            "vision.position" => {
                let vision = self.parts.model.vision()?;
                tensor = self.parts.position.resample(tensor, vision.grid());
            }
            "text.position" => tensor.truncate(self.parts.model.text()?.context),
            _ => {}
        }
        Ok(tensor)
    }

    fn has(&self, name: &str) -> bool {
        self.parts.tensors.contains_key(name)
    }
}
