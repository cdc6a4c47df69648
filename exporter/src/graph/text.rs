//! The text tower's graph.

use std::rc::Rc;

use edgelip::onnx::{Attribute, Dim, ElementType, OnnxModel, ValueInfo};

use crate::error::Error;
use crate::source::{NormPlace, Padding, Source, TextConfig, TextPooling};

use super::builder::{Graph, Value};
use super::smooth::Smoothing;
use super::token_embedding::TokenEmbedding;
use super::transformer::{Queries, Transformer};
use super::{TextOptions, metadata};

/// The text tower of `source` as an ONNX model. Weights are read when it is written.
///
/// # Errors
/// [`Error::NoTower`] without a text tower, [`Error::Graph`] for sizes of zero.
pub fn text<'a>(source: &'a dyn Source, options: &TextOptions) -> Result<OnnxModel<'a>, Error> {
    let model = source.model();
    let config = model.text()?;
    let sizes = [config.context, config.vocabulary, config.width, config.heads, config.blocks, config.mlp];
    if sizes.contains(&0) || !config.width.is_multiple_of(config.heads.max(1)) {
        return Err(Error::Graph("the text tower has a size of zero, or heads that do not divide its width".into()));
    }
    let transformer = Transformer {
        source,
        precision: options.precision,
        width: config.width,
        heads: config.heads,
        blocks: config.blocks,
        mlp: config.mlp,
        activation: config.activation,
        norm_eps: config.norm_eps,
    };
    let mut graph = Graph::new("text");
    graph.enter("embed");
    let mut ids = Value::named("input_ids");
    if let TextPooling::Last(padding) = config.pooling {
        ids = filled(&mut graph, ids, padding);
    }
    let shape = graph.node("Shape", "shape", &[&ids]);
    let length = graph.slice("length", &shape, 0, 1, 2, 1);
    let x = TokenEmbedding { source, config, precision: options.precision }.build(&mut graph, &ids, &length);
    match (config.norm, config.pooling) {
        (NormPlace::Pre, TextPooling::Last(_)) => to_last(&mut graph, &transformer, x, config, model.embedding),
        (NormPlace::Pre, _) => {
            let causal = causal(&mut graph, config, ids, &length)?;
            causal_blocks(&mut graph, &transformer, x, &causal, model.embedding);
        }
        (NormPlace::Post, pooling @ (TextPooling::Mean | TextPooling::Pooler)) => {
            full_blocks(&mut graph, &transformer, &x, pooling, model.embedding);
        }
        (NormPlace::Post, _) => {
            return Err(Error::Graph("with post-norms only the mean and a pooler are supported".into()));
        }
    }

    let mut onnx = metadata::model("text", model, &transformer);
    metadata::text(&mut onnx, config, options);
    let symbol = |name: &str| Dim::Symbol(name.into());
    let length = match config.pooling {
        TextPooling::Last(_) => Dim::Fixed(config.context as u64),
        _ => symbol("S"),
    };
    for name in ["input_ids", "attention_mask"] {
        let shape = vec![symbol("N"), length.clone()];
        onnx.inputs.push(ValueInfo { name: name.into(), element: ElementType::I64, shape });
    }
    let shape = vec![symbol("N"), Dim::Fixed(model.embedding as u64)];
    onnx.outputs.push(ValueInfo { name: "text_embeds".into(), element: ElementType::F32, shape });
    graph.finish(&mut onnx);
    Ok(onnx)
}

/// What flows into CLIP's blocks beside the tokens.
struct Causal {
    /// What to add to the logits of each query's keys, `[N, S, S]`.
    mask: Value,
    /// The row to read, `[N, 1]`.
    end: Value,
}

/// CLIP's blocks and head: each token sees those before it, and the end token's row is the text's.
fn causal_blocks<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    mut x: Value,
    Causal { mask, end }: &Causal,
    embedding: usize,
) {
    for index in 0..transformer.blocks {
        let (queries, bias) = if index + 1 < transformer.blocks {
            (Queries::All, mask.clone())
        } else {
            graph.enter(format!("blocks.{index}"));
            let row = graph.rows("mask/row", mask, end);
            (Queries::At(end), row)
        };
        graph.enter(format!("blocks.{index}"));
        let heads_axis = graph.ints(&[1]);
        let bias = graph.node("Unsqueeze", "mask", &[&bias, &heads_axis]);
        let [rows, _] = transformer.attend(graph, index, &x, queries, Some(&bias));
        x = transformer.perceive(graph, index, &rows);
    }
    transformer.project(graph, &x, "final_norm", embedding, "text_embeds");
}

