//! BERT as Hugging Face's transformers lays it out, in a folder of sentence-transformers.

use super::detect::Found;
use super::fields::Fields;
use super::tensors::{Expected, View, match_tensors, push, push_pair, push_view};
use super::{Parts, Words, bert_config, position};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{ModelConfig, Provenance, TextConfig};

/// What precedes the names of the projection behind the pooling, which has a file of its own.
pub(super) const DENSE: &str = "dense.";

/// What precedes the tensors is found by the one that every BERT has.
const TOKENS: &str = "embeddings.word_embeddings.weight";

/// Reads a folder of sentence-transformers: `modules.json` if there is one, `config.json`, weights, the pooling's `config.json`.
/// Names may begin with `bert.`; a pooler and a language model's head are left alone.
///
/// # Errors
/// [`Error::Config`] for settings that are not supported; [`Error::Tensors`] listing every tensor that is missing, not known or of
/// another shape than the configuration says; [`Error::Malformed`] for a folder without a pooling.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let modules = bert_config::modules(&found.path)?;
    let checkpoint = &found.checkpoint;
    let path = modules.transformer.join("config.json");
    let config = Fields::read(&path)?;
    let kind = config.text("model_type", "")?;
    if !["bert", "distilbert"].contains(&kind.as_str()) {
        let reason = format!("`{kind}` is not supported as a text tower; `bert` and `distilbert` are");
        return Err(config.error("model_type", reason));
    }
    let text = bert_config::text(&config, &modules)?;
    let positions = config.size("max_position_embeddings", 512)?;
    let kinds = config.size("type_vocab_size", 2)?;
    let prefix = checkpoint.names().find_map(|name| name.strip_suffix(TOKENS)).unwrap_or_default().to_owned();
    let mut expected = match kind.as_str() {
        "bert" => tensors(&text, positions, kinds, norm_parts(checkpoint, &prefix)),
        _ => distilled_tensors(&text, positions),
    };
    expected.iter_mut().for_each(|tensor| tensor.name.insert_str(0, &prefix));
    let embedding = match &modules.dense {
        Some(folder) => bert_config::dense(folder, text.width)?,
        None => text.width,
    };
    if modules.dense.is_some() {
        let projection = format!("{DENSE}linear.weight");
        push(&mut expected, "text.projection.weight".into(), projection, &[embedding, text.width]);
    }
    let ignored = |name: &str| {
        let name = name.strip_prefix(&prefix).unwrap_or(name);
        ["pooler.", "cls.", "vocab_"].iter().any(|part| name.starts_with(part))
            || ["embeddings.position_ids", "embeddings.token_type_ids"].contains(&name)
    };
    let tensors = match_tensors(checkpoint, "", expected, ["BERT", "config.json"], ignored)?;
    let model = ModelConfig {
        family: "bert".into(),
        embedding,
        vision: None,
        text: Some(text),
        preprocess: None,
        logit_scale: 1.0,
        logit_bias: 0.0,
        provenance: Provenance::default(),
    };
    let lower_case = bert_config::lower_cases(&modules.transformer)?;
    let words = Words { lower_case, ..Words::new(modules.transformer, path) };
    Ok(Parts { model, tensors, position: position::Rule::Bicubic, words, class_names: None })
}

/// What gain and bias of a norm are called; checkpoints that come from TensorFlow have other names.
pub(super) fn norm_parts(checkpoint: &Checkpoint, prefix: &str) -> [&'static str; 2] {
    match checkpoint.shape(&format!("{prefix}embeddings.LayerNorm.gamma")) {
        Some(_) => ["gamma", "beta"],
        None => ["weight", "bias"],
    }
}

pub(super) fn tensors(text: &TextConfig, positions: usize, kinds: usize, [gain, bias]: [&str; 2]) -> Vec<Expected> {
    let (width, mlp) = (text.width, text.mlp);
    let mut expected = Vec::new();
    let mut table = |canonical: &str, name: &str, rows, view| {
        push_view(&mut expected, canonical.into(), format!("embeddings.{name}.weight"), &[rows, width], view);
    };
    table("text.token.weight", "word_embeddings", text.vocabulary, View::Whole);
    table("text.position", "position_embeddings", positions, View::Whole);
    // Every token of a single text is of type 0.
    table("text.token_type", "token_type_embeddings", kinds, View::FirstRow);
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

/// The same tower by DistilBERT's names; it knows no types of tokens.
fn distilled_tensors(text: &TextConfig, positions: usize) -> Vec<Expected> {
    let (width, mlp) = (text.width, text.mlp);
    let mut expected = Vec::new();
    for (canonical, name, rows) in
        [("text.token.weight", "word", text.vocabulary), ("text.position", "position", positions)]
    {
        push(&mut expected, canonical.into(), format!("embeddings.{name}_embeddings.weight"), &[rows, width]);
    }
    let norm = "embeddings.LayerNorm";
    push_view(&mut expected, "text.token_type".into(), format!("{norm}.bias"), &[width], View::Zeros);
    push_pair(&mut expected, "text.embed_norm", norm, &[width]);
    for block in 0..text.blocks {
        let (ours, theirs) = (format!("text.blocks.{block}"), format!("transformer.layer.{block}"));
        for part in ["q", "k", "v", "out"] {
            push_pair(
                &mut expected,
                &format!("{ours}.{part}"),
                &format!("{theirs}.attention.{part}_lin"),
                &[width, width],
            );
        }
        push_pair(&mut expected, &format!("{ours}.norm1"), &format!("{theirs}.sa_layer_norm"), &[width]);
        push_pair(&mut expected, &format!("{ours}.fc1"), &format!("{theirs}.ffn.lin1"), &[mlp, width]);
        push_pair(&mut expected, &format!("{ours}.fc2"), &format!("{theirs}.ffn.lin2"), &[width, mlp]);
        push_pair(&mut expected, &format!("{ours}.norm2"), &format!("{theirs}.output_layer_norm"), &[width]);
    }
    expected
}

#[cfg(test)]
#[path = "bert_tests.rs"]
mod tests;
