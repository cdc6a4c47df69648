//! LayerNorm.

use edgelip::onnx::Attribute;

use super::builder::{Graph, Value};

impl Graph<'_> {
    /// LayerNorm over the last axis, of `width`, without gain and bias.
    pub fn layer_norm(&mut self, name: &str, x: &Value, width: usize, eps: f32) -> Value {
        let gain = self.floats(&format!("ones.{width}"), &[width], &vec![1.0; width]);
        self.node_with("LayerNormalization", name, &[x, &gain], &attributes(eps))
    }

    /// LayerNorm over the last axis with gain and bias.
    pub fn layer_norm_affine(&mut self, name: &str, x: &Value, gain: &Value, bias: &Value, eps: f32) -> Value {
        self.node_with("LayerNormalization", name, &[x, gain, bias], &attributes(eps))
    }
}

fn attributes(eps: f32) -> [(&'static str, Attribute); 2] {
    [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(eps))]
}
