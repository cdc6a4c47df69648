//! The tokenizers of SigLIP and SigLIP 2, with what their training did to texts before: lower case, and for the first no punctuation.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::tokenizer::{CLEANED, replace};
use super::{Cleaning, sentencepiece};
use crate::error::Error;
use crate::source::Padding;

/// Python's `string.punctuation`.
const PUNCTUATION: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"##;

/// A tokenizer and what its texts are padded with.
pub(super) struct Words {
    /// The text of a `tokenizer.json` without padding and truncation.
    pub(super) json: String,
    pub(super) padding: Padding,
    /// How many tokens there are.
    pub(super) size: usize,
}

/// Reads `spiece.model` or `tokenizer.json` of a folder, or such a file, and the `tokenizer_config.json` beside it. Texts are cleaned first.
///
/// # Errors
/// [`Error::Io`] or [`Error::Malformed`], naming the file.
pub(super) fn read(place: &Path, cleaning: Cleaning) -> Result<Words, Error> {
    let folder = if place.is_dir() { place } else { place.parent().unwrap_or(Path::new(".")) };
    let settings = settings(folder)?;
    let path = find(place)?;
    let mut json = match path.extension().is_some_and(|extension| extension == "model") {
        true => from_pieces(&path, &settings)?,
        false => object(&path)?,
    };
    let bad = |error: tokenizers::Error| Error::malformed(&path, format!("not a usable tokenizer: {error}"));
    let open = |json: &Value| Tokenizer::from_bytes(json.to_string().as_bytes()).map_err(bad);
    let lower_cases = settings.get("do_lower_case").and_then(Value::as_bool).unwrap_or(true);
    let same = |tokenizer: &Tokenizer, texts: [&str; 2]| {
        let [a, b] = texts.map(|text| tokenizer.encode_fast(text, false).map(|found| found.get_ids().to_vec()));
        Ok::<bool, Error>(a.map_err(bad)? == b.map_err(bad)?)
    };
    let mut steps = Vec::new();
    let tokenizer = open(&json)?;
    if cleaning == Cleaning::Canonical {
        steps = canonical();
    } else if lower_cases && !same(&tokenizer, ["A CAT", "a cat"])? {
        steps.push(json!({"type": "Lowercase"}));
    }
    // SigLIP 2 has Gemma's byte pairs, and keeps punctuation.
    let is_first = json["model"]["type"] == "Unigram";
    if cleaning == Cleaning::ByTokenizer && is_first && !same(&tokenizer, ["a, (cat)!  b ", "a cat b"])? {
        steps.extend(without_punctuation());
    }
    if !steps.is_empty() {
        let own = json["normalizer"].take();
        steps.extend(Some(own).filter(|own| !own.is_null()));
        json["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
    }
    let padding = json["padding"].take();
    json["truncation"] = Value::Null;
    let tokenizer = open(&json)?;
    let padding = self::padding(&tokenizer, &settings, &padding, &path)?;
    Ok(Words { size: tokenizer.get_vocab_size(true), json: tokenizer.to_string(false).map_err(bad)?, padding })
}

fn without_punctuation() -> [Value; 3] {
    let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
    [replace(PUNCTUATION, ""), replace(r"\s+", " "), strip]
}

/// What open_clip makes of a text.
fn canonical() -> Vec<Value> {
    let cleaned = CLEANED.iter().map(|(from, to)| replace(from, to));
    let lower = [replace("_", " "), json!({"type": "Lowercase"})];
    cleaned.chain(lower).chain(without_punctuation()).collect()
}

fn find(place: &Path) -> Result<PathBuf, Error> {
    if place.is_file() {
        return Ok(place.into());
    }
    let found = ["spiece.model", "tokenizer.json"].map(|name| place.join(name)).into_iter().find(|path| path.exists());
    let reason = "has neither spiece.model nor tokenizer.json: copy one from the original model";
    found.ok_or_else(|| Error::malformed(place, reason))
}

/// `tokenizer_config.json`, completed by `special_tokens_map.json`; either may be missing.
fn settings(folder: &Path) -> Result<Map<String, Value>, Error> {
    let mut settings = Map::new();
    for name in ["special_tokens_map.json", "tokenizer_config.json"] {
        let path = folder.join(name);
        if path.exists()
            && let Value::Object(found) = object(&path)?
        {
            settings.extend(found.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    Ok(settings)
}

fn object(path: &Path) -> Result<Value, Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    match serde_json::from_str(&text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(Error::malformed(path, "not a JSON object")),
        Err(error) => Err(Error::malformed(path, format!("not a JSON object: {error}"))),
    }
}

/// A token that the settings name, as text or as an object.
fn named<'s>(settings: &'s Map<String, Value>, key: &str) -> Option<&'s str> {
    let value = settings.get(key)?;
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// The first SigLIP's tokenizer: pieces, the tokens that a text may spell out, and the end token behind each text.
fn from_pieces(path: &Path, settings: &Map<String, Value>) -> Result<Value, Error> {
    let mut json = sentencepiece::read(path)?;
    let end = named(settings, "eos_token").unwrap_or("</s>").to_owned();
    let unknown = named(settings, "unk_token").unwrap_or("<unk>").to_owned();
    let mut added = Vec::new();
    let mut end_id = None;
    for (id, piece) in json["model"]["vocab"].as_array().into_iter().flatten().enumerate() {
        let Some(text) = piece[0].as_str().filter(|text| *text == end || *text == unknown) else { continue };
        if text == end {
            end_id = Some(id);
        }
        added.push(json!({
            "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        }));
    }
    let end_id = end_id.ok_or_else(|| Error::malformed(path, format!("has no piece {end} to end a text with")))?;
    let [text, ending] =
        [json!({"Sequence": {"id": "A", "type_id": 0}}), json!({"SpecialToken": {"id": end, "type_id": 0}})];
    json["added_tokens"] = added.into();
    json["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [text, ending],
        "pair": [text, ending, {"Sequence": {"id": "B", "type_id": 0}}, ending],
        "special_tokens": {end.clone(): {"id": end, "ids": [end_id], "tokens": [end]}},
    });
    Ok(json)
}

/// The token that fills texts up, and on which side.
fn padding(tokenizer: &Tokenizer, settings: &Map<String, Value>, own: &Value, path: &Path) -> Result<Padding, Error> {
    let class = settings.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    // What transformers takes for these classes if nothing is said.
    let from_the_left = class.starts_with("Siglip2") || class.starts_with("Gemma");
    let before = match settings.get("padding_side").and_then(Value::as_str) {
        Some("left") => true,
        Some("right") => false,
        Some(other) => return Err(Error::malformed(path, format!("padding_side `{other}` is neither left nor right"))),
        None => from_the_left,
    };
    let id = match named(settings, "pad_token") {
        Some(token) => tokenizer.token_to_id(token),
        None => own["pad_id"].as_u64().and_then(|id| u32::try_from(id).ok()),
    };
    let reason = "says no token to pad texts with, and SigLIP sees them: put pad_token into tokenizer_config.json";
    Ok(Padding { id: id.ok_or_else(|| Error::malformed(path, reason))?, before })
}
