//! The blocks both towers are made of.

use edgelip_kernels::padded;

use crate::source::{Activation, Source};

use super::Precision;
use super::attention::Attention;
use super::builder::{Graph, Value};
use super::fold::Affine;
use super::linear::{Linear, LinearSpec, Load};

/// What all blocks of a tower share.
#[derive(Clone, Copy)]
pub(super) struct Transformer<'a> {
    pub source: &'a dyn Source,
    pub precision: Precision,
    pub width: usize,
    pub heads: usize,
    pub blocks: usize,
    pub mlp: usize,
    pub activation: Activation,
    pub norm_eps: f32,
}

/// Whose attention is computed.
#[derive(Clone, Copy)]
pub(super) enum Queries<'v> {
    /// Every token's.
    All,
    /// That of the token at a place.
    Row(usize),
    /// That of the tokens `[N, 1]`.
    At(&'v Value),
}

impl<'a> Transformer<'a> {
    /// Enters block `index` and adds its attention to `x [N, tokens, width]`: the rows asked for, and the keys of all
    /// tokens.
    pub fn attend(
        &self,
        graph: &mut Graph<'a>,
        index: usize,
        x: &Value,
        queries: Queries<'_>,
        bias: Option<&Value>,
    ) -> [Value; 2] {
        graph.enter(format!("blocks.{index}"));
        let qkv = self.qkv_layer(graph, index);
        let out = self.layer(graph, index, "out", self.width, self.width, None);
        let normed = graph.layer_norm("norm1", x, self.width, self.norm_eps);
        let input = graph.linear_input("norm1", &normed, self.precision);
        let (residual, q, mut kv);
        match queries {
            Queries::All => {
                kv = graph.linear_split("qkv", &input, &qkv, 0..3);
                q = kv.remove(0);
                residual = x.clone();
            }
            Queries::Row(_) | Queries::At(_) => {
                let row;
                (row, residual) = match queries {
                    Queries::At(at) => (graph.gather_input_rows("norm1", &input, at), graph.rows("residual", x, at)),
                    Queries::Row(at) => {
                        let [start, end] = [at, at + 1].map(|row| row as i64);
                        (graph.input_rows("norm1", &input, start, end), graph.slice("residual", x, 1, start, end, 1))
                    }
                    Queries::All => (graph.input_rows("norm1", &input, 0, 0), x.clone()),
                };
                q = graph.linear_split("q", &row, &qkv, 0..1).remove(0);
                kv = graph.linear_split("kv", &input, &qkv, 1..3);
            }
        }
        let attention = Attention { q: &q, k: &kv[0], v: &kv[1], bias, heads: self.heads, width: self.width };
        let mixed = graph.attention(&attention);
        let input = graph.linear_input("attention", &mixed, self.precision);
        let update = graph.linear("out", &input, &out);
        [graph.node("Add", "attended", &[&residual, &update]), kv.swap_remove(0)]
    }

    /// Adds the block's MLP to `x` and names the sum `{tower}.blocks.{index}.tokens`.
    pub fn perceive(&self, graph: &mut Graph<'a>, index: usize, x: &Value) -> Value {
        self.perceive_in(graph, &format!("blocks.{index}"), x)
    }

    /// Adds the MLP of a block, such as `blocks.3`, to `x` and names the sum `{tower}.{block}.tokens`.
    pub fn perceive_in(&self, graph: &mut Graph<'a>, block: &str, x: &Value) -> Value {
        let fc1 = self.layer_in(graph, block, "fc1", self.width, self.mlp, Some("norm2"));
        let fc2 = self.layer_in(graph, block, "fc2", self.mlp, self.width, None);
        let normed = graph.layer_norm("norm2", x, self.width, self.norm_eps);
        let input = graph.linear_input("norm2", &normed, self.precision);
        let hidden = graph.linear("fc1", &input, &fc1);
        let active = graph.activation("activation", &hidden, self.activation);
        let input = graph.linear_input("activation", &active, self.precision);
        let update = graph.linear("fc2", &input, &fc2);
        let sum = graph.node("Add", "tokens", &[x, &update]);
        let name = format!("{}.{block}.tokens", graph.tower());
        graph.rename(sum, &name)
    }

