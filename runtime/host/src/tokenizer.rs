//! Text to token ids, as the checkpoint's own tokenizer splits it.

use edgelip_runtime::onnx;
use tokenizers::utils::truncation::TruncationParams;

use crate::Error;
use crate::guard::guarded;

/// The tokenizer of a text tower. Gives the ids of transformers' tokenizer with `truncation=True, max_length=context`, without padding.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    context: usize,
}

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`; `context` is the longest sequence in tokens. Truncation and padding that the JSON
    /// itself asks for are replaced.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn from_json(json: &str, context: usize) -> Result<Self, Error> {
        // The library panics on some parts that are no JSON, or not what they should be.
        serde_json::from_str::<serde::de::IgnoredAny>(json)
            .map_err(|error| Error::Tokenizer(format!("not JSON: {error}")))?;
        let inner = guarded(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(json.as_bytes())?;
            inner.with_padding(None);
            let truncation = TruncationParams { max_length: context, ..TruncationParams::default() };
            inner.with_truncation(Some(truncation))?;
            Ok::<_, tokenizers::Error>(inner)
        });
        Ok(Tokenizer { inner: inner.map_err(Error::Tokenizer)?, context })
    }

    /// Reads the tokenizer embedded in a text tower's file.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is none or it can't be read.
    pub fn from_text_model(file: &onnx::File) -> Result<Self, Error> {
        let missing = |key: &str| Error::Tokenizer(format!("the file has no `{key}`; is it a text tower?"));
        let json = file.metadata("edgelip.tokenizer").ok_or_else(|| missing("edgelip.tokenizer"))?;
        let context = file.metadata("edgelip.context").and_then(|value| value.trim().parse().ok());
        Self::from_json(json, context.ok_or_else(|| missing("edgelip.context"))?)
    }

    /// The token ids, start and end token included, at most [`Tokenizer::context`] of them.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer has no token for a part of the text and none for the unknown.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = guarded(|| self.inner.encode_fast(text, true)).map_err(Error::Tokenizer)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The longest sequence in tokens.
    pub fn context(&self) -> usize {
        self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CLIP-like tokenizer with a handful of tokens, padding and truncation switched on.
    const JSON: &str = r#"{
        "version": "1.0",
        "truncation": {"direction": "Left", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "!"},
        "added_tokens": [
            {"id": 5, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": true},
            {"id": 6, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": true}
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 6], "cls": ["<s>", 5], "trim_offsets": false, "add_prefix_space": false},
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": "</s>", "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": false,
            "vocab": {"!</w>": 0, "a": 1, "b</w>": 2, "ab</w>": 3, "a</w>": 4, "<s>": 5, "</s>": 6}, "merges": [["a", "b</w>"]]}
    }"#;

    #[test]
    fn truncation_keeps_the_end_token_and_nothing_is_padded() {
        let tokenizer = Tokenizer::from_json(JSON, 5).unwrap();
        assert_eq!(tokenizer.encode("AB a !").unwrap(), [5, 3, 4, 0, 6]);
        assert_eq!(tokenizer.encode("a ab a ab a ab").unwrap(), [5, 4, 3, 4, 6]);
        assert_eq!(tokenizer.encode("").unwrap(), [5, 6]);
        assert_eq!(tokenizer.context(), 5);
    }

    #[test]
    fn a_broken_tokenizer_is_one_line() {
        for json in ["", "{", "{}", "[1]", r#"{"model": {"type": "none"}}"#, r#"{"decoder": x}"#] {
            let message = Tokenizer::from_json(json, 77).unwrap_err().to_string();
            assert!(message.starts_with("tokenizer: ") && !message.contains('\n'), "{message}");
        }
    }
}
