//! A model as data, and its bytes.

use std::io::{self, Write};

use super::layout::{Layout, Slot};
use super::wire::Message;
use super::{BoxError, Error};

/// Field numbers of onnx.proto.
pub(super) mod field {
    pub const IR_VERSION: u32 = 1;
    pub const PRODUCER_NAME: u32 = 2;
    pub const PRODUCER_VERSION: u32 = 3;
    pub const DOMAIN: u32 = 4;
    pub const MODEL_VERSION: u32 = 5;
    pub const MODEL_DOC: u32 = 6;
    pub const GRAPH: u32 = 7;
    pub const OPSET_IMPORT: u32 = 8;
    pub const METADATA: u32 = 14;

    pub const GRAPH_NODE: u32 = 1;
    pub const GRAPH_NAME: u32 = 2;
    pub const GRAPH_INITIALIZER: u32 = 5;
    pub const GRAPH_DOC: u32 = 10;
    pub const GRAPH_INPUT: u32 = 11;
    pub const GRAPH_OUTPUT: u32 = 12;
    pub const GRAPH_VALUE_INFO: u32 = 13;

    pub const TENSOR_DIMS: u32 = 1;
    pub const TENSOR_TYPE: u32 = 2;
    pub const TENSOR_NAME: u32 = 8;
    pub const TENSOR_RAW: u32 = 9;
    pub const TENSOR_DOC: u32 = 12;
}

/// ONNX's intermediate representation of opset 17.
const IR_VERSION: i64 = 8;
/// The operator set all nodes are of.
pub(super) const OPSET: i64 = 17;

/// ONNX's number of an element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// 32-bit floating point.
    F32 = 1,
    /// 8-bit unsigned integer.
    U8 = 2,
    /// 8-bit signed integer.
    I8 = 3,
    /// 32-bit signed integer.
    I32 = 6,
    /// 64-bit signed integer.
    I64 = 7,
    /// 16-bit IEEE floating point.
    F16 = 10,
}

impl ElementType {
    /// Bytes of an element.
    pub fn size(self) -> u64 {
        match self {
            ElementType::U8 | ElementType::I8 => 1,
            ElementType::F16 => 2,
            ElementType::F32 | ElementType::I32 => 4,
            ElementType::I64 => 8,
        }
    }

    /// The type with ONNX's `number`, if edgelip's files use it.
    pub fn from_number(number: u64) -> Option<Self> {
        use ElementType::*;
        [F32, U8, I8, I32, I64, F16].into_iter().find(|&element| element as u64 == number)
    }
}

/// A dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Known.
    Fixed(u64),
    /// Free, by name.
    Symbol(String),
}

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its dimensions, outermost first.
    pub shape: Vec<Dim>,
}

/// A tensor's bytes, little endian.
pub enum Payload<'a> {
    /// Lying elsewhere, as in a mapped file.
    Borrowed(&'a [u8]),
    /// Held here.
    Owned(Vec<u8>),
    /// Made while the file is written. It is called once for each [`OnnxModel::write`] and must write as many bytes as
    /// shape and type say.
    Stream(Stream<'a>),
}

/// Writes a payload.
pub type Stream<'a> = Box<dyn Fn(&mut dyn Write) -> Result<(), BoxError> + 'a>;

/// A named constant of the graph.
pub struct Initializer<'a> {
    /// Its canonical name.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its dimensions, outermost first; empty for a scalar.
    pub dims: Vec<u64>,
    /// Its values.
    pub payload: Payload<'a>,
}

impl Initializer<'_> {
    /// Bytes of the payload, by shape and type.
    pub fn byte_len(&self) -> u64 {
        self.dims.iter().fold(self.element.size(), |bytes, &dim| bytes.saturating_mul(dim))
    }
}

/// An ONNX model: nodes encoded, payloads borrowed or streamed.
#[derive(Default)]
pub struct OnnxModel<'a> {
    /// What made it.
    pub producer_name: String,
    /// The maker's version.
    pub producer_version: String,
    /// The graph's name.
    pub name: String,
    /// Metadata in file order, keys unique.
    pub metadata: Vec<(String, String)>,
    /// The graph's inputs.
    pub inputs: Vec<ValueInfo>,
    /// The graph's outputs.
    pub outputs: Vec<ValueInfo>,
    /// `NodeProto`s in topological order; see [`Node::encode`](super::Node::encode).
    pub nodes: Vec<Vec<u8>>,
    /// The graph's constants, in file order.
    pub initializers: Vec<Initializer<'a>>,
}