    /// The projection of `x [N, 1, width]` after `norm`, l2-normalised: `[N, embedding]` by the name of the output.
    pub fn project(&self, graph: &mut Graph<'a>, x: &Value, norm: &str, embedding: usize, output: &str) -> Value {
        graph.enter("head");
        let tower = graph.tower();
        let norm = Some(format!("{tower}.{norm}"));
        let layer = self.projection_layer(graph, format!("{tower}.projection"), norm, embedding, true);
        let normed = graph.layer_norm("norm", x, self.width, self.norm_eps);
        let input = graph.linear_input("norm", &normed, self.precision.kept());
        let projected = graph.linear("projection", &input, &layer);
        let flat = graph.reshape("projection/flat", &projected, &[0, embedding as i64]);
        let [unit, _] = graph.normalize("embedding", &flat);
        graph.rename(unit, output)
    }

    /// The layer called `name` from the tower's width to the shared space, behind `norm`. With `bias` there is room for its own and for what
    /// folding the norm makes one of.
    pub fn projection_layer(
        &self,
        graph: &mut Graph<'a>,
        name: String,
        norm: Option<String>,
        embedding: usize,
        bias: bool,
    ) -> Linear {
        let load = self.load(Affine { layer: name.clone(), norm, scale: 1.0 });
        let spec = LinearSpec {
            name,
            inputs: self.width,
            outputs: embedding,
            precision: self.precision.kept(),
            bias,
            groups: vec![load],
        };
        graph.linear_layer("projection", spec)
    }

    /// The vector `[width]` called `name`, padded for the file.
    pub fn padded_vector(&self, graph: &mut Graph<'a>, name: String) -> Value {
        let (source, stride) = (self.source, padded(self.width));
        graph.rows_of_floats(&name.clone(), &[stride], move || {
            let mut values = source.tensor(&name)?.data;
            values.resize(stride, 0.0);
            Ok(values)
        })
    }

    fn qkv_layer(&self, graph: &mut Graph<'a>, index: usize) -> Linear {
        let block = format!("{}.blocks.{index}", graph.tower());
        let scale = 1.0 / ((self.width / self.heads) as f64).sqrt();
        let group = |part: &str, scale| {
            self.load(Affine { layer: format!("{block}.{part}"), norm: Some(format!("{block}.norm1")), scale })
        };
        let spec = LinearSpec {
            name: format!("{block}.qkv"),
            inputs: self.width,
            outputs: self.width,
            precision: self.precision,
            bias: true,
            groups: vec![group("q", scale), group("k", 1.0), group("v", 1.0)],
        };
        graph.linear_layer("qkv", spec)
    }

    /// Another layer of a block, the block's norm in front of it folded in.
    pub fn layer(
        &self,
        graph: &mut Graph<'a>,
        index: usize,
        part: &str,
        inputs: usize,
        outputs: usize,
        norm: Option<&str>,
    ) -> Linear {
        self.layer_in(graph, &format!("blocks.{index}"), part, inputs, outputs, norm)
    }

    /// A layer of a block such as `blocks.3`, the block's norm in front of it folded in.
    pub fn layer_in(
        &self,
        graph: &mut Graph<'a>,
        block: &str,
        part: &str,
        inputs: usize,
        outputs: usize,
        norm: Option<&str>,
    ) -> Linear {
        let block = format!("{}.{block}", graph.tower());
        let name = format!("{block}.{part}");
        let norm = norm.map(|norm| format!("{block}.{norm}"));
        let load = self.load(Affine { layer: name.clone(), norm, scale: 1.0 });
        let spec = LinearSpec { name, inputs, outputs, precision: self.precision, bias: true, groups: vec![load] };
        graph.linear_layer(part, spec)
    }

    /// Folds when the file is written.
    pub fn load(&self, affine: Affine) -> Load<'a> {
        let source = self.source;
        Box::new(move || affine.load(source))
    }
}
