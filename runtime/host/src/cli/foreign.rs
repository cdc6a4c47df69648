//! ONNX files that are not edgelip's: what they are, and what the native engine misses.

use std::fmt;

use anyhow::Result;
use edgelip_runtime::onnx::File;
use edgelip_runtime::onnx::wire::{Value, fields};
use serde::Serialize;

const GRAPH_INPUT: u32 = 11;
const GRAPH_OUTPUT: u32 = 12;
const INFO_NAME: u32 = 1;
const INFO_TYPE: u32 = 2;

/// Metadata without which an image tower can't be run in place.
const METADATA: [&str; 24] = [
    "edgelip.format",
    "edgelip.tower",
    "edgelip.precision",
    "edgelip.width",
    "edgelip.heads",
    "edgelip.blocks",
    "edgelip.mlp",
    "edgelip.embedding",
    "edgelip.activation",
    "edgelip.norm_eps",
    "edgelip.pooling",
    "edgelip.image",
    "edgelip.patch",
    "edgelip.merge",
    "edgelip.schedule",
    "edgelip.preprocess.resize",
    "edgelip.preprocess.filter",
    "edgelip.preprocess.crop",
    "edgelip.preprocess.rescale",
    "edgelip.preprocess.mean",
    "edgelip.preprocess.std",
    "edgelip.logit_scale",
    "edgelip.logit_bias",
    "edgelip.score",
];

/// Initializers that every image tower has.
const INITIALIZERS: [&str; 10] = [
    "vision.patch.weight",
    "vision.position",
    "vision.class",
    "vision.pre_norm.weight",
    "vision.pre_norm.bias",
    "vision.blocks.0.qkv.weight",
    "vision.blocks.0.out.weight",
    "vision.blocks.0.fc1.weight",
    "vision.blocks.0.fc2.weight",
    "vision.projection.weight",
];

/// A file that is not edgelip's.
#[derive(Serialize)]
pub struct Report {
    pub file: String,
    pub bytes: usize,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub initializers: usize,
    /// Metadata that the native engine needs and the file lacks.
    pub missing_metadata: Vec<&'static str>,
    /// Initializers that the native engine needs and the file lacks.
    pub missing_initializers: Vec<&'static str>,
}

/// An input or output of the graph.
#[derive(Debug, Serialize, PartialEq)]
pub struct Port {
    pub name: String,
    /// A number, the name of an open dimension, or `?`.
    pub dims: Vec<String>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.name, self.dims.join(", "))
    }
}

/// Looks at a file.
pub fn report(name: String, file: &File<'_>) -> Result<Report> {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for field in fields(file.graph()) {
        let field = field?;
        match field.number {
            GRAPH_INPUT => inputs.push(port(field.bytes()?)?),
            GRAPH_OUTPUT => outputs.push(port(field.bytes()?)?),
            _ => {}
        }
    }
    let names: Vec<_> = file.initializers().map(|tensor| tensor.name).collect();
    inputs.retain(|input| !names.contains(&input.name.as_str()));
    Ok(Report {
        file: name,
        bytes: file.bytes().len(),
        inputs,
        outputs,
        initializers: names.len(),
        missing_metadata: METADATA.into_iter().filter(|key| file.metadata(key).is_none()).collect(),
        missing_initializers: INITIALIZERS.into_iter().filter(|name| !names.contains(name)).collect(),
    })
}

/// Reads a `ValueInfoProto`.
fn port(message: &[u8]) -> Result<Port> {
    let mut port = Port { name: String::new(), dims: Vec::new() };
    for field in fields(message) {
        let field = field?;
        match field.number {
            INFO_NAME => port.name = field.text()?.to_string(),
            INFO_TYPE => port.dims = dims(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(port)
}

/// The dimensions in a `TypeProto`: its tensor type's shape's `dim`s, each a number or a name.
fn dims(message: &[u8]) -> Result<Vec<String>> {
    const TENSOR: u32 = 1;
    const SHAPE: u32 = 2;
    const DIM: u32 = 1;
    let mut dims = Vec::new();
    for tensor in children(message, TENSOR)? {
        for shape in children(tensor, SHAPE)? {
            for dim in children(shape, DIM)? {
                let mut text = "?".to_string();
                for field in fields(dim) {
                    let field = field?;
                    match field.value {
                        Value::Varint(length) if field.number == 1 => text = length.to_string(),
                        _ if field.number == 2 => text = field.text()?.to_string(),
                        _ => {}
                    }
                }
                dims.push(text);
            }
        }
    }
    Ok(dims)
}

fn children(message: &[u8], number: u32) -> Result<Vec<&[u8]>> {
    let mut children = Vec::new();
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            children.push(field.bytes()?);
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn ports_have_names_and_dimensions() {
        let dims = [message(1, &message(2, b"N")), message(1, &[8, 3]), message(1, &[])].concat();
        let info = [message(1, b"pixel_values"), message(2, &message(1, &message(2, &dims)))].concat();
        assert_eq!(port(&info).unwrap().to_string(), "pixel_values [N, 3, ?]");
        assert_eq!(port(&[]).unwrap().dims.len(), 0);
        assert!(port(&[0x0a, 9]).is_err());
    }

    #[test]
    fn all_that_is_missing_is_named() {
        let graph = [message(11, &message(1, b"x")), message(5, &message(8, b"vision.class"))].concat();
        let bytes = message(7, &graph);
        let report = report("a".into(), &File::parse(&bytes).unwrap()).unwrap();
        assert_eq!(report.missing_metadata.len(), METADATA.len());
        assert!(!report.missing_initializers.contains(&"vision.class"));
        assert_eq!((report.inputs.len(), report.initializers), (1, 1));
    }
}
