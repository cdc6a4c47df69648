//! BERT as Hugging Face's transformers lays it out, in a folder of sentence-transformers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bert_config;
use super::fields::Fields;
use super::tensors::{Expected, match_tensors, push, push_pair};
use super::tokenizer;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{ModelConfig, Provenance, Source, Tensor, TextConfig};

/// Fewer tokens hold nothing but start and end.
const SHORTEST: usize = 3;

/// What precedes the tensors is found by the one that every BERT has.
const TOKENS: &str = "embeddings.word_embeddings.weight";

/// A BERT checkpoint with mean pooling all of whose tensors are there and agree with its configuration.
#[derive(Debug)]
pub struct Bert {
    checkpoint: Checkpoint,
    model: ModelConfig,
    /// Canonical name to the checkpoint's.
    names: BTreeMap<String, String>,
    /// The configuration's file, for errors.
    config: PathBuf,
}

impl Bert {
    /// Opens a folder of sentence-transformers: `modules.json` if there is one, `config.json`, weights, the pooling's `config.json`.
    /// Names may begin with `bert.`; a pooler and a language model's head are left alone.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that are not supported; [`Error::Tensors`] listing every tensor that is missing, not known or of
    /// another shape than the configuration says; [`Error::Malformed`] for a folder without a pooling; those of [`Checkpoint::open`].
    pub fn open(folder: &Path) -> Result<Bert, Error> {
        let modules = bert_config::modules(folder)?;
        let checkpoint = Checkpoint::open(&modules.transformer)?;
        let path = modules.transformer.join("config.json");
        let config = Fields::read(&path)?;
        let kind = config.text("model_type", "")?;
        if kind != "bert" {
            return Err(config.error("model_type", format!("`{kind}` is not supported as a text tower; `bert` is")));
        }
        let text = bert_config::text(&config, &modules)?;
        let positions = config.size("max_position_embeddings", 512)?;
        let kinds = config.size("type_vocab_size", 2)?;
        let prefix = checkpoint.names().find_map(|name| name.strip_suffix(TOKENS)).unwrap_or_default().to_owned();
        let expected = tensors(&text, positions, kinds, norm_parts(&checkpoint, &prefix));
        let ignored = |name: &str| {
            ["pooler.", "cls."].iter().any(|part| name.starts_with(part))
                || ["embeddings.position_ids", "embeddings.token_type_ids"].contains(&name)
        };
        let names = match_tensors(&checkpoint, &prefix, expected, "BERT", ignored)?;
        let source = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let model = ModelConfig {
            family: "bert".into(),
            embedding: text.width,
            vision: None,
            text: Some(text),
            preprocess: None,
            logit_scale: 1.0,
            logit_bias: 0.0,
            provenance: Provenance { source, sha256: None, licence: None },
        };
        Ok(Bert { checkpoint, model, names, config: path })
    }

    /// The weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Parameters of the tower.
    pub fn parameters(&self) -> u64 {
        let shapes = self.names.values().filter_map(|name| self.checkpoint.shape(name));
        shapes.map(|shape| shape.iter().product::<usize>() as u64).sum()
    }

    /// Where the weights come from, to be completed.
    pub fn provenance_mut(&mut self) -> &mut Provenance {
        &mut self.model.provenance
    }

    /// Takes texts of at most `context` tokens, start and end token included: the position table is cut.
    ///
    /// # Errors
    /// [`Error::Config`] if the checkpoint does not take texts that long, or nothing fits between start and end.
    pub fn set_context(&mut self, context: usize) -> Result<(), Error> {
        let Some(text) = &mut self.model.text else { return Err(Error::NoTower("a text")) };
        if !(SHORTEST..=text.context).contains(&context) {
            let reason = format!("{context} tokens; this checkpoint takes {SHORTEST} to {}", text.context);
            return Err(Error::config(self.checkpoint.folder(), "context", reason));
        }
        text.context = context;
        Ok(())
    }

