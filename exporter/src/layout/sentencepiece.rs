//! A SentencePiece model (`spiece.model`), read as the `tokenizer.json` that does the same.

use std::fs;
use std::path::Path;

use edgelip_runtime::onnx::wire::{self, Field};
use serde_json::{Value, json};

use super::tokenizer::replace;
use crate::error::Error;

/// Fields of SentencePiece's `ModelProto` and the messages in it.
const PIECES: u32 = 1;
const TRAINER: u32 = 2;
const NORMALIZER: u32 = 3;
const PIECE: u32 = 1;
const SCORE: u32 = 2;
const KIND: u32 = 3;
const MODEL_TYPE: u32 = 3;
const UNKNOWN_ID: u32 = 40;
const CHARACTER_MAP: u32 = 2;
/// The value of `model_type` that is the default.
const UNIGRAM: u64 = 1;
/// The kind of a piece that stands for all that is unknown.
const UNKNOWN: u64 = 2;

/// What a `tokenizer.json` keeps of the model: pieces, rules of normalisation, and that words begin with `▁`. Nothing is added around a text.
///
/// # Errors
/// [`Error::Io`]; [`Error::Malformed`] if it is no such model or not a unigram one.
pub(super) fn read(path: &Path) -> Result<Value, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let parts = parse(&bytes).map_err(|_| Error::malformed(path, "is not a SentencePiece model"))?;
    if parts.pieces.is_empty() || parts.unknown as usize >= parts.pieces.len() {
        return Err(Error::malformed(path, "is a SentencePiece model without pieces or without an unknown one"));
    }
    if parts.model_type != UNIGRAM {
        return Err(Error::malformed(path, "is not a unigram model; save the tokenizer as tokenizer.json"));
    }
    let mut normalizers = Vec::new();
    if !parts.characters.is_empty() {
        normalizers.push(json!({"type": "Precompiled", "precompiled_charsmap": base64(parts.characters)}));
    }
    normalizers.push(replace(" {2,}", " "));
    normalizers.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
    let words = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true});
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": words,
        "post_processor": null,
        "decoder": words,
        "model": {"type": "Unigram", "unk_id": parts.unknown, "vocab": parts.pieces, "byte_fallback": false},
    }))
}

struct Parts<'a> {
    /// Text and logarithmic probability.
    pieces: Vec<(&'a str, f64)>,
    unknown: u64,
    model_type: u64,
    /// SentencePiece's own compiled table of replacements.
    characters: &'a [u8],
}

fn parse(bytes: &[u8]) -> Result<Parts<'_>, edgelip_runtime::Error> {
    let mut parts = Parts { pieces: Vec::new(), unknown: 0, model_type: UNIGRAM, characters: &[] };
    for field in wire::fields(bytes) {
        let field = field?;
        match field.number {
            PIECES => {
                let (mut text, mut score, mut kind) = ("", 0.0, 0);
                for part in wire::fields(field.bytes()?) {
                    let part = part?;
                    match (part.number, part.value) {
                        (PIECE, _) => text = part.text()?,
                        (SCORE, wire::Value::Fixed32(bits)) => score = f64::from(f32::from_bits(bits)),
                        (KIND, _) => kind = integer(&part),
                        _ => {}
                    }
                }
                if kind == UNKNOWN {
                    parts.unknown = parts.pieces.len() as u64;
                }
                parts.pieces.push((text, score));
            }
            TRAINER => {
                for part in wire::fields(field.bytes()?) {
                    let part = part?;
                    match part.number {
                        MODEL_TYPE => parts.model_type = integer(&part),
                        UNKNOWN_ID => parts.unknown = integer(&part),
                        _ => {}
                    }
                }
            }
            NORMALIZER => {
                for part in wire::fields(field.bytes()?) {
                    let part = part?;
                    if part.number == CHARACTER_MAP {
                        parts.characters = part.bytes()?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(parts)
}

fn integer(field: &Field<'_>) -> u64 {
    match field.value {
        wire::Value::Varint(value) => value,
        _ => 0,
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() { '=' } else { letter.into() });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_is_no_model_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("spiece.model");
        for bytes in [&b"\x0a\xff"[..], b"", b"\x0a\x03\x0a\x01a"] {
            fs::write(&path, bytes).expect("written");
            let said = read(&path).map(|value| value.to_string());
            match bytes.len() {
                // One piece, which is the unknown one: as small as a model gets.
                5 => assert!(said.expect("a model").contains(r#""vocab":[["a",0.0]]"#)),
                _ => assert!(said.expect_err("refused").to_string().contains("spiece.model: is")),
            }
        }
    }
}
