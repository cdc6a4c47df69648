//! The text tower's graph.

use std::io::Write;

use edgelip::onnx::{Attribute, Dim, ElementType, OnnxModel, ValueInfo};
use edgelip_kernels::padded;

use crate::error::Error;
use crate::source::{Source, TextConfig, TextPooling};

use super::builder::{Graph, Value};
use super::pack::push_f16;
use super::transformer::{Queries, Transformer};
use super::{Precision, TextOptions, metadata};

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
    let [mut x, mask, end] = embed_tokens(&mut graph, source, config, options.precision);
    for index in 0..config.blocks {
        let (queries, bias) = if index + 1 < config.blocks {
            (Queries::All, mask.clone())
        } else {
            graph.enter(format!("blocks.{index}"));
            let row = graph.rows("mask/row", &mask, &end);
            (Queries::At(&end), row)
        };
        graph.enter(format!("blocks.{index}"));
        let heads_axis = graph.ints(&[1]);
        let bias = graph.node("Unsqueeze", "mask", &[&bias, &heads_axis]);
        let [rows, _] = transformer.attend(&mut graph, index, &x, queries, Some(&bias));
        x = transformer.perceive(&mut graph, index, &rows);
    }
    transformer.project(&mut graph, &x, "final_norm", model.embedding, "text_embeds");

    let mut onnx = metadata::model("text", model, &transformer);
    metadata::text(&mut onnx, config, options);
    let symbol = |name: &str| Dim::Symbol(name.into());
    for name in ["input_ids", "attention_mask"] {
        let shape = vec![symbol("N"), symbol("S")];
        onnx.inputs.push(ValueInfo { name: name.into(), element: ElementType::I64, shape });
    }
    let shape = vec![symbol("N"), Dim::Fixed(model.embedding as u64)];
    onnx.outputs.push(ValueInfo { name: "text_embeds".into(), element: ElementType::F32, shape });
    graph.finish(&mut onnx);
    Ok(onnx)
}

/// Tokens `[N, S, width]`, what to add to the logits of each query's keys `[N, S, S]`, and the row to read `[N, 1]`.
fn embed_tokens<'a>(
    graph: &mut Graph<'a>,
    source: &'a dyn Source,
    config: &TextConfig,
    precision: Precision,
) -> [Value; 3] {
    let (width, stride) = (config.width, padded(config.width));
    graph.enter("embed");
    let ids = Value::named("input_ids");
    let table = token_table(graph, source, config, precision);
    let context = config.context;
    let position = graph.rows_of_floats("text.position", &[context, stride], move || {
        let mut rows = Vec::with_capacity(context * stride);
        for row in source.tensor("text.position")?.data.chunks_exact(width) {
            rows.extend_from_slice(row);
            rows.resize(rows.len().next_multiple_of(stride), 0.0);
        }
        Ok(rows)
    });

    let mut x = graph.node_with("Gather", "token", &[&table, &ids], &[("axis", Attribute::Int(0))]);
    if precision != Precision::F32 {
        x = graph.cast("token/f32", &x, ElementType::F32);
    }
    let shape = graph.node("Shape", "shape", &[&ids]);
    let length = graph.slice("length", &shape, 0, 1, 2, 1);
    let (zero, first) = (graph.ints(&[0]), graph.ints(&[0]));
    let position = graph.node("Slice", "position", &[&position, &zero, &length, &first]);
    x = graph.node("Add", "positioned", &[&x, &position]);
    x = graph.columns("tokens", &x, width, stride);

    let range = graph.range(context);
    let keys = graph.node("Slice", "mask/keys", &[&range, &zero, &length, &first]);
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
    };
    // Ids are exact in f32, and the first of equal ones wins.
    let marks = graph.cast("end/scores", &marks, ElementType::F32);
    let attributes = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(1))];
    let end = graph.node_with("ArgMax", "end", &[&marks], &attributes);
    [x, mask, end]
}

/// `text.token.weight [vocabulary, padded(width)]`.
fn token_table<'a>(graph: &mut Graph<'a>, source: &'a dyn Source, config: &TextConfig, precision: Precision) -> Value {
    let (width, stride) = (config.width, padded(config.width));
    let half = precision != Precision::F32;
    let element = if half { ElementType::F16 } else { ElementType::F32 };
    let write = move |out: &mut dyn Write| {
        let table = source.tensor("text.token.weight")?.data;
        let (mut row, mut bytes) = (vec![0.0; stride], Vec::new());
        for values in table.chunks_exact(width) {
            row[..width].copy_from_slice(values);
            bytes.clear();
            match half {
                true => push_f16(&row, &mut bytes)?,
                false => bytes.extend(row.iter().flat_map(|value| value.to_le_bytes())),
            }
            out.write_all(&bytes)?;
        }
        Ok(())
    };
    graph.weight("text.token.weight", element, &[config.vocabulary, stride], Box::new(write))
}
