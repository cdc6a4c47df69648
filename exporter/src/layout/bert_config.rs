//! What a folder of sentence-transformers, or of a plain Hugging Face BERT beside a pooling, says about itself.

use std::path::{Path, PathBuf};

use edgelip_runtime::plan::MAX_BLOCKS;
use serde_json::Value;

use super::clip_config::norm_eps;
use super::fields::Fields;
use crate::error::Error;
use crate::source::{Activation, NormPlace, TextConfig, TextPooling};

/// Where the parts of a model lie.
pub(super) struct Modules {
    /// The folder of weights, `config.json` and tokenizer.
    pub(super) transformer: PathBuf,
    /// The folder of the pooling's `config.json`.
    pub(super) pooling: PathBuf,
    /// The folder of a projection behind the pooling, with a `config.json` too.
    pub(super) dense: Option<PathBuf>,
}

/// Reads `modules.json`; without one, the weights lie in the folder itself and the pooling in `1_Pooling`.
pub(super) fn modules(folder: &Path) -> Result<Modules, Error> {
    let path = folder.join("modules.json");
    if !path.exists() {
        return Ok(Modules { transformer: folder.into(), pooling: folder.join("1_Pooling"), dense: None });
    }
    let (mut transformer, mut pooling, mut dense, mut is_clip) = (None, None, None, false);
    for module in Fields::read_list(&path)? {
        let (kind, place) = (module.text("type", "")?, module.text("path", "")?);
        if Path::new(&place).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(module.error("path", format!("`{place}` is not a folder in this one")));
        }
        match (kind.rsplit('.').next(), &transformer, &pooling) {
            (Some("CLIPModel"), None, None) => (transformer, is_clip) = (Some(folder.join(place)), true),
            (Some("Transformer"), None, None) => transformer = Some(folder.join(place)),
            (Some("Pooling"), Some(_), None) if !is_clip => pooling = Some(folder.join(place)),
            (Some("Dense"), Some(_), Some(_)) if dense.is_none() => dense = Some(folder.join(place)),
            (Some("Normalize"), Some(_), Some(_)) => {}
            (Some("Normalize"), Some(_), None) if is_clip => {}
            _ => {
                let reason = format!(
                    "`{kind}` is not supported here; Transformer, Pooling, Dense and Normalize in this order are, or CLIPModel alone"
                );
                return Err(module.error("type", reason));
            }
        }
    }
    match (transformer, pooling) {
        (Some(transformer), Some(pooling)) => Ok(Modules { transformer, pooling, dense }),
        // A CLIP's towers do their own pooling.
        (Some(transformer), None) if is_clip => Ok(Modules { pooling: transformer.clone(), transformer, dense }),
        _ => Err(Error::malformed(&path, "lists no Transformer and Pooling")),
    }
}

/// Keys of `config.json` by what they tell: BERT's, or DistilBERT's.
struct Keys {
    width: &'static str,
    heads: &'static str,
    blocks: &'static str,
    mlp: &'static str,
    activation: &'static str,
}

const BERT: Keys = Keys {
    width: "hidden_size",
    heads: "num_attention_heads",
    blocks: "num_hidden_layers",
    mlp: "intermediate_size",
    activation: "hidden_act",
};
const DISTILBERT: Keys =
    Keys { width: "dim", heads: "n_heads", blocks: "n_layers", mlp: "hidden_dim", activation: "activation" };

/// The tower that `config.json`, the pooling and `sentence_bert_config.json` describe. Its end token is not known yet.
pub(super) fn text(config: &Fields, modules: &Modules) -> Result<TextConfig, Error> {
    let text = tower(config, TextPooling::Mean)?;
    check_pooling(&modules.pooling, text.width)?;
    let context = longest(&modules.transformer)?.unwrap_or(text.context).min(text.context);
    Ok(TextConfig { context, ..text })
}