    /// The tokenizer as the text of a `tokenizer.json`; the end token is known from then on.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming the tokenizer's file, [`Error::Config`] if it has more tokens than the table, or does not do what
    /// the configuration asks for.
    pub fn tokenizer(&mut self) -> Result<String, Error> {
        let folder = self.checkpoint.folder();
        let (json, end, size) = tokenizer::read(folder)?;
        let Some(text) = &mut self.model.text else { return Err(Error::NoTower("a text")) };
        if size > text.vocabulary {
            let reason = format!("{}, but the tokenizer has {size} tokens", text.vocabulary);
            return Err(Error::config(&self.config, "vocab_size", reason));
        }
        if bert_config::lower_cases(folder)? && !tokenizer::lower_cases(&json)? {
            let reason = "true, but the tokenizer keeps capitals: set `lowercase` of the normalizer in tokenizer.json";
            return Err(Error::config(folder.join("sentence_bert_config.json"), "do_lower_case", reason));
        }
        text.eot = end;
        Ok(json)
    }
}

impl Source for Bert {
    fn model(&self) -> &ModelConfig {
        &self.model
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let stored = self.names.get(name).ok_or_else(|| Error::MissingTensor(name.into()))?;
        let mut tensor = self.checkpoint.tensor(stored)?;
        let text = self.model.text()?;
        match name {
            "text.position" => tensor.truncate(text.context),
            // Every token of a single text is of type 0.
            "text.token_type" => {
                tensor.truncate(1);
                tensor.shape.remove(0);
            }
            _ => {}
        }
        Ok(tensor)
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
}

/// What gain and bias of a norm are called; checkpoints that come from TensorFlow have other names.
fn norm_parts(checkpoint: &Checkpoint, prefix: &str) -> [&'static str; 2] {
    match checkpoint.shape(&format!("{prefix}embeddings.LayerNorm.gamma")) {
        Some(_) => ["gamma", "beta"],
        None => ["weight", "bias"],
    }
}

fn tensors(text: &TextConfig, positions: usize, kinds: usize, [gain, bias]: [&str; 2]) -> Vec<Expected> {
    let (width, mlp) = (text.width, text.mlp);
    let mut expected = Vec::new();
    let mut table = |canonical: &str, name: &str, rows| {
        push(&mut expected, canonical.into(), format!("embeddings.{name}.weight"), &[rows, width]);
    };
    table("text.token.weight", "word_embeddings", text.vocabulary);
    table("text.position", "position_embeddings", positions);
    table("text.token_type", "token_type_embeddings", kinds);
    let norm = |expected: &mut Vec<Expected>, canonical: &str, name: &str| {
        push(expected, format!("{canonical}.weight"), format!("{name}.LayerNorm.{gain}"), &[width]);
        push(expected, format!("{canonical}.bias"), format!("{name}.LayerNorm.{bias}"), &[width]);
    };
    norm(&mut expected, "text.embed_norm", "embeddings");
    for block in 0..text.blocks {
        let (ours, theirs) = (format!("text.blocks.{block}"), format!("encoder.layer.{block}"));
        for (part, name) in [("q", "query"), ("k", "key"), ("v", "value")] {
            let name = format!("{theirs}.attention.self.{name}");
            push_pair(&mut expected, &format!("{ours}.{part}"), &name, &[width, width]);
        }
        let attention = format!("{theirs}.attention.output");
        push_pair(&mut expected, &format!("{ours}.out"), &format!("{attention}.dense"), &[width, width]);
        norm(&mut expected, &format!("{ours}.norm1"), &attention);
        push_pair(&mut expected, &format!("{ours}.fc1"), &format!("{theirs}.intermediate.dense"), &[mlp, width]);
        push_pair(&mut expected, &format!("{ours}.fc2"), &format!("{theirs}.output.dense"), &[width, mlp]);
        norm(&mut expected, &format!("{ours}.norm2"), &format!("{theirs}.output"));
    }
    expected
}

#[cfg(test)]
#[path = "bert_tests.rs"]
mod tests;
