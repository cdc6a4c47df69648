use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{SafeTensors, TensorView, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::layout::{Layout, Options};
use crate::source::Source;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-bert")
}

/// A copy of the fixture that may be changed.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("1_Pooling")).expect("made");
    for name in ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "sentence_bert_config.json"] {
        fs::copy(fixture().join(name), folder.path().join(name)).expect("copied");
    }
    let pooling = "1_Pooling/config.json";
    fs::copy(fixture().join(pooling), folder.path().join(pooling)).expect("copied");
    folder
}

fn edit(folder: &TempDir, name: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.path().join(name);
    let mut value = serde_json::from_str(&fs::read_to_string(&path).expect("read")).expect("JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("written");
}

/// Writes the fixture's tensors under other names; `None` leaves one out.
fn rename(folder: &TempDir, name: impl Fn(&str) -> Option<String>) {
    let bytes = fs::read(fixture().join("model.safetensors")).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let views = tensors.iter().filter_map(|(own, view)| {
        let view = TensorView::new(view.dtype(), view.shape().to_vec(), view.data()).expect("a view");
        Some((name(own)?, view))
    });
    fs::write(folder.path().join("model.safetensors"), serialize(views, None).expect("bytes")).expect("written");
}

fn refusal(folder: &TempDir) -> String {
    Layout::open(folder.path(), &Options::default()).expect_err("refused").to_string()
}

#[test]
fn names_with_a_prefix_and_of_tensorflow_are_known() {
    let own = Layout::open(&fixture(), &Options::default()).expect("opens");
    let (folder, other) = (copy(), copy());
    rename(&folder, |name| Some(format!("bert.{name}")));
    let gamma =
        |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    rename(&other, |name| Some(gamma(name)));
    for folder in [folder, other] {
        let renamed = Layout::open(folder.path(), &Options::default()).expect("opens");
        assert_eq!(renamed.parameters("text"), own.parameters("text"));
        for name in ["text.token.weight", "text.embed_norm.bias", "text.blocks.2.norm1.weight", "text.blocks.0.q.bias"]
        {
            assert_eq!(renamed.tensor(name).expect("there"), own.tensor(name).expect("there"), "{name}");
        }
    }
    assert!(!own.has("text.projection.weight"));
}

#[test]
fn the_context_is_the_configurations_and_can_be_cut() {
    let mut bert = Layout::open(&fixture(), &Options::default()).expect("opens");
    assert_eq!(bert.model().text().expect("a tower").context, 32);
    let whole = bert.tensor("text.position").expect("there");
    assert_eq!(whole.shape, [32, 24]);
    assert_eq!(bert.tensor("text.token_type").expect("there").shape, [24]);
    bert.set_context(8).expect("fits");
    let cut = bert.tensor("text.position").expect("there");
    assert_eq!((&cut.shape[..], &cut.data[..]), (&[8, 24][..], &whole.data[..8 * 24]));
    for context in [0, 2, 9] {
        assert!(bert.set_context(context).expect_err("refused").to_string().contains("this checkpoint takes 3 to 8"));
    }
    bert.tokenizer().expect("a tokenizer");
    assert_eq!(bert.model().text().expect("a tower").eot, 3);
}

#[test]
fn without_modules_the_pooling_says_what_it_is() {
    let folder = copy();
    fs::remove_file(folder.path().join("modules.json")).expect("removed");
    assert_eq!(Layout::open(folder.path(), &Options::default()).expect("opens").name(), "sentence-transformers BERT");
    fs::remove_file(folder.path().join("1_Pooling/config.json")).expect("removed");
    assert!(refusal(&folder).contains("nothing says how tokens become an embedding"));
}

#[test]
fn settings_that_would_go_wrong_silently_are_refused() {
    let config = [
        ("hidden_act", json!("relu"), "activation `relu`"),
        ("hidden_act", json!("gelu_new"), "activation `gelu_new`"),
        ("position_embedding_type", json!("relative_key"), "`relative_key` is not supported"),
        ("is_decoder", json!(true), "only `false`"),
        ("num_attention_heads", json!(5), "5 does not divide hidden_size 24"),
        ("num_hidden_layers", json!(4000), "more than the 48"),
        ("model_type", json!("mpnet"), "`mpnet` is not supported as a text tower"),
        (
            "intermediate_size",
            json!(48),
            "`encoder.layer.0.intermediate.dense.weight` is [40, 24], but config.json makes it [48, 24]",
        ),
        ("layer_norm_eps", json!(-1), "-1 is not between 0 and 1"),
    ];
    for (key, value, reason) in config {
        let folder = copy();
        edit(&folder, "config.json", |config| config[key] = value);
        let said = refusal(&folder);
        assert!(said.contains(reason), "{said}");
    }
    let pooling = [
        ("pooling_mode_cls_token", json!(true)),
        ("pooling_mode_mean_tokens", json!(false)),
        ("pooling_mode", json!("cls")),
        ("word_embedding_dimension", json!(48)),
    ];
    for (key, value) in pooling {
        let folder = copy();
        edit(&folder, "1_Pooling/config.json", |pooling| pooling[key] = value);
        assert!(refusal(&folder).contains("1_Pooling/config.json"), "{key}");
    }
    let folder = copy();
    edit(&folder, "modules.json", |modules| modules[2]["type"] = json!("sentence_transformers.models.LSTM"));
    assert!(refusal(&folder).contains("models.LSTM` is not supported"));
    let folder = copy();
    edit(&folder, "modules.json", |modules| modules[1]["path"] = json!("../elsewhere"));
    assert!(refusal(&folder).contains("is not a folder in this one"));
}

#[test]
fn tensors_and_tokenizers_that_do_not_fit_are_refused() {
    let folder = copy();
    rename(&folder, |name| (name != "encoder.layer.1.output.LayerNorm.bias").then(|| name.into()));
    assert!(refusal(&folder).contains("`encoder.layer.1.output.LayerNorm.bias` is missing"));
    let folder = copy();
    edit(&folder, "sentence_bert_config.json", |limits| limits["do_lower_case"] = json!(true));
    assert!(Layout::open(folder.path(), &Options::default()).expect("opens").tokenizer().is_ok());
    edit(&folder, "tokenizer.json", |tokenizer| tokenizer["normalizer"]["lowercase"] = json!(false));
    let said =
        Layout::open(folder.path(), &Options::default()).expect("opens").tokenizer().expect_err("refused").to_string();
    assert!(said.contains("do_lower_case"), "{said}");
    fs::remove_file(folder.path().join("tokenizer.json")).expect("removed");
    let said =
        Layout::open(folder.path(), &Options::default()).expect("opens").tokenizer().expect_err("refused").to_string();
    assert!(said.contains("has neither tokenizer.json"), "{said}");
}

/// A projection behind the pooling, of 24 values to `rows`.
fn with_dense(folder: &TempDir, rows: usize) {
    let place = folder.path().join("2_Dense");
    fs::create_dir(&place).expect("made");
    let config = json!({
        "in_features": 24, "out_features": rows, "bias": false, "activation_function": "torch.nn.modules.linear.Identity",
    });
    fs::write(place.join("config.json"), config.to_string()).expect("written");
    let data: Vec<u8> = (0..rows * 24).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let view = TensorView::new(safetensors::Dtype::F32, vec![rows, 24], &data).expect("a view");
    fs::write(place.join("model.safetensors"), serialize([("linear.weight", view)], None).expect("bytes"))
        .expect("written");
    edit(folder, "modules.json", |modules| {
        modules[2] = json!({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"});
    });
}

#[test]
fn a_projection_may_follow_the_pooling() {
    let folder = copy();
    with_dense(&folder, 10);
    let bert = Layout::open(folder.path(), &Options::default()).expect("opens");
    assert_eq!(bert.model().embedding, 10);
    let projection = bert.tensor("text.projection.weight").expect("there");
    assert_eq!((projection.shape, projection.data[25]), (vec![10, 24], 25.0));
    assert_eq!(bert.checkpoint().files().count(), 2);
    for (key, value) in
        [("bias", json!(true)), ("activation_function", json!("torch.nn.Tanh")), ("in_features", json!(20))]
    {
        let folder = copy();
        with_dense(&folder, 10);
        edit(&folder, "2_Dense/config.json", |config| config[key] = value);
        assert!(refusal(&folder).contains(&format!("2_Dense/config.json: {key}")), "{key}");
    }
    edit(&folder, "2_Dense/config.json", |config| config["out_features"] = json!(11));
    assert!(refusal(&folder).contains("`dense.linear.weight` is [10, 24], but config.json makes it [11, 24]"));
}

#[test]
fn distilbert_is_a_bert_without_types() {
    let folder = copy();
    edit(&folder, "config.json", |config| {
        *config = json!({
            "model_type": "distilbert", "dim": 24, "n_heads": config["num_attention_heads"], "n_layers": config["num_hidden_layers"],
            "hidden_dim": config["intermediate_size"], "vocab_size": config["vocab_size"],
            "max_position_embeddings": config["max_position_embeddings"],
        });
    });
    rename(&folder, |name| {
        let name =
            name.replace("encoder.layer", "transformer.layer").replace("attention.output.LayerNorm", "sa_layer_norm");
        let name =
            name.replace("attention.output.dense", "attention.out_lin").replace("intermediate.dense", "ffn.lin1");
        let name = name.replace("output.dense", "ffn.lin2").replace("output.LayerNorm", "output_layer_norm");
        let name =
            name.replace("attention.self.query", "attention.q_lin").replace("attention.self.key", "attention.k_lin");
        (!name.contains("token_type")).then(|| name.replace("attention.self.value", "attention.v_lin"))
    });
    let (own, bert) = (
        Layout::open(&fixture(), &Options::default()).expect("opens"),
        Layout::open(folder.path(), &Options::default()).expect("opens"),
    );
    for name in
        ["text.embed_norm.weight", "text.blocks.1.v.bias", "text.blocks.0.fc2.weight", "text.blocks.2.norm2.bias"]
    {
        assert_eq!(bert.tensor(name).expect("there"), own.tensor(name).expect("there"), "{name}");
    }
    assert_eq!(bert.tensor("text.token_type").expect("there").data, [0.0; 24]);
}
