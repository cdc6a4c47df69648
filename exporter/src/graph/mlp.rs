//! The two-layer perceptron of a block.

use crate::source::Activation;

use super::builder::{Graph, Value};

impl Graph<'_> {
    /// The activation function, in a form engines recognise.
    pub fn activation(&mut self, name: &str, x: &Value, activation: Activation) -> Value {
        match activation {
            Activation::Gelu => {
                let (root, one, half) = (self.float(std::f32::consts::SQRT_2), self.float(1.0), self.float(0.5));
                let scaled = self.node("Div", &format!("{name}/scaled"), &[x, &root]);
                let erf = self.node("Erf", &format!("{name}/erf"), &[&scaled]);
                let sum = self.node("Add", &format!("{name}/sum"), &[&erf, &one]);
                let product = self.node("Mul", &format!("{name}/product"), &[x, &sum]);
                self.node("Mul", name, &[&product, &half])
            }
            Activation::TanhGelu => {
                let (third, root) = (self.float(0.044_715), self.float(0.797_884_6));
                let (one, half) = (self.float(1.0), self.float(0.5));
                let square = self.node("Mul", &format!("{name}/square"), &[x, x]);
                let cubic = self.node("Mul", &format!("{name}/cubic"), &[&square, &third]);
                let factor = self.node("Add", &format!("{name}/factor"), &[&cubic, &one]);
                let slope = self.node("Mul", &format!("{name}/slope"), &[&factor, &root]);
                let inner = self.node("Mul", &format!("{name}/inner"), &[x, &slope]);
                let tanh = self.node("Tanh", &format!("{name}/tanh"), &[&inner]);
                let sum = self.node("Add", &format!("{name}/sum"), &[&tanh, &one]);
                let product = self.node("Mul", &format!("{name}/product"), &[x, &sum]);
                self.node("Mul", name, &[&product, &half])
            }
            Activation::QuickGelu => {
                let factor = self.float(1.702);
                let scaled = self.node("Mul", &format!("{name}/scaled"), &[x, &factor]);
                let gate = self.node("Sigmoid", &format!("{name}/gate"), &[&scaled]);
                self.node("Mul", name, &[x, &gate])
            }
        }
    }
}