impl OnnxModel<'_> {
    /// Bytes of the file.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if protobuf can't hold it.
    pub fn byte_len(&self) -> Result<u64, Error> {
        let (head, graph_head) = (self.head(), self.graph_head());
        Ok(Layout::new(&self.initializers, head.len() as u64, graph_head.len() as u64)?.file_len)
    }

    /// Writes the file, one payload after the other.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::PayloadLength`], [`Error::Payload`] or [`Error::Io`]. What was written until then
    /// is no model.
    pub fn write(&self, out: &mut impl Write) -> Result<(), Error> {
        let (head, graph_head) = (self.head(), self.graph_head());
        let layout = Layout::new(&self.initializers, head.len() as u64, graph_head.len() as u64)?;
        let mut prefix = Message::default();
        prefix.prefix(field::GRAPH, layout.graph_len);
        out.write_all(&head)?;
        out.write_all(&prefix.finish())?;
        out.write_all(&graph_head)?;
        for (initializer, slot) in self.initializers.iter().zip(&layout.slots) {
            write_initializer(initializer, slot, out)?;
        }
        if let Some(filler) = layout.filler {
            let mut doc = Message::default();
            doc.bytes(field::GRAPH_DOC, &vec![b' '; filler]);
            out.write_all(&doc.finish())?;
        }
        Ok(())
    }

    /// The value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|entry| entry.0 == key).map(|entry| entry.1.as_str())
    }

    /// Sets a metadata key, in place if it is there already.
    pub fn set_metadata(&mut self, key: &str, value: impl Into<String>) {
        match self.metadata.iter_mut().find(|entry| entry.0 == key) {
            Some(entry) => entry.1 = value.into(),
            None => self.metadata.push((key.into(), value.into())),
        }
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Message::default();
        let mut opset = Message::default();
        opset.text(1, "").int(2, OPSET);
        head.int(field::IR_VERSION, IR_VERSION).message(field::OPSET_IMPORT, &opset);
        head.text(field::PRODUCER_NAME, &self.producer_name).text(field::PRODUCER_VERSION, &self.producer_version);
        for (key, value) in &self.metadata {
            let mut entry = Message::default();
            entry.text(1, key).text(2, value);
            head.message(field::METADATA, &entry);
        }
        head.finish()
    }

    fn graph_head(&self) -> Vec<u8> {
        let mut graph = Message::default();
        graph.text(field::GRAPH_NAME, &self.name);
        for input in &self.inputs {
            graph.message(field::GRAPH_INPUT, &input.encode());
        }
        for output in &self.outputs {
            graph.message(field::GRAPH_OUTPUT, &output.encode());
        }
        for node in &self.nodes {
            graph.bytes(field::GRAPH_NODE, node);
        }
        graph.finish()
    }
}

impl ValueInfo {
    fn encode(&self) -> Message {
        let mut shape = Message::default();
        for dim in &self.shape {
            let mut message = Message::default();
            match dim {
                Dim::Fixed(length) => message.int(1, *length as i64),
                Dim::Symbol(name) => message.text(2, name),
            };
            shape.message(1, &message);
        }
        let (mut tensor, mut kind, mut info) = (Message::default(), Message::default(), Message::default());
        tensor.int(1, self.element as i64).message(2, &shape);
        kind.message(1, &tensor);
        info.text(1, &self.name).message(2, &kind);
        info
    }
}

fn write_initializer(initializer: &Initializer<'_>, slot: &Slot, out: &mut impl Write) -> Result<(), Error> {
    out.write_all(&slot.header(initializer))?;
    let declared = initializer.byte_len();
    let given = match &initializer.payload {
        Payload::Borrowed(bytes) if bytes.len() as u64 == declared => return Ok(out.write_all(bytes)?),
        Payload::Owned(bytes) if bytes.len() as u64 == declared => return Ok(out.write_all(bytes)?),
        Payload::Borrowed(bytes) => bytes.len() as u64,
        Payload::Owned(bytes) => bytes.len() as u64,
        Payload::Stream(stream) => {
            let mut bounded = Bounded { out, written: 0, most: declared, overrun: false };
            let result = stream(&mut bounded);
            let (written, overrun) = (bounded.written, bounded.overrun);
            match result {
                Ok(()) if written == declared => return Ok(()),
                Err(source) if !overrun => return Err(Error::Payload { name: initializer.name.clone(), source }),
                _ => written,
            }
        }
    };
    Err(Error::PayloadLength { name: initializer.name.clone(), declared, given })
}

/// Stops a stream that writes more than its initializer declares.
struct Bounded<'w, W> {
    out: &'w mut W,
    written: u64,
    most: u64,
    overrun: bool,
}

impl<W: Write> Write for Bounded<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written + bytes.len() as u64 > self.most {
            self.overrun = true;
            self.written += bytes.len() as u64;
            return Err(io::Error::other("more bytes than the initializer declares"));
        }
        let written = self.out.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
