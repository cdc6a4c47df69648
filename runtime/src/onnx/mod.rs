//! In-place reader of an ONNX file: finds initializers and metadata without allocating.

pub mod wire;

use edgelip_kernels::Part;

use crate::Error;
use wire::{Fields, Value, fields};

const MODEL_GRAPH: u32 = 7;
const MODEL_METADATA: u32 = 14;
const ENTRY_KEY: u32 = 1;
const ENTRY_VALUE: u32 = 2;
const GRAPH_INITIALIZER: u32 = 5;
const TENSOR_DIMS: u32 = 1;
const TENSOR_TYPE: u32 = 2;
const TENSOR_NAME: u32 = 8;
const TENSOR_RAW: u32 = 9;

/// Fields of a model that are numbers: its versions.
const MODEL_NUMBERS: [u32; 2] = [1, 5];
/// Fields of a model that are text or messages: names, the graph, metadata, functions and so on.
const MODEL_PARTS: [u32; 10] = [2, 3, 4, 6, MODEL_GRAPH, 8, MODEL_METADATA, 20, 25, 26];

/// ONNX's number of an element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataType {
    /// 32-bit floating point.
    F32 = 1,
    /// 8-bit signed integer.
    I8 = 3,
    /// 32-bit signed integer.
    I32 = 6,
    /// 64-bit signed integer.
    I64 = 7,
    /// 16-bit IEEE floating point.
    F16 = 10,
}

/// The most dimensions an initializer of an edgelip file has.
pub const MAX_DIMS: usize = 6;

/// An initializer, borrowed from the file.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Its canonical name.
    pub name: &'a str,
    /// ONNX's number of the element type; see [`DataType`].
    pub data_type: i32,
    /// Its values as little-endian bytes; empty if the file stores them in another field.
    pub raw: &'a [u8],
    dims: [u64; MAX_DIMS],
    rank: usize,
}

impl<'a> Tensor<'a> {
    /// Reads a `TensorProto`.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Malformed`]; the latter also for more than [`MAX_DIMS`] dimensions.
    pub fn parse(message: &'a [u8]) -> Result<Self, Error> {
        let mut tensor = Tensor { name: "", data_type: 0, raw: &[], dims: [0; MAX_DIMS], rank: 0 };
        for field in fields(message) {
            let field = field?;
            match (field.number, field.value) {
                (TENSOR_DIMS, Value::Varint(dim)) => tensor.push(dim)?,
                (TENSOR_DIMS, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        let (dim, length) = wire::varint(packed)?;
                        tensor.push(dim)?;
                        packed = packed.part(length..);
                    }
                }
                (TENSOR_TYPE, Value::Varint(number)) => {
                    tensor.data_type = i32::try_from(number).map_err(|_| Error::Malformed)?;
                }
                (TENSOR_NAME, _) => tensor.name = field.text()?,
                (TENSOR_RAW, _) => tensor.raw = field.bytes()?,
                _ => {}
            }
        }
        Ok(tensor)
    }

    fn push(&mut self, dim: u64) -> Result<(), Error> {
        *self.dims.get_mut(self.rank).ok_or(Error::Malformed)? = dim;
        self.rank += 1;
        Ok(())
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[u64] {
        self.dims.part(..self.rank)
    }

    /// Whether the dimensions are these.
    pub fn has_dims(&self, dims: &[usize]) -> bool {
        self.rank == dims.len() && self.dims().iter().zip(dims).all(|(&a, &b)| a == b as u64)
    }
}

/// The ONNX file that `memory` begins with, if it was loaded there without a word about its length. It ends with its graph, or behind that
/// before the first field that is none of a model's.
///
/// # Errors
/// [`Error::Malformed`] if there is no whole graph.
pub fn leading(memory: &[u8]) -> Result<&[u8], Error> {
    let (mut end, mut graph) = (0, false);
    for field in fields(memory).map_while(Result::ok) {
        let known = match field.value {
            Value::Varint(_) => MODEL_NUMBERS.contains(&field.number),
            Value::Bytes(_) => MODEL_PARTS.contains(&field.number) && !(graph && field.number == MODEL_GRAPH),
            _ => false,
        };
        if !known {
            break;
        }
        end = field.end;
        graph |= field.number == MODEL_GRAPH;
    }
    if graph { Ok(memory.part(..end)) } else { Err(Error::Malformed) }
}