/// Ids with the tower's own padding wherever the mask says padding: attention sees it.
fn filled(graph: &mut Graph<'_>, ids: Value, padding: Padding) -> Value {
    let (zero, pad) = (graph.ints(&[0]), graph.ints(&[i64::from(padding.id)]));
    let padded = graph.node("Equal", "ids/padded", &[&Value::named("attention_mask"), &zero]);
    graph.node("Where", "ids", &[&padded, &pad, &ids])
}

/// SigLIP's blocks and head: each token sees all, and the last one's row is the text's.
fn to_last<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    mut x: Value,
    config: &TextConfig,
    embedding: usize,
) {
    for index in 0..transformer.blocks {
        let last = index + 1 == transformer.blocks;
        let queries = if last { Queries::Row(config.context - 1) } else { Queries::All };
        let [rows, _] = transformer.attend(graph, index, &x, queries, None);
        x = transformer.perceive(graph, index, &rows);
    }
    transformer.project(graph, &x, "final_norm", embedding, "text_embeds");
}

/// BERT's norm of the embeddings, blocks and head: each token sees all, and their mean or the first one is the text's.
fn full_blocks<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    x: &Value,
    pooling: TextPooling,
    embedding: usize,
) {
    let given = Value::named("attention_mask");
    let zero = graph.ints(&[0]);
    let padding = graph.node("Equal", "mask/padding", &[&given, &zero]);
    let (never, none) = (graph.float(f32::MIN), graph.float(0.0));
    let mask = graph.node("Where", "mask", &[&padding, &never, &none]);
    let axes = graph.ints(&[1, 2]);
    let mask = graph.node("Unsqueeze", "mask/rows", &[&mask, &axes]);
    let mut x = transformer.norm_behind(graph, "norm", "text.embed_norm", x);
    let smoothing = Rc::new(Smoothing::new(transformer.source));
    for index in 0..transformer.blocks {
        x = transformer.post_norm_block(graph, index, &x, &mask, &smoothing);
    }
    transformer.pool(graph, [&x, &given], pooling, embedding, "text_embeds");
}

/// Who sees whom, and which row is read.
fn causal<'a>(graph: &mut Graph<'a>, config: &TextConfig, ids: Value, length: &Value) -> Result<Causal, Error> {
    let (zero, first) = (graph.ints(&[0]), graph.ints(&[0]));
    let range = graph.range(config.context);
    let keys = graph.node("Slice", "mask/keys", &[&range, &zero, length, &first]);
    let last = graph.ints(&[1]);
    let queries = graph.node("Unsqueeze", "mask/queries", &[&keys, &last]);
    let later = graph.node("Greater", "mask/later", &[&keys, &queries]);
    let padding = graph.node("Equal", "mask/padding", &[&Value::named("attention_mask"), &zero]);
    let padding = graph.node("Unsqueeze", "mask/padding/row", &[&padding, &last]);
    let hidden = graph.node("Or", "mask/hidden", &[&later, &padding]);
    let (never, none) = (graph.float(f32::MIN), graph.float(0.0));
    let mask = graph.node("Where", "mask", &[&hidden, &never, &none]);

    let marks = match config.pooling {
        TextPooling::EotFirst => {
            let eot = graph.ints(&[i64::from(config.eot)]);
            graph.node("Equal", "end/marks", &[&ids, &eot])
        }
        TextPooling::EotArgmax => ids,
        TextPooling::Mean | TextPooling::Pooler | TextPooling::Last(_) => {
            return Err(Error::Graph("this pooling is of texts whose tokens see each other".into()));
        }
    };
    // Ids are exact in f32, and the first of equal ones wins.
    let marks = graph.cast("end/scores", &marks, ElementType::F32);
    let attributes = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(1))];
    let end = graph.node_with("ArgMax", "end", &[&marks], &attributes);
    Ok(Causal { mask, end })
}
