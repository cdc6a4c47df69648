//! Cuts a file's graph into pieces small enough to run one after another.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use edgelip_runtime::onnx::{self, DataType, wire};
use tract_onnx::pb;
use tract_onnx::prelude::{Datum, Framework, Tensor, f16};

use crate::Error;

const MODEL_GRAPH: u32 = 7;
const GRAPH_INITIALIZER: u32 = 5;

/// A file's nodes, and where its initializers lie.
pub struct Cut {
    path: PathBuf,
    file: File,
    /// Names of the graph's inputs.
    pub inputs: Vec<String>,
    /// Names of the graph's outputs.
    pub outputs: Vec<String>,
    /// Runs of neighbouring nodes of one segment.
    pub pieces: Vec<Piece>,
    initializers: HashMap<String, Place>,
}

/// Neighbouring nodes whose names begin alike, such as `vision/blocks.3`.
pub struct Piece {
    /// What the names begin with.
    pub segment: String,
    /// Its nodes, in the file's order.
    pub nodes: Vec<pb::NodeProto>,
    /// What it needs of earlier pieces and of the graph's inputs.
    pub takes: Vec<String>,
    /// What later pieces or the graph's outputs need of it.
    pub gives: Vec<String>,
    /// The initializers it needs.
    pub initializers: Vec<String>,
}

struct Place {
    data_type: i32,
    dims: Vec<i64>,
    offset: u64,
    length: usize,
}

impl Cut {
    /// Reads the graph of the file at `path`, but no weights.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Verify`] for a file that is no ONNX model.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mapping = super::map(path)?;
        let onnx = onnx::File::parse(&mapping)?;
        let mut initializers = HashMap::new();
        for tensor in onnx.initializers() {
            let place = Place {
                data_type: tensor.data_type,
                dims: tensor.dims().iter().map(|&dim| dim as i64).collect(),
                // An empty slice may lie anywhere.
                offset: tensor.raw.as_ptr().addr().saturating_sub(mapping.as_ptr().addr()) as u64,
                length: tensor.raw.len(),
            };
            initializers.insert(tensor.name.to_owned(), place);
        }
        let model = tract_onnx::onnx()
            .proto_model_for_read(&mut &without_initializers(&onnx)?[..])
            .map_err(|error| Error::Verify(format!("{}: {error:#}", path.display())))?;
        let graph = model.graph.unwrap_or_default();
        let mut cut = Cut {
            path: path.to_owned(),
            file: File::open(path).map_err(Error::io(path))?,
            inputs: graph.input.into_iter().map(|input| input.name).collect(),
            outputs: graph.output.into_iter().map(|output| output.name).collect(),
            pieces: Vec::new(),
            initializers,
        };
        for node in graph.node {
            let segment = segment(&node.name);
            match cut.pieces.last_mut() {
                Some(piece) if piece.segment == segment => piece.nodes.push(node),
                _ => cut.pieces.push(Piece {
                    segment: segment.to_owned(),
                    nodes: vec![node],
                    takes: Vec::new(),
                    gives: Vec::new(),
                    initializers: Vec::new(),
                }),
            }
        }
        cut.connect();
        Ok(cut)
    }

    /// Finds what flows from piece to piece.
    fn connect(&mut self) {
        let mut needed: HashSet<String> = self.outputs.iter().cloned().collect();
        for piece in self.pieces.iter_mut().rev() {
            let made: HashSet<&String> = piece.nodes.iter().flat_map(|node| &node.output).collect();
            piece.gives = made.iter().filter(|name| needed.contains(**name)).map(|name| (*name).clone()).collect();
            let mut used: Vec<&String> = piece.nodes.iter().flat_map(|node| &node.input).collect();
            used.retain(|name| !name.is_empty() && !made.contains(*name));
            used.sort();
            used.dedup();
            let (initializers, takes): (Vec<&String>, Vec<&String>) =
                used.into_iter().partition(|name| self.initializers.contains_key(*name));
            piece.initializers = initializers.into_iter().cloned().collect();
            piece.takes = takes.into_iter().cloned().collect();
            needed.extend(piece.takes.iter().cloned());
            piece.gives.sort();
        }
    }

    /// An initializer with its values, read from the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn initializer(&self, name: &str) -> Result<pb::TensorProto, Error> {
        let place = &self.initializers[name];
        let mut raw_data = vec![0; place.length];
        self.file.read_exact_at(&mut raw_data, place.offset).map_err(Error::io(&self.path))?;
        Ok(pb::TensorProto {
            name: name.to_owned(),
            data_type: place.data_type,
            dims: place.dims.clone(),
            raw_data,
            ..Default::default()
        })
    }

    /// A table's initializer, of floats or bytes, read from the file into its only copy.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Verify`] for another element type, or if the file is shorter than the shape says.
    pub fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let place = &self.initializers[name];
        let refused = |why: &str| Error::Verify(format!("{}: the table `{name}` {why}", self.path.display()));
        let element = match place.data_type {
            number if number == DataType::F32 as i32 => f32::datum_type(),
            number if number == DataType::F16 as i32 => f16::datum_type(),
            number if number == DataType::I8 as i32 => i8::datum_type(),
            _ => return Err(refused("is not one of floats or bytes")),
        };
        let shape: Vec<usize> = place.dims.iter().map(|&dim| dim as usize).collect();
        let mut tensor = Tensor::zero_dt(element, &shape).map_err(|error| refused(&format!("{error:#}")))?;
        let bytes = tensor.as_bytes_mut();
        if bytes.len() != place.length {
            return Err(refused("has fewer or more bytes than its shape says"));
        }
        self.file.read_exact_at(bytes, place.offset).map_err(Error::io(&self.path))?;
        Ok(tensor)
    }
}

/// What nodes that belong together have in common: `vision/blocks.3` of `vision/blocks.3/qkv`, `labels` of `labels/scores`.
fn segment(node: &str) -> &str {
    let first = node.find('/').unwrap_or(node.len());
    match node.rfind('/') {
        Some(last) if last > first => {
            let second = node[first + 1..].find('/').map_or(last, |length| first + 1 + length);
            &node[..second]
        }
        _ => &node[..first],
    }
}

/// The model with its graph's nodes, inputs and outputs only, encoded.
fn without_initializers(file: &onnx::File) -> Result<Vec<u8>, Error> {
    let mut graph = Vec::new();
    for field in wire::fields(file.graph()) {
        let field = field?;
        if field.number != GRAPH_INITIALIZER {
            graph.extend_from_slice(&file.graph()[field.start..field.end]);
        }
    }
    let mut model = vec![(MODEL_GRAPH << 3 | 2) as u8];
    let mut length = graph.len();
    while length >= 0x80 {
        model.push(length as u8 | 0x80);
        length >>= 7;
    }
    model.push(length as u8);
    model.extend(graph);
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_the_first_two_parts_of_three() {
        assert_eq!(segment("vision/blocks.3/qkv/matmul"), "vision/blocks.3");
        assert_eq!(segment("vision/patch/add"), "vision/patch");
        assert_eq!(segment("labels/scores"), "labels");
        assert_eq!(segment("Add_3"), "Add_3");
    }
}