/// An ONNX file, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    bytes: &'a [u8],
    graph: &'a [u8],
    first_initializer: usize,
}

impl<'a> File<'a> {
    /// Walks the whole file once (headers only, not the weights) and checks that it is well-formed.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut graph = None;
        for field in fields(bytes) {
            let field = field?;
            if field.number == MODEL_GRAPH && graph.replace(field.bytes()?).is_some() {
                return Err(Error::Malformed);
            }
        }
        let graph = graph.ok_or(if bytes.is_empty() { Error::Truncated } else { Error::Malformed })?;
        let mut first_initializer = graph.len();
        for field in fields(graph) {
            let field = field?;
            if field.number == GRAPH_INITIALIZER {
                first_initializer = first_initializer.min(field.start);
                Tensor::parse(field.bytes()?)?;
            }
        }
        Ok(File { bytes, graph, first_initializer })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The `GraphProto`.
    pub fn graph(&self) -> &'a [u8] {
        self.graph
    }

    /// The metadata entries, in file order.
    pub fn metadata_entries(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        fields(self.bytes).map_while(Result::ok).filter(|field| field.number == MODEL_METADATA).filter_map(|field| {
            let (mut key, mut value) = (None, "");
            for part in fields(field.bytes().ok()?) {
                let part = part.ok()?;
                match part.number {
                    ENTRY_KEY => key = Some(part.text().ok()?),
                    ENTRY_VALUE => value = part.text().ok()?,
                    _ => {}
                }
            }
            Some((key?, value))
        })
    }

    /// The metadata value of `key`.
    pub fn metadata(&self, key: &str) -> Option<&'a str> {
        self.metadata_entries().find(|entry| entry.0 == key).map(|entry| entry.1)
    }

    /// The initializers, in file order.
    pub fn initializers(&self) -> impl Iterator<Item = Tensor<'a>> + use<'a> {
        tensors(self.graph, self.first_initializer).map(|(tensor, _)| tensor)
    }

    /// The initializer with this name.
    pub fn initializer(&self, name: &str) -> Option<Tensor<'a>> {
        self.initializers().find(|tensor| tensor.name == name)
    }

    /// A finder for many initializers that are asked for in about the order of the file.
    pub(crate) fn finder(&self) -> Finder<'a> {
        Finder { graph: self.graph, first: self.first_initializer, at: self.first_initializer }
    }
}

fn tensors<'a>(graph: &'a [u8], from: usize) -> impl Iterator<Item = (Tensor<'a>, usize)> {
    Fields::from(graph, from)
        .map_while(Result::ok)
        .filter(|field| field.number == GRAPH_INITIALIZER)
        .filter_map(|field| Some((Tensor::parse(field.bytes().ok()?).ok()?, field.end)))
}

/// Finds initializers by name, searching on from the last one found.
pub(crate) struct Finder<'a> {
    graph: &'a [u8],
    first: usize,
    at: usize,
}

impl<'a> Finder<'a> {
    /// The next initializer for which `is` holds, wrapping around once.
    pub(crate) fn find(&mut self, is: impl Fn(&str) -> bool) -> Option<Tensor<'a>> {
        let (tensor, end) = tensors(self.graph, self.at)
            .find(|(tensor, _)| is(tensor.name))
            .or_else(|| tensors(self.graph, self.first).find(|(tensor, _)| is(tensor.name)))?;
        self.at = end;
        Some(tensor)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_file_is_found_in_memory_whatever_lies_behind_it() {
        // A version, a producer, an empty graph, an entry of metadata.
        let file = [8, 8, 18, 2, b'm', b'e', 58, 0, 114, 2, 10, 0];
        for behind in [&[][..], &[0; 9], &[0xFF; 9], &[58, 0], &[9; 9], &[42, 1], &[18, 200, 1]] {
            let memory: Vec<u8> = file.iter().chain(behind).copied().collect();
            assert_eq!(leading(&memory), Ok(&file[..]), "{behind:?}");
        }
        for nothing in [&[][..], &[0; 9], &[0xFF; 9], &file[..6], &[58, 5, 0]] {
            assert_eq!(leading(nothing), Err(Error::Malformed), "{nothing:?}");
        }
    }
}
