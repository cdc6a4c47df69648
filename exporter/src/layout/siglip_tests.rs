//! SigLIP folders, accepted and refused; their tokenizers.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::Tokenizer;

use crate::layout::{Layout, Options};
use crate::source::{Padding, Pooling, Score, Source, TextPooling};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

/// A copy of the fixture that may be changed.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in
        ["config.json", "model.safetensors", "preprocessor_config.json", "spiece.model", "tokenizer_config.json"]
    {
        fs::copy(fixture("tiny-siglip").join(name), folder.path().join(name)).expect("copied");
    }
    folder
}

fn edit(folder: &TempDir, name: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.path().join(name);
    let mut value = serde_json::from_str(&fs::read_to_string(&path).expect("read")).expect("JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("written");
}

fn open(folder: &Path) -> Result<Layout, crate::Error> {
    Layout::open(folder, &Options::default())
}

/// A padding, and what the tokenizer gives for some texts.
fn words(folder: &Path, texts: &[&str]) -> (Padding, Vec<Vec<u32>>) {
    let mut layout = open(folder).expect("opens");
    let json = layout.tokenizer().expect("a tokenizer");
    let tokenizer = Tokenizer::from_bytes(json.as_bytes()).expect("a tokenizer");
    let ids = texts.iter().map(|text| tokenizer.encode(*text, true).expect("ids").get_ids().to_vec()).collect();
    let TextPooling::Last(padding) = layout.model().text().expect("a text tower").pooling else {
        panic!("not padded");
    };
    (padding, ids)
}

#[test]
fn the_fixture_is_what_its_configuration_says() {
    let siglip = open(&fixture("tiny-siglip")).expect("opens");
    let (model, name) = (siglip.model(), siglip.name());
    let (vision, text) = (model.vision().expect("a tower"), model.text().expect("a tower"));
    assert_eq!((name, model.embedding, vision.tokens(), text.context), ("Hugging Face SigLIP", 24, 16, 16));
    assert_eq!((vision.head.pooling, vision.head.score), (Pooling::Attention, Score::Sigmoid));
    assert!((model.logit_scale - 2.25f32.exp()).abs() < 1e-5 && model.logit_bias == -3.5);
    assert_eq!(siglip.tensor("vision.pool.k.weight").expect("a tensor").shape, [24, 24]);
}

#[test]
fn ids_are_those_of_transformers() {
    let tokens = fs::read_to_string(fixture("golden/siglip/tokens.json")).expect("read");
    let tokens: Vec<Value> = serde_json::from_str(&tokens).expect("JSON");
    let texts: Vec<&str> = tokens.iter().map(|entry| entry["text"].as_str().expect("a text")).collect();
    let (padding, ids) = words(&fixture("tiny-siglip"), &texts);
    assert_eq!(padding, Padding { id: 1, before: false });
    for (entry, ids) in tokens.iter().zip(ids) {
        let golden: Vec<u32> = serde_json::from_value(entry["ids"].clone()).expect("ids");
        // The goldens are cut to the context.
        let cut = if golden.len() == 16 { [&ids[..15], &[1]].concat() } else { ids };
        assert_eq!(cut, golden, "{entry}");
    }
}

#[test]
fn a_tokenizer_json_gets_what_training_did_to_texts() {
    let folder = copy();
    let (_, golden) = words(folder.path(), &["a photo of a cat"]);
    let json = open(folder.path()).expect("opens").tokenizer().expect("a tokenizer");
    let mut bare: Value = serde_json::from_str(&json).expect("JSON");
    bare["normalizer"] = Value::Null;
    fs::remove_file(folder.path().join("spiece.model")).expect("removed");
    fs::write(folder.path().join("tokenizer.json"), bare.to_string()).expect("written");
    let (_, ids) = words(folder.path(), &["A photo, of (a)  Cat! "]);
    assert_eq!(ids, golden);
}

#[test]
fn byte_pairs_are_lower_cased_and_padded_as_their_class_is() {
    let folder = copy();
    fs::remove_file(folder.path().join("spiece.model")).expect("removed");
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 0, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "vocab": {"<pad>": 0, "a": 1, "▁": 2, "!": 3}, "merges": []},
    });
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("written");
    for (settings, before) in [
        (json!({"pad_token": "<pad>", "tokenizer_class": "Siglip2Tokenizer"}), true),
        (
            json!({"pad_token": {"content": "<pad>"}, "tokenizer_class": "GemmaTokenizer", "padding_side": "right"}),
            false,
        ),
    ] {
        fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).expect("written");
        let (padding, ids) = words(folder.path(), &["A a!"]);
        assert_eq!((padding, ids), (Padding { id: 0, before }, vec![vec![1, 2, 1, 3]]));
    }
}

