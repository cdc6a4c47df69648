//! BERT's blocks: each norm stands behind a residual sum, so that its gain and bias cannot move into a layer.

use std::rc::Rc;

use edgelip::onnx::ElementType;
use edgelip_kernels::padded;

use crate::source::TextPooling;

use super::Precision;
use super::attention::Attention;
use super::builder::{Graph, Value};
use super::fold::Affine;
use super::linear::{LinearSpec, Load};
use super::smooth::Smoothing;
use super::transformer::Transformer;

impl<'a> Transformer<'a> {
    /// Block `index` on `x [N, tokens, width]`; `bias` is added to the attention's logits, and in integers `smoothing` evens out what
    /// the layers take. Names the result `{tower}.blocks.{index}.tokens`.
    pub fn post_norm_block(
        &self,
        graph: &mut Graph<'a>,
        index: usize,
        x: &Value,
        bias: &Value,
        smoothing: &Rc<Smoothing<'a>>,
    ) -> Value {
        graph.enter(format!("blocks.{index}"));
        let tower = graph.tower();
        let block = format!("{tower}.blocks.{index}");
        let behind = match index.checked_sub(1) {
            Some(before) => format!("{tower}.blocks.{before}.norm2"),
            None => format!("{tower}.embed_norm"),
        };
        let scale = 1.0 / ((self.width / self.heads) as f64).sqrt();
        let groups = [("q", scale), ("k", 1.0), ("v", 1.0)];
        let groups =
            groups.map(|(part, scale)| self.smooth_load(format!("{block}.{part}"), scale, 2 * index, smoothing));
        let spec = LinearSpec {
            name: format!("{block}.qkv"),
            inputs: self.width,
            outputs: self.width,
            precision: self.precision,
            bias: true,
            groups: groups.into(),
        };
        let qkv = graph.linear_layer("qkv", spec);
        let out = self.layer(graph, index, "out", self.width, self.width, None);
        let even = self.smooth(graph, "input", &behind, 2 * index, x, smoothing);
        let input = graph.linear_input("input", &even, self.precision);
        let qkv = graph.linear_split("qkv", &input, &qkv, 0..3);
        let attention =
            Attention { q: &qkv[0], k: &qkv[1], v: &qkv[2], bias: Some(bias), heads: self.heads, width: self.width };
        let mixed = graph.attention(&attention);
        let input = graph.linear_input("attention", &mixed, self.precision);
        let update = graph.linear("out", &input, &out);
        let sum = graph.node("Add", "attended", &[x, &update]);
        let x = self.norm_behind(graph, "norm1", &format!("{block}.norm1"), &sum);

        let spec = LinearSpec {
            name: format!("{block}.fc1"),
            inputs: self.width,
            outputs: self.mlp,
            precision: self.precision,
            bias: true,
            groups: vec![self.smooth_load(format!("{block}.fc1"), 1.0, 2 * index + 1, smoothing)],
        };
        let fc1 = graph.linear_layer("fc1", spec);
        let fc2 = self.layer(graph, index, "fc2", self.mlp, self.width, None);
        let even = self.smooth(graph, "norm1", &format!("{block}.norm1"), 2 * index + 1, &x, smoothing);
        let input = graph.linear_input("norm1", &even, self.precision);
        let hidden = graph.linear("fc1", &input, &fc1);
        let active = graph.activation("activation", &hidden, self.activation);
        let input = graph.linear_input("activation", &active, self.precision);
        let update = graph.linear("fc2", &input, &fc2);
        let sum = graph.node("Add", "perceived", &[&x, &update]);
        let x = self.norm_behind(graph, "norm2", &format!("{block}.norm2"), &sum);
        graph.rename(x, &format!("{block}.tokens"))
    }

    /// What a layer of the block takes: in integers, `x` evened out behind the norm called `name`, which is the one with number `norm`.
    fn smooth(
        &self,
        graph: &mut Graph<'a>,
        step: &str,
        name: &str,
        norm: usize,
        x: &Value,
        smoothing: &Rc<Smoothing<'a>>,
    ) -> Value {
        if self.precision != Precision::I8 {
            return x.clone();
        }
        let (width, stride) = (self.width, padded(self.width));
        let smoothing = smoothing.clone();
        let factors = graph.rows_of_floats(&format!("{name}.smooth"), &[stride], move || smoothing.factors(norm));
        let factors = graph.columns(&format!("{step}/smooth"), &factors, width, stride);
        graph.node("Mul", &format!("{step}/even"), &[x, &factors])
    }

    /// Reads a layer behind the norm with number `norm`, times `scale`.
    fn smooth_load(&self, layer: String, scale: f64, norm: usize, smoothing: &Rc<Smoothing<'a>>) -> Load<'a> {
        let load = self.load(Affine { layer, norm: None, scale });
        if self.precision != Precision::I8 {
            return load;
        }
        let smoothing = smoothing.clone();
        Box::new(move || smoothing.fold(norm, load()?))
    }

    /// LayerNorm with the gain and bias of the norm called `name`.
    pub fn norm_behind(&self, graph: &mut Graph<'a>, step: &str, name: &str, x: &Value) -> Value {
        let (width, stride) = (self.width, padded(self.width));
        let mut vector = |part: &str| {
            let values = self.padded_vector(graph, format!("{name}.{part}"));
            graph.columns(&format!("{step}/{part}"), &values, width, stride)
        };
        let (gain, bias) = (vector("weight"), vector("bias"));
        graph.layer_norm_affine(step, x, &gain, &bias, self.norm_eps)
    }

    /// What `pooling` makes of the tokens `x [N, S, width]`, of which `mask [N, S]` marks the text's with 1, projected if the checkpoint
    /// has a projection, and l2-normalised: `[N, embedding]` by the name of the output.
    pub fn pool(
        &self,
        graph: &mut Graph<'a>,
        [x, mask]: [&Value; 2],
        pooling: TextPooling,
        embedding: usize,
        output: &str,
    ) -> Value {
        graph.enter("head");
        let tower = graph.tower();
        let mut pooled = match pooling {
            TextPooling::Pooler => {
                let first = graph.slice("first", x, 1, 0, 1, 1);
                self.pooler(graph, &first, None)
            }
            _ => graph.mean_of_text(x, mask),
        };
        let projection = format!("{tower}.projection");
        if self.source.has(&format!("{projection}.weight")) {
            let layer = self.projection_layer(graph, projection, None, embedding, true);
            let input = graph.linear_input("mean", &pooled, self.precision.kept());
            pooled = graph.linear("projection", &input, &layer);
        }
        let flat = graph.reshape("flat", &pooled, &[0, embedding as i64]);
        let [unit, _] = graph.normalize("embedding", &flat);
        graph.rename(unit, output)
    }
}

impl Graph<'_> {
    /// The mean of the tokens `x [N, S, width]` that `mask [N, S]` marks with 1: `[N, 1, width]`.
    fn mean_of_text(&mut self, x: &Value, mask: &Value) -> Value {
        let marks = self.cast("mask", mask, ElementType::F32);
        let axis = self.ints(&[1]);
        let row = self.node("Unsqueeze", "mask/row", &[&marks, &axis]);
        let sum = self.node("MatMul", "sum", &[&row, x]);
        let last = self.ints(&[-1]);
        let count = self.node("ReduceSum", "count", &[&row, &last]);
        // As sentence-transformers does, for a text all of whose tokens are masked.
        let least = self.float(1e-9);
        let count = self.node("Max", "count/least", &[&count, &least]);
        self.node("Div", "mean", &[&sum, &count])
    }
}
