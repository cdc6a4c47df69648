//! Multi-head attention.

use edgelip::onnx::Attribute;

use super::builder::{Graph, Value};

/// Queries, keys and values, each `[N, rows, width]`; queries are scaled already.
pub(super) struct Attention<'v> {
    pub q: &'v Value,
    pub k: &'v Value,
    pub v: &'v Value,
    /// Added to the logits `[N, heads, queries, keys]`, broadcast.
    pub bias: Option<&'v Value>,
    pub heads: usize,
    pub width: usize,
}

impl Graph<'_> {
    /// `softmax(q kᵀ + bias) v` of each head, heads side by side: `[N, queries, width]`.
    pub fn attention(&mut self, attention: &Attention<'_>) -> Value {
        let (heads, width) = (attention.heads as i64, attention.width as i64);
        let mut split = |name: &str, x: &Value, order: &[i64]| {
            let heads = self.reshape(&format!("attention/{name}/heads"), x, &[0, 0, heads, width / heads]);
            self.transpose(&format!("attention/{name}"), &heads, order)
        };
        let q = split("q", attention.q, &[0, 2, 1, 3]);
        let k = split("k", attention.k, &[0, 2, 3, 1]);
        let v = split("v", attention.v, &[0, 2, 1, 3]);
        let mut logits = self.node("MatMul", "attention/products", &[&q, &k]);
        if let Some(bias) = attention.bias {
            logits = self.node("Add", "attention/logits", &[&logits, bias]);
        }
        let shares = self.node_with("Softmax", "attention/shares", &[&logits], &[("axis", Attribute::Int(-1))]);
        let mixed = self.node("MatMul", "attention/mixed", &[&shares, &v]);
        let rows = self.transpose("attention/rows", &mixed, &[0, 2, 1, 3]);
        self.reshape("attention/joined", &rows, &[0, 0, width])
    }
}
