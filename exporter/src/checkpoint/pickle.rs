//! Pickles of tensors, read and never run.
//!
//! Python's pickles are programs that call what they name. Here nothing is called: the few names that describe tensors are known, each makes
//! a plain value, and any other name is an error. All values lie in one list and refer to each other by number, so that nothing is copied,
//! nothing nests on the call stack, and a pickle takes no more memory than a small multiple of its own length.

use super::allowed::Global;
use super::machine::Machine;
use super::view::{Storage, TensorView};

/// Longest name of anything; longer texts are taken for notes.
pub(super) const MAX_NAME: usize = 1 << 10;

/// A value; what has parts is in [`Pickle::nodes`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// Numbers that are no integers, `None`, and what is described by allowed names but no tensor.
    Opaque,
    Int(i64),
    /// Bytes of the pickle that are UTF-8.
    Text(usize, usize),
    Global(Global),
    /// The index of a node.
    Node(usize),
}

/// A value with parts.
#[derive(Debug)]
pub(super) enum Node {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A TorchScript object: the dict of its attributes.
    Object(Option<usize>),
    Storage(Storage),
    Tensor(TensorView),
}

/// What a pickle describes.
#[derive(Debug)]
pub(super) struct Pickle {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    root: Value,
}

impl Pickle {
    /// Reads a pickle of protocol 2 to 5.
    ///
    /// # Errors
    /// The reason: a name that is not allowed, an instruction that is not known, limits that are exceeded, or damage.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Pickle, String> {
        let mut machine = Machine::new(&bytes);
        let root = machine.run().map_err(|reason| format!("{reason} (at byte {} of the pickle)", machine.at))?;
        let nodes = machine.nodes;
        Ok(Pickle { bytes, nodes, root })
    }

    /// What the pickle leaves behind.
    pub(super) fn root(&self) -> Value {
        self.root
    }

    /// A node by its number.
    pub(super) fn at(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// The node of a value, if it is one.
    pub(super) fn node(&self, value: Value) -> Option<(usize, &Node)> {
        match value {
            Value::Node(index) => Some((index, &self.nodes[index])),
            _ => None,
        }
    }

    /// The text of a value, if it is one that can be a name.
    pub(super) fn text(&self, value: Value) -> Option<&str> {
        text(&self.bytes, value)
    }
}

/// The text of a value, if it is one that can be a name.
pub(super) fn text(bytes: &[u8], value: Value) -> Option<&str> {
    match value {
        Value::Text(start, end) if end - start <= MAX_NAME => std::str::from_utf8(bytes.get(start..end)?).ok(),
        _ => None,
    }
}
