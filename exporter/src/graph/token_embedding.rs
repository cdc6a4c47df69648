//! Token ids to the first tokens of a text tower.

use std::io::Write;

use edgelip::onnx::{Attribute, ElementType};
use edgelip_kernels::padded;

use crate::error::Error;
use crate::source::{Source, TextConfig, TextPooling};

use super::Precision;
use super::builder::{Graph, Value};
use super::pack::{push_f16, quantise};

/// The token table and the positions of a text tower.
#[derive(Clone, Copy)]
pub(super) struct TokenEmbedding<'a, 'c> {
    pub source: &'a dyn Source,
    pub config: &'c TextConfig,
    pub precision: Precision,
}

impl<'a> TokenEmbedding<'a, '_> {
    /// The sum of each token's row and its position, `[N, S, width]`; `length` is `S` as a vector of one.
    pub fn build(self, graph: &mut Graph<'a>, ids: &Value, length: &Value) -> Value {
        let (width, stride) = (self.config.width, padded(self.config.width));
        let token = self.token(graph, ids);
        let position = self.position(graph);
        let (zero, first) = (graph.ints(&[0]), graph.ints(&[0]));
        let position = graph.node("Slice", "position", &[&position, &zero, length, &first]);
        let sum = graph.node("Add", "positioned", &[&token, &position]);
        graph.columns("tokens", &sum, width, stride)
    }

    /// How the table is stored: as BERT's and SigLIP's are most of a file, they are quantised too.
    fn stored(self) -> Precision {
        match self.config.pooling {
            TextPooling::EotFirst | TextPooling::EotArgmax => self.precision.kept(),
            TextPooling::Mean | TextPooling::Pooler | TextPooling::Last(_) => self.precision,
        }
    }

    /// Rows of the table in f32, `[N, S, padded(width)]`.
    fn token(self, graph: &mut Graph<'a>, ids: &Value) -> Value {
        let axis = [("axis", Attribute::Int(0))];
        let table = self.table(graph);
        let rows = graph.node_with("Gather", "token", &[&table, ids], &axis);
        match self.stored() {
            Precision::F32 => rows,
            Precision::F16 => graph.cast("token/f32", &rows, ElementType::F32),
            Precision::I8 => {
                let (source, rows_of_table, width) = (self.source, self.config.vocabulary, self.config.width);
                let scales = graph.rows_of_floats("text.token.scale", &[rows_of_table], move || {
                    let table = source.tensor("text.token.weight")?.data;
                    Ok(table.chunks_exact(width).map(|row| quantise(row, width).scale[0]).collect())
                });
                let floats = graph.cast("token/f32", &rows, ElementType::F32);
                let scales = graph.node_with("Gather", "token/scale", &[&scales, ids], &axis);
                let last = graph.ints(&[2]);
                let scales = graph.node("Unsqueeze", "token/scale/row", &[&scales, &last]);
                graph.node("Mul", "token/scaled", &[&floats, &scales])
            }
        }
    }

    /// `text.token.weight [vocabulary, padded(width)]`.
    fn table(self, graph: &mut Graph<'a>) -> Value {
        let (source, width, stride, stored) =
            (self.source, self.config.width, padded(self.config.width), self.stored());
        let element = match stored {
            Precision::F32 => ElementType::F32,
            Precision::F16 => ElementType::F16,
            Precision::I8 => ElementType::I8,
        };
        let write = move |out: &mut dyn Write| {
            let table = source.tensor("text.token.weight")?.data;
            let (mut row, mut bytes) = (vec![0.0; stride], Vec::new());
            for values in table.chunks_exact(width) {
                row[..width].copy_from_slice(values);
                bytes.clear();
                match stored {
                    Precision::F32 => bytes.extend(row.iter().flat_map(|value| value.to_le_bytes())),
                    Precision::F16 => push_f16(&row, &mut bytes)?,
                    Precision::I8 => bytes.extend(quantise(&row, stride).weight.iter().map(|&value| value as u8)),
                }
                out.write_all(&bytes)?;
            }
            Ok(())
        };
        graph.weight("text.token.weight", element, &[self.config.vocabulary, stride], Box::new(write))
    }

    /// `text.position [context, padded(width)]`, with the token type that every token has, if there is one.
    fn position(self, graph: &mut Graph<'a>) -> Value {
        let (source, context, width) = (self.source, self.config.context, self.config.width);
        let stride = padded(width);
        graph.rows_of_floats("text.position", &[context, stride], move || {
            let kind = match source.has("text.token_type") {
                true => source.tensor("text.token_type")?.data,
                false => vec![0.0; width],
            };
            if kind.len() != width {
                return Err(Error::Graph(format!("`text.token_type` has {} values, not {width}", kind.len())));
            }
            let mut rows = Vec::with_capacity(context * stride);
            for row in source.tensor("text.position")?.data.chunks_exact(width) {
                rows.extend(row.iter().zip(&kind).map(|(position, kind)| position + kind));
                rows.resize(rows.len().next_multiple_of(stride), 0.0);
            }
            Ok(rows)
        })
    }
}
