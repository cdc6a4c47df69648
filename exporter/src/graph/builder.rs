//! Nodes, constants and their names.

use std::collections::HashSet;
use std::rc::Rc;

use edgelip::onnx::{Attribute, ElementType, Initializer, Node, OnnxModel, Payload, Stream};

use crate::error::Error;

/// A value in the graph, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(Rc<str>);

impl Value {
    /// The value with this name, an input of the graph say.
    pub fn named(name: &str) -> Self {
        Value(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A graph under construction.
///
/// Values are named `tower/block/step`, unless [`Graph::rename`] gives one a name that others know; the node that makes one is named
/// `tower/block/step/Operator`. ONNX would let them share a name, but rten keeps both under one roof.
pub(super) struct Graph<'a> {
    tower: &'static str,
    scope: String,
    nodes: Vec<Node>,
    weights: Vec<Initializer<'a>>,
    constants: Vec<Initializer<'a>>,
    names: HashSet<String>,
}

impl<'a> Graph<'a> {
    /// An empty graph of the tower `vision` or `text`.
    pub fn new(tower: &'static str) -> Self {
        Graph {
            tower,
            scope: String::new(),
            nodes: Vec::new(),
            weights: Vec::new(),
            constants: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// The tower's name.
    pub fn tower(&self) -> &'static str {
        self.tower
    }

    /// Names the nodes that follow `tower/scope/…`.
    pub fn enter(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// Moves nodes and initializers, weights first, to a model.
    pub fn finish(self, model: &mut OnnxModel<'a>) {
        model.nodes = self.nodes.iter().map(Node::encode).collect();
        model.initializers = self.weights;
        model.initializers.extend(self.constants);
    }

    /// A node without attributes.
    pub fn node(&mut self, op_type: &'static str, name: &str, inputs: &[&Value]) -> Value {
        self.node_with(op_type, name, inputs, &[])
    }

    /// A node with attributes.
    pub fn node_with(
        &mut self,
        op_type: &'static str,
        name: &str,
        inputs: &[&Value],
        attributes: &[(&'static str, Attribute)],
    ) -> Value {
        let name = format!("{}/{}/{name}", self.tower, self.scope);
        let value = Value::named(&name);
        self.push(op_type, name, inputs, vec![value.0.to_string()], attributes);
        value
    }

    /// A `TopK` along the last axis: values and indices, best first, ties in the order of indices.
    pub fn top_k(&mut self, name: &str, x: &Value, k: usize, largest: bool) -> [Value; 2] {
        let name = format!("{}/{}/{name}", self.tower, self.scope);
        let outputs = ["values", "indices"].map(|part| format!("{name}/{part}"));
        let k = self.ints(&[k as i64]);
        let attributes = [("axis", Attribute::Int(-1)), ("largest", Attribute::Int(largest.into()))];
        self.push("TopK", name, &[x, &k], outputs.to_vec(), &attributes);
        outputs.map(|output| Value::named(&output))
    }

    fn push(
        &mut self,
        op_type: &'static str,
        name: String,
        inputs: &[&Value],
        outputs: Vec<String>,
        attributes: &[(&'static str, Attribute)],
    ) {
        let inputs = inputs.iter().map(|input| input.0.to_string()).collect();
        let name = format!("{name}/{op_type}");
        self.nodes.push(Node { op_type, name, inputs, outputs, attributes: attributes.to_vec() });
    }

    /// Gives the value of the latest node another name.
    pub fn rename(&mut self, value: Value, name: &str) -> Value {
        match self.nodes.last_mut() {
            Some(node) if node.outputs == [value.name()] => node.outputs = vec![name.into()],
            _ => debug_assert!(false, "`{}` is not the latest node's value", value.name()),
        }
        Value::named(name)
    }

    /// An initializer with a canonical name, made when the file is written.
    pub fn weight(&mut self, name: &str, element: ElementType, dims: &[usize], stream: Stream<'a>) -> Value {
        let dims = dims.iter().map(|&dim| dim as u64).collect();
        self.weights.push(Initializer { name: name.into(), element, dims, payload: Payload::Stream(stream) });
        Value::named(name)
    }

    /// An f32 initializer with a canonical name whose values `make` gives when the file is written.
    pub fn rows_of_floats(
        &mut self,
        name: &str,
        dims: &[usize],
        make: impl Fn() -> Result<Vec<f32>, Error> + 'a,
    ) -> Value {
        let stream: Stream<'a> = Box::new(move |out| {
            let bytes: Vec<u8> = make()?.iter().flat_map(|value| value.to_le_bytes()).collect();
            Ok(out.write_all(&bytes)?)
        });
        self.weight(name, ElementType::F32, dims, stream)
    }

    /// A constant vector of integers, shared by all who ask for it.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let list: Vec<String> = values.iter().map(i64::to_string).collect();
        let payload = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(format!("ints.{}", list.join(".")), ElementType::I64, &[values.len()], payload)
    }

    /// A constant float, shared by all who ask for it.
    pub fn float(&mut self, value: f32) -> Value {
        self.constant(format!("float.{value:?}"), ElementType::F32, &[], value.to_le_bytes().to_vec())
    }

    /// A constant tensor of floats; those with the same name must be the same.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> Value {
        let payload = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name.into(), ElementType::F32, dims, payload)
    }

    /// `0, 1, …` as an integer vector.
    pub fn range(&mut self, length: usize) -> Value {
        let payload = (0..length as i64).flat_map(i64::to_le_bytes).collect();
        self.constant(format!("range.{length}"), ElementType::I64, &[length], payload)
    }

    fn constant(&mut self, name: String, element: ElementType, dims: &[usize], payload: Vec<u8>) -> Value {
        let value = Value::named(&name);
        if self.names.insert(name.clone()) {
            let dims = dims.iter().map(|&dim| dim as u64).collect();
            self.constants.push(Initializer { name, element, dims, payload: Payload::Owned(payload) });
        }
        value
    }

    /// The first `width` columns.
    pub fn columns(&mut self, name: &str, x: &Value, width: usize, padded: usize) -> Value {
        if width == padded { x.clone() } else { self.slice(name, x, -1, 0, width as i64, 1) }
    }

    /// `x[start..end]` along an axis, every `step`th.
    pub fn slice(&mut self, name: &str, x: &Value, axis: i64, start: i64, end: i64, step: i64) -> Value {
        let [start, end, axis, step] = [start, end, axis, step].map(|value| self.ints(&[value]));
        self.node("Slice", name, &[x, &start, &end, &axis, &step])
    }

    /// `x` in another shape; 0 keeps an axis, -1 infers one.
    pub fn reshape(&mut self, name: &str, x: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.node("Reshape", name, &[x, &shape])
    }

    /// `x` with its axes in another order.
    pub fn transpose(&mut self, name: &str, x: &Value, order: &[i64]) -> Value {
        self.node_with("Transpose", name, &[x], &[("perm", Attribute::Ints(order.to_vec()))])
    }

    /// Values side by side.
    pub fn concat(&mut self, name: &str, axis: i64, values: &[&Value]) -> Value {
        self.node_with("Concat", name, values, &[("axis", Attribute::Int(axis))])
    }

    /// `x` as another element type.
    pub fn cast(&mut self, name: &str, x: &Value, to: ElementType) -> Value {
        self.node_with("Cast", name, &[x], &[("to", Attribute::Int(to as i64))])
    }

    /// A reduction that keeps its axis, of length 1. Not for `ReduceSum`, whose axes are an input.
    pub fn reduce(&mut self, op_type: &'static str, name: &str, x: &Value, axis: i64) -> Value {
        self.node_with(op_type, name, &[x], &[("axes", Attribute::Ints(vec![axis])), ("keepdims", Attribute::Int(1))])
    }

    /// Rows of `x [N, T, …]` by `indices [N, R]`: `[N, R, …]`.
    pub fn rows(&mut self, name: &str, x: &Value, indices: &Value) -> Value {
        let indices = self.reshape(&format!("{name}/indices"), indices, &[0, 0, 1]);
        self.node_with("GatherND", name, &[x, &indices], &[("batch_dims", Attribute::Int(1))])
    }

    /// `x / max(‖x‖, 1e-12)` along the last axis, and the norms.
    pub fn normalize(&mut self, name: &str, x: &Value) -> [Value; 2] {
        let norm = self.reduce("ReduceL2", &format!("{name}/norm"), x, -1);
        let least = self.float(1e-12);
        let divisor = self.node("Max", &format!("{name}/divisor"), &[&norm, &least]);
        [self.node("Div", &format!("{name}/unit"), &[x, &divisor]), norm]
    }
}
