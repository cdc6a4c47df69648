//! The tokenizer: `tokenizer.json`, or for a CLIP one made of `vocab.json` and `merges.txt` as transformers' CLIPTokenizer makes it, or of
//! OpenAI's `bpe_simple_vocab_16e6.txt.gz` as their own does.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use crate::error::Error;

/// Splits a text into words; transformers' pattern.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// OpenAI's own file of merges, from which their tokenizer makes its vocabulary, and how many of them it takes.
const SIMPLE: [&str; 2] = ["bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt"];
const SIMPLE_MERGES: usize = 49152 - 256 - 2;
/// More than any such file has, unpacked.
const MAX_SIMPLE: u64 = 16 << 20;

/// The text of a `tokenizer.json` without padding and truncation, the id that ends a text, and the number of tokens. `place` is a folder or
/// the file itself.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Io`], naming the file.
pub fn read(place: &Path) -> Result<(String, u32, usize), Error> {
    let path = if place.is_file() { place.to_path_buf() } else { find(place)? };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = if name.ends_with(".gz") || name.ends_with(".txt") {
        from_merges(&path)?
    } else if name == "vocab.json" {
        from_vocabulary(path.parent().unwrap_or(Path::new("")))?
    } else {
        fs::read_to_string(&path).map_err(Error::io(&path))?
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

/// The file of a tokenizer in a folder.
fn find(folder: &Path) -> Result<PathBuf, Error> {
    let names = ["tokenizer.json", "vocab.json"].into_iter().chain(SIMPLE);
    match names.map(|name| folder.join(name)).find(|path| path.exists()) {
        Some(path) => Ok(path),
        None if folder.is_dir() => {
            let reason = "has neither tokenizer.json nor vocab.json and merges.txt nor bpe_simple_vocab_16e6.txt.gz: copy them from the original \
                          model, or give --tokenizer (OpenAI's and most of open_clip's models have the one of any CLIP)";
            Err(Error::malformed(folder, reason))
        }
        None => Err(Error::malformed(folder, "is neither a folder nor a file with a tokenizer")),
    }
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

/// What transformers would save as `tokenizer.json`, from `vocab.json` and `merges.txt`.
fn from_vocabulary(folder: &Path) -> Result<String, Error> {
    let vocabulary = object(&folder.join("vocab.json"))?;
    let settings = folder.join("tokenizer_config.json");
    let settings = if settings.exists() { object(&settings)? } else { Map::new() };
    let merges = merges(&folder.join("merges.txt"))?;
    tokenizer(&folder.join("vocab.json"), &vocabulary, &settings, merges, &[])
}

/// The tokenizer of OpenAI and open_clip: bytes, bytes that end a word, then what merges make.
fn from_merges(path: &Path) -> Result<String, Error> {
    let file = fs::File::open(path).map_err(Error::io(path))?;
    let mut text = String::new();
    let unpacked: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let read = unpacked.take(MAX_SIMPLE).read_to_string(&mut text);
    read.map_err(|error| Error::malformed(path, format!("not a usable list of merges: {error}")))?;
    let mut merges = Vec::new();
    for (number, line) in (1..).zip(text.lines()).skip(1).take(SIMPLE_MERGES) {
        merges.push(pair(path, number, line)?);
    }
    if merges.len() < SIMPLE_MERGES {
        let reason = format!("{} merges, not the {SIMPLE_MERGES} of CLIP's vocabulary", merges.len());
        return Err(Error::malformed(path, reason));
    }
    let printable = (0x21..=0x7e).chain(0xa1..=0xac).chain(0xae..=0xff).map(|byte: u32| (byte, byte));
    let hidden = (0..0x21).chain(0x7f..0xa1).chain([0xad]).zip(0x100..);
    let letters: Vec<char> = printable.chain(hidden).filter_map(|(_, shown)| char::from_u32(shown)).collect();
    let tokens = letters.iter().map(char::to_string);
    let tokens = tokens.chain(letters.iter().map(|letter| format!("{letter}</w>")));
    let tokens = tokens.chain(merges.iter().map(|[left, right]| format!("{left}{right}")));
    let tokens = tokens.chain(["<|startoftext|>".into(), "<|endoftext|>".into()]);
    let vocabulary: Map<String, Value> = tokens.zip(0u32..).map(|(token, id)| (token, json!(id))).collect();
    tokenizer(path, &vocabulary, &Map::new(), merges, CLEANED)
}

/// The part of OpenAI's text cleaning (ftfy, HTML) that ordinary captions meet.
pub(super) const CLEANED: &[(&str, &str)] = &[
    ("&amp;", "&"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", " "),
    (r"[\x{2bc}\x{2018}-\x{201b}]", "'"),
    (r"[\x{201c}-\x{201f}]", "\""),
];

/// A step of a `tokenizer.json`'s normalizer: puts `with` in the place of what a regular expression matches.
pub(super) fn replace(pattern: &str, with: &str) -> Value {
    json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": with})
}

/// A `tokenizer.json` of CLIP's kind; `cleaned` are patterns replaced before anything else.
fn tokenizer(
    path: &Path,
    vocabulary: &Map<String, Value>,
    settings: &Map<String, Value>,
    merges: Vec<[String; 2]>,
    cleaned: &[(&str, &str)],
) -> Result<String, Error> {
    let name = |key: &str, default: &str| match settings.get(key) {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Object(token)) => token.get("content").and_then(Value::as_str).unwrap_or(default).to_owned(),
        _ => default.to_owned(),
    };
    let (start, end) = (name("bos_token", "<|startoftext|>"), name("eos_token", "<|endoftext|>"));
    let unknown = name("unk_token", "<|endoftext|>");
    let id = |token: &str| match vocabulary.get(token).and_then(Value::as_u64) {
        Some(id) => Ok(id),
        None => Err(Error::malformed(path, format!("lacks the token {token}"))),
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
    let cleaning = cleaned.iter().map(|(from, to)| replace(from, to));
    let common = [json!({"type": "NFC"}), replace(r"\s+", " "), json!({"type": "Lowercase"})];
    let normalizers: Vec<Value> = cleaning.chain(common).collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(&start)?, special(&end)?],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
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
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": merges,
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
        pairs.push(pair(path, number, line)?);
    }
    Ok(pairs)
}

fn pair(path: &Path, number: usize, line: &str) -> Result<[String; 2], Error> {
    match line.split(' ').collect::<Vec<_>>().as_slice() {
        [left, right] => Ok([left.to_string(), right.to_string()]),
        _ => Err(Error::malformed(path, format!("line {number} is not two symbols: {line}"))),
    }
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
