//! The tokenizer: `tokenizer.json`, or for a CLIP one made of `vocab.json` and `merges.txt` as transformers' CLIPTokenizer makes it.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use crate::error::Error;

/// Splits a text into words; transformers' pattern.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The text of a `tokenizer.json` without padding and truncation, the id that ends a text, and the number of tokens.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Io`], naming the file.
pub fn read(folder: &Path) -> Result<(String, u32, usize), Error> {
    let whole = folder.join("tokenizer.json");
    let (path, text) = if whole.exists() {
        let text = fs::read_to_string(&whole).map_err(Error::io(&whole))?;
        (whole, text)
    } else if folder.join("vocab.json").exists() {
        (folder.join("vocab.json"), from_vocabulary(folder)?)
    } else {
        let reason = "has neither tokenizer.json nor vocab.json and merges.txt: copy them from the original model";
        return Err(Error::malformed(folder, reason));
    };
    let bad = |error: tokenizers::Error| Error::malformed(&path, format!("not a usable tokenizer: {error}"));
    let mut tokenizer = Tokenizer::from_bytes(text.as_bytes()).map_err(bad)?;
    tokenizer.with_truncation(None).map_err(bad)?;
    tokenizer.with_padding(None);
    let empty = tokenizer.encode_fast("", true).map_err(bad)?;
    let &[.., _, end] = empty.get_ids() else {
        return Err(Error::malformed(&path, "adds no start and end token to a text, as those of CLIP and BERT do"));
    };
    let size = tokenizer.get_vocab_size(true);
    let json = tokenizer.to_string(false).map_err(bad)?;
    Ok((json, end, size))
}

/// Whether a tokenizer takes no notice of capitals.
///
/// # Errors
/// [`Error::Malformed`] for a tokenizer that can't be used.
pub fn lower_cases(json: &str) -> Result<bool, Error> {
    let bad = |error: tokenizers::Error| Error::malformed("tokenizer.json", format!("not a usable tokenizer: {error}"));
    let tokenizer = Tokenizer::from_bytes(json.as_bytes()).map_err(bad)?;
    let ids = |text| Ok::<_, Error>(tokenizer.encode_fast(text, false).map_err(bad)?.get_ids().to_vec());
    Ok(ids("A CAT, ÄPFEL")? == ids("a cat, äpfel")?)
}

/// What transformers would save as `tokenizer.json`.
fn from_vocabulary(folder: &Path) -> Result<String, Error> {
    let vocabulary = object(&folder.join("vocab.json"))?;
    let settings = folder.join("tokenizer_config.json");
    let settings = if settings.exists() { object(&settings)? } else { Map::new() };
    let name = |key: &str, default: &str| match settings.get(key) {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Object(token)) => token.get("content").and_then(Value::as_str).unwrap_or(default).to_owned(),
        _ => default.to_owned(),
    };
    let (start, end) = (name("bos_token", "<|startoftext|>"), name("eos_token", "<|endoftext|>"));
    let unknown = name("unk_token", "<|endoftext|>");
    let id = |token: &str| match vocabulary.get(token).and_then(Value::as_u64) {
        Some(id) => Ok(id),
        None => Err(Error::malformed(folder.join("vocab.json"), format!("lacks the token {token}"))),
    };
    let special = |token: &str| {
        let id = id(token)?;
        let mut added = json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        });
        let decoder = settings.get("added_tokens_decoder").and_then(|decoder| decoder.get(id.to_string()));
        for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
            if let Some(Value::Bool(set)) = decoder.and_then(|token| token.get(flag)) {
                added[flag] = json!(set);
            }
        }
        Ok::<_, Error>(added)
    };
    let (start_id, end_id) = (id(&start)?, id(&end)?);
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(&start)?, special(&end)?],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {
            "type": "RobertaProcessing", "sep": [end, end_id], "cls": [start, start_id], "trim_offsets": false, "add_prefix_space": false,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": merges(&folder.join("merges.txt"))?,
        },
    });
    Ok(tokenizer.to_string())
}

/// Pairs of symbols, the most frequent first.
fn merges(path: &Path) -> Result<Vec<[String; 2]>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("#version") || line.is_empty() {
            continue;
        }
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [left, right] => pairs.push([left.to_string(), right.to_string()]),
            _ => return Err(Error::malformed(path, format!("line {number} is not two symbols: {line}"))),
        }
    }
    Ok(pairs)
}

fn object(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|error| Error::malformed(path, format!("not a JSON object: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(vocabulary: &str, merges: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("vocab.json"), vocabulary).expect("written");
        fs::write(folder.path().join("merges.txt"), merges).expect("written");
        folder
    }

    const VOCABULARY: &str =
        r#"{"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4, "<|startoftext|>": 5, "<|endoftext|>": 6}"#;

    #[test]
    fn a_vocabulary_and_merges_make_a_tokenizer() {
        let folder = folder(VOCABULARY, "#version: 0.2\na b</w>\n");
        let (json, end, size) = read(folder.path()).expect("a tokenizer");
        assert_eq!((end, size), (6, 7));
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).expect("a tokenizer");
        let ids = |text: &str| tokenizer.encode(text, true).expect("encodes").get_ids().to_vec();
        assert_eq!(ids("AB \t a"), [5, 4, 2, 6]);
        assert_eq!(ids("ba<|endoftext|>"), [5, 1, 2, 6, 6]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let complaint =
            |vocabulary, merges| read(folder(vocabulary, merges).path()).expect_err("malformed").to_string();
        assert!(complaint("[]", "").contains("vocab.json: not a JSON object"));
        assert!(complaint(r#"{"a": 0}"#, "").contains("lacks the token <|startoftext|>"));
        assert!(complaint(VOCABULARY, "a\n").contains("merges.txt: line 1 is not two symbols"));
        assert!(complaint(VOCABULARY, "a c\n").contains("not a usable tokenizer"));
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(read(empty.path()).expect_err("nothing there").to_string().contains("neither tokenizer.json"));
    }
}