/// The tower that `config.json` describes, which takes as many tokens as it has places for.
pub(super) fn tower(config: &Fields, pooling: TextPooling) -> Result<TextConfig, Error> {
    for (key, default, wanted) in [("is_decoder", false, false), ("add_cross_attention", false, false)] {
        if config.flag(key, default)? != wanted {
            return Err(config.error(key, format!("only `{wanted}` is supported")));
        }
    }
    let positions = config.text("position_embedding_type", "absolute")?;
    if positions != "absolute" {
        return Err(config.error("position_embedding_type", format!("`{positions}` is not supported; `absolute` is")));
    }
    let is_distilled = config.text("model_type", "")? == "distilbert";
    let keys = if is_distilled { DISTILBERT } else { BERT };
    let (width, heads) = (config.size(keys.width, 768)?, config.size(keys.heads, 12)?);
    if !width.is_multiple_of(heads) {
        return Err(config.error(keys.heads, format!("{heads} does not divide {} {width}", keys.width)));
    }
    let blocks = config.size(keys.blocks, if is_distilled { 6 } else { 12 })?;
    if blocks > MAX_BLOCKS {
        let reason = format!("{blocks} is more than the {MAX_BLOCKS} that are supported");
        return Err(config.error(keys.blocks, reason));
    }
    let activation = config.text(keys.activation, "gelu")?;
    if activation != "gelu" {
        return Err(config.error(keys.activation, format!("activation `{activation}` is not supported; `gelu` is")));
    }
    let norm_eps = norm_eps(config, "layer_norm_eps", 1e-12)?;
    Ok(TextConfig {
        context: config.size("max_position_embeddings", 512)?,
        vocabulary: config.size("vocab_size", 30522)?,
        width,
        heads,
        blocks,
        mlp: config.size(keys.mlp, 3072)?,
        activation: Activation::Gelu,
        norm_eps,
        norm: NormPlace::Post,
        eot: 0,
        pooling,
    })
}

/// Length of the embeddings that a projection behind the pooling makes of `width` values.
pub(super) fn dense(folder: &Path, width: usize) -> Result<usize, Error> {
    let config = Fields::read(&folder.join("config.json"))?;
    let inputs = config.size("in_features", width)?;
    if inputs != width {
        return Err(config.error("in_features", format!("{inputs}, but the tokens have {width} values")));
    }
    if config.flag("bias", true)? {
        return Err(config.error("bias", "only `false` is supported"));
    }
    let activation = config.text("activation_function", "torch.nn.modules.activation.Tanh")?;
    if activation.rsplit('.').next() != Some("Identity") {
        return Err(config.error("activation_function", format!("`{activation}` is not supported; Identity is")));
    }
    config.size("out_features", width)
}

/// Refuses every pooling but the mean: another one gives embeddings that are plausible, and wrong.
fn check_pooling(folder: &Path, width: usize) -> Result<(), Error> {
    let path = folder.join("config.json");
    if !path.exists() {
        let reason = "is missing, so that nothing says how tokens become an embedding: copy it from the original model";
        return Err(Error::malformed(path, reason));
    }
    let pooling = Fields::read(&path)?;
    let own = pooling.size("word_embedding_dimension", width)?;
    if own != width {
        return Err(pooling.error("word_embedding_dimension", format!("{own}, but the tokens have {width} values")));
    }
    let mode = pooling.text("pooling_mode", "")?;
    if !["", "mean"].contains(&mode.as_str()) {
        return Err(pooling.error("pooling_mode", format!("`{mode}` is not supported; `mean` is")));
    }
    let named = mode == "mean";
    for key in pooling.keys().filter(|key| key.starts_with("pooling_mode_")) {
        if pooling.flag(key, false)? != (key == "pooling_mode_mean_tokens") {
            return Err(pooling.error(key, "only the mean of the tokens is supported (`pooling_mode_mean_tokens`)"));
        }
    }
    if !named && !pooling.flag("pooling_mode_mean_tokens", false)? {
        return Err(pooling.error("pooling_mode_mean_tokens", "is missing; only the mean of the tokens is supported"));
    }
    Ok(())
}

/// The longest text in tokens, as far as anything but the position table limits it.
fn longest(folder: &Path) -> Result<Option<usize>, Error> {
    let path = folder.join("sentence_bert_config.json");
    if !path.exists() {
        return Ok(None);
    }
    let limits = Fields::read(&path)?;
    limits.get("max_seq_length").map(|value: &Value| limits.as_size("max_seq_length", value)).transpose()
}

/// The file that wants texts lower-cased before the tokenizer sees them, if one does.
pub(super) fn lower_cases(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let path = folder.join("sentence_bert_config.json");
    let wanted = path.exists() && Fields::read(&path)?.flag("do_lower_case", false)?;
    Ok(wanted.then_some(path))
}
