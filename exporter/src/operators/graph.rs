//! The nodes of an ONNX file, read in place, with those of its subgraphs and functions.

use std::collections::{HashMap, HashSet};

use edgelip_runtime::onnx::wire::{Field, Value, fields};

use super::element;
use crate::Error;

/// Subgraphs in subgraphs that are followed.
const MAX_DEPTH: usize = 32;

const MODEL_GRAPH: u32 = 7;
const MODEL_OPSET: u32 = 8;
const MODEL_FUNCTION: u32 = 25;

/// A node as the file has it.
#[derive(Debug)]
pub struct Node<'a> {
    pub name: &'a str,
    pub operator: &'a str,
    pub domain: &'a str,
    /// The operator set of its domain that the file asks for; 0 if it names none.
    pub opset: u64,
    /// The element type of its data, if known.
    pub data: Option<&'static str>,
    /// The element type that it casts to.
    pub to: Option<&'static str>,
    /// For each input whether it is constant; `None` for one left out.
    pub constant: Vec<Option<bool>>,
}

impl Node<'_> {
    /// Whether it depends on nothing but constants.
    pub fn is_constant(&self) -> bool {
        self.constant.iter().flatten().all(|&constant| constant) && !self.operator.starts_with("Random")
    }
}

/// What a file consists of.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// Operator sets by domain; ONNX's own is empty.
    pub opsets: HashMap<&'a str, u64>,
}

/// Reads a file.
///
/// # Errors
/// [`Error::Runtime`] if it is no ONNX file or damaged.
pub fn read(bytes: &[u8]) -> Result<Graph<'_>, Error> {
    edgelip_runtime::onnx::File::parse(bytes)?;
    let mut graph = Graph::default();
    let (mut main, mut functions) = (None, Vec::new());
    for field in fields(bytes) {
        let field = field?;
        match field.number {
            MODEL_GRAPH => main = Some(field.bytes()?),
            MODEL_OPSET => opset(field.bytes()?, &mut graph.opsets)?,
            MODEL_FUNCTION => functions.push(Function::read(field.bytes()?)?),
            _ => {}
        }
    }
    let mut reader = Reader { functions: &functions, nodes: Vec::new() };
    if let Some(main) = main {
        reader.graph(main, &graph.opsets, &mut Scope::default(), 0)?;
    }
    for function in &functions {
        reader.nodes(function.body, 7, &function.opsets, &mut Scope::default(), 0)?;
    }
    graph.nodes = reader.nodes;
    Ok(graph)
}

/// Operators that the file itself is made of.
struct Function<'a> {
    name: &'a str,
    domain: &'a str,
    body: &'a [u8],
    opsets: HashMap<&'a str, u64>,
}

impl<'a> Function<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Error> {
        let mut function = Function { name: "", domain: "", body, opsets: HashMap::new() };
        for field in fields(body) {
            let field = field?;
            match field.number {
                1 => function.name = field.text()?,
                9 => opset(field.bytes()?, &mut function.opsets)?,
                10 => function.domain = field.text()?,
                _ => {}
            }
        }
        Ok(function)
    }
}

/// What is known of values by their names, which ONNX wants unique among a graph and its subgraphs.
#[derive(Default)]
struct Scope<'a> {
    types: HashMap<&'a str, &'static str>,
    constants: HashSet<&'a str>,
}