#[test]
fn what_is_missing_or_odd_is_named() {
    let refusal = |name: &str, change: &dyn Fn(&mut Value)| {
        let folder = copy();
        edit(&folder, name, |value| change(value));
        let said = open(folder.path()).and_then(|mut layout| layout.tokenizer()).expect_err("refused").to_string();
        assert!(!said.contains('\n'), "{said}");
        said
    };
    let vision = |key: &'static str, value: Value| {
        refusal("config.json", &move |config| config["vision_config"][key] = value.clone())
    };
    assert!(vision("vision_use_head", json!(false)).contains("vision_use_head"));
    assert!(vision("hidden_act", json!("relu")).contains("gelu_pytorch_tanh"));
    assert!(vision("hidden_size", json!(27)).contains("but images embed to 27"));
    assert!(refusal("config.json", &|config| config["model_type"] = json!("siglip2")).contains("siglip2"));
    assert!(refusal("config.json", &|config| config["text_config"]["vocab_size"] = json!(300)).contains("`text_model"));
    let no_pad =
        refusal("tokenizer_config.json", &|settings| _ = settings.as_object_mut().expect("").remove("pad_token"));
    assert!(no_pad.contains("pad_token"), "{no_pad}");
    let side = refusal("tokenizer_config.json", &|settings| settings["padding_side"] = json!("top"));
    assert!(side.contains("neither left nor right"), "{side}");
    let folder = copy();
    fs::remove_file(folder.path().join("spiece.model")).expect("removed");
    let said = open(folder.path()).and_then(|mut layout| layout.tokenizer()).expect_err("refused").to_string();
    assert!(said.contains("neither spiece.model nor tokenizer.json"), "{said}");
}

#[test]
fn towers_saved_by_themselves_may_lack_their_names_beginning() {
    let whole = open(&fixture("tiny-siglip")).expect("opens");
    let bytes = fs::read(fixture("tiny-siglip/model.safetensors")).expect("read");
    let weights = SafeTensors::deserialize(&bytes).expect("safetensors");
    for (tower, section, model_type, tensor) in [
        ("vision_model.", "vision_config", "siglip_vision_model", "vision.pool.k.weight"),
        ("text_model.", "text_config", "siglip_text_model", "text.blocks.0.q.weight"),
    ] {
        let folder = copy();
        let own = weights.iter().filter_map(|(name, view)| Some((name.strip_prefix(tower)?.to_owned(), view)));
        fs::write(folder.path().join("model.safetensors"), serialize(own, None).expect("serialisable"))
            .expect("written");
        edit(&folder, "config.json", |config| {
            *config = config[section].take();
            config["model_type"] = json!(model_type);
        });
        let alone = open(folder.path()).expect("opens");
        assert_eq!(
            (alone.model().vision().is_ok(), alone.model().text().is_ok()),
            (tower == "vision_model.", tower == "text_model.")
        );
        assert_eq!(alone.tensor(tensor).expect("a tensor").data, whole.tensor(tensor).expect("a tensor").data);
    }
}
