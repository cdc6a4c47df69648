//! A node of the graph.

use super::wire::Message;

const INPUT: u32 = 1;
const OUTPUT: u32 = 2;
const NAME: u32 = 3;
const OP_TYPE: u32 = 4;
const ATTRIBUTE: u32 = 5;

/// A node in the default operator set.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The operator, as `MatMul`.
    pub op_type: &'static str,
    /// Unique in the graph.
    pub name: String,
    /// Names of the values it takes; empty for an optional one left out.
    pub inputs: Vec<String>,
    /// Names of the values it gives.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A float.
    Float(f32),
    /// An integer, or a flag.
    Int(i64),
    /// A list of integers.
    Ints(Vec<i64>),
}

impl Node {
    /// The `NodeProto`.
    pub fn encode(&self) -> Vec<u8> {
        let mut node = Message::default();
        for input in &self.inputs {
            node.text(INPUT, input);
        }
        for output in &self.outputs {
            node.text(OUTPUT, output);
        }
        node.text(NAME, &self.name).text(OP_TYPE, self.op_type);
        for (name, value) in &self.attributes {
            node.message(ATTRIBUTE, &value.encode(name));
        }
        node.finish()
    }
}

impl Attribute {
    fn encode(&self, name: &str) -> Message {
        const TYPE: u32 = 20;
        let mut message = Message::default();
        message.text(1, name);
        match self {
            Attribute::Float(value) => message.float(2, *value).int(TYPE, 1),
            Attribute::Int(value) => message.int(3, *value).int(TYPE, 2),
            Attribute::Ints(values) => {
                for &value in values {
                    message.int(8, value);
                }
                message.int(TYPE, 7)
            }
        };
        message
    }
}