struct Reader<'f, 'a> {
    functions: &'f [Function<'a>],
    nodes: Vec<Node<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn graph(
        &mut self,
        message: &'a [u8],
        opsets: &HashMap<&'a str, u64>,
        scope: &mut Scope<'a>,
        depth: usize,
    ) -> Result<(), Error> {
        for field in fields(message) {
            let field = field?;
            match field.number {
                5 => {
                    let (name, element) = tensor(field.bytes()?)?;
                    scope.constants.insert(name);
                    scope.types.extend(element.map(|element| (name, element)));
                }
                11..=13 => {
                    let (name, element) = value_info(field.bytes()?)?;
                    scope.types.extend(element.map(|element| (name, element)));
                }
                _ => {}
            }
        }
        self.nodes(message, 1, opsets, scope, depth)
    }

    /// Reads the nodes in field `number` of a message, in their order, which is one of dependence.
    fn nodes(
        &mut self,
        message: &'a [u8],
        number: u32,
        opsets: &HashMap<&'a str, u64>,
        scope: &mut Scope<'a>,
        depth: usize,
    ) -> Result<(), Error> {
        for field in fields(message) {
            let field = field?;
            if field.number == number {
                self.node(field.bytes()?, opsets, scope, depth)?;
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        message: &'a [u8],
        opsets: &HashMap<&'a str, u64>,
        scope: &mut Scope<'a>,
        depth: usize,
    ) -> Result<(), Error> {
        let (mut inputs, mut outputs, mut subgraphs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut name, mut operator, mut domain, mut to, mut constant) = ("", "", "", None, None);
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => inputs.push(field.text()?),
                2 => outputs.push(field.text()?),
                3 => name = field.text()?,
                4 => operator = field.text()?,
                5 => {
                    let attribute = Attribute::read(field.bytes()?)?;
                    subgraphs.extend(attribute.graphs);
                    to = to.or(attribute.number.filter(|_| ["to", "dtype"].contains(&attribute.name)));
                    constant = constant.or(attribute.tensor);
                }
                7 => domain = field.text()?,
                _ => {}
            }
        }
        let domain = if domain == "ai.onnx" { "" } else { domain };
        if depth >= MAX_DEPTH {
            return Err(edgelip_runtime::Error::Malformed.into());
        }
        for subgraph in subgraphs {
            self.graph(subgraph, opsets, scope, depth + 1)?;
        }
        let data = inputs.get(element::data_input(operator)).and_then(|name| scope.types.get(name).copied());
        let constants = inputs.iter().map(|name| (!name.is_empty()).then(|| scope.constants.contains(name)));
        let opset = opsets.get(domain).copied().unwrap_or(0);
        let casts = if operator == "Cast" { to.and_then(element::name) } else { None };
        let node = Node { name, operator, domain, opset, data, to: casts, constant: constants.collect() };
        let given = match constant {
            Some(tensor) if operator == "Constant" => tensor,
            _ => element::output(operator, data, to),
        };
        if let Some(&first) = outputs.first() {
            scope.types.extend(given.map(|element| (first, element)));
        }
        if operator == "TopK" {
            scope.types.extend(outputs.get(1).map(|&indices| (indices, "i64")));
        }
        let is_function = |function: &Function<'_>| function.name == operator && function.domain == domain;
        let is_function = self.functions.iter().any(is_function);
        if node.is_constant() && !is_function {
            scope.constants.extend(outputs);
        }
        // What it stands for is read where it is defined.
        if !is_function {
            self.nodes.push(node);
        }
        Ok(())
    }
}

struct Attribute<'a> {
    name: &'a str,
    number: Option<i64>,
    tensor: Option<Option<&'static str>>,
    graphs: Vec<&'a [u8]>,
}

impl<'a> Attribute<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Error> {
        let mut attribute = Attribute { name: "", number: None, tensor: None, graphs: Vec::new() };
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => attribute.name = field.text()?,
                3 => attribute.number = Some(integer(&field)?),
                5 => attribute.tensor = Some(tensor(field.bytes()?)?.1),
                6 | 11 => attribute.graphs.push(field.bytes()?),
                _ => {}
            }
        }
        Ok(attribute)
    }
}

/// The name and element type of a `TensorProto`.
fn tensor(message: &[u8]) -> Result<(&str, Option<&'static str>), Error> {
    let (mut name, mut element) = ("", None);
    for field in fields(message) {
        let field = field?;
        match field.number {
            2 => element = element::name(integer(&field)?),
            8 => name = field.text()?,
            _ => {}
        }
    }
    Ok((name, element))
}

/// The name and element type of a `ValueInfoProto`.
fn value_info(message: &[u8]) -> Result<(&str, Option<&'static str>), Error> {
    let (mut name, mut element) = ("", None);
    for field in fields(message) {
        let field = field?;
        match field.number {
            1 => name = field.text()?,
            2 => {
                for kind in fields(field.bytes()?) {
                    let kind = kind?;
                    // A tensor's type; sequences and the like have none that would matter.
                    if kind.number == 1 {
                        element = tensor_type(kind.bytes()?)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((name, element))
}

fn tensor_type(message: &[u8]) -> Result<Option<&'static str>, Error> {
    let mut element = None;
    for field in fields(message) {
        let field = field?;
        if field.number == 1 {
            element = element::name(integer(&field)?);
        }
    }
    Ok(element)
}

/// An `OperatorSetIdProto`.
fn opset<'a>(message: &'a [u8], opsets: &mut HashMap<&'a str, u64>) -> Result<(), Error> {
    let (mut domain, mut version) = ("", 0);
    for field in fields(message) {
        let field = field?;
        match field.number {
            1 => domain = field.text()?,
            2 => version = u64::try_from(integer(&field)?).unwrap_or(0),
            _ => {}
        }
    }
    opsets.insert(if domain == "ai.onnx" { "" } else { domain }, version);
    Ok(())
}

fn integer(field: &Field<'_>) -> Result<i64, Error> {
    match field.value {
        Value::Varint(number) => Ok(number as i64),
        _ => Err(edgelip_runtime::Error::Malformed.into()),
    }
}
