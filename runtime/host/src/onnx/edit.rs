//! Reads an edgelip file to write it again with changes: nodes stay encoded, payloads borrowed.

use edgelip_runtime::onnx::Tensor;
use edgelip_runtime::onnx::wire::{Field, Value, fields};

use super::Error;
use super::model::{Dim, ElementType, Initializer, OPSET, OnnxModel, Payload, ValueInfo, field};

impl<'a> OnnxModel<'a> {
    /// Reads a file that edgelip wrote, or that another tool wrote without leaving edgelip's subset of ONNX. What
    /// annotates a graph without changing it (doc strings, inferred shapes) is dropped.
    ///
    /// # Errors
    /// [`Error::Read`] if the file is not well-formed, [`Error::Unsupported`] if something that matters would be lost.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut model = OnnxModel::default();
        let mut has_graph = false;
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                field::IR_VERSION | field::DOMAIN | field::MODEL_VERSION | field::MODEL_DOC => {}
                field::OPSET_IMPORT => check_opset(field.bytes()?)?,
                field::PRODUCER_NAME => model.producer_name = field.text()?.into(),
                field::PRODUCER_VERSION => model.producer_version = field.text()?.into(),
                field::METADATA => model.read_metadata(field.bytes()?)?,
                field::GRAPH if !has_graph => {
                    has_graph = true;
                    model.read_graph(field.bytes()?)?;
                }
                number => return Err(Error::Unsupported(format!("field {number} of the model"))),
            }
        }
        if has_graph { Ok(model) } else { Err(edgelip_runtime::Error::Malformed.into()) }
    }

    fn read_metadata(&mut self, message: &[u8]) -> Result<(), Error> {
        let (mut key, mut value) = ("", "");
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => key = field.text()?,
                2 => value = field.text()?,
                _ => {}
            }
        }
        self.metadata.push((key.into(), value.into()));
        Ok(())
    }

    fn read_graph(&mut self, message: &'a [u8]) -> Result<(), Error> {
        for field in fields(message) {
            let field = field?;
            match field.number {
                field::GRAPH_NODE => self.nodes.push(field.bytes()?.to_vec()),
                field::GRAPH_NAME => self.name = field.text()?.into(),
                field::GRAPH_INITIALIZER => self.initializers.push(Initializer::read(field.bytes()?)?),
                field::GRAPH_INPUT => self.inputs.push(ValueInfo::read(field.bytes()?)?),
                field::GRAPH_OUTPUT => self.outputs.push(ValueInfo::read(field.bytes()?)?),
                field::GRAPH_DOC | field::GRAPH_VALUE_INFO => {}
                number => return Err(Error::Unsupported(format!("field {number} of the graph"))),
            }
        }
        Ok(())
    }
}

impl<'a> Initializer<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Error> {
        let tensor = Tensor::parse(message)?;
        let number = u64::try_from(tensor.data_type).unwrap_or(0);
        let element = ElementType::from_number(number)
            .ok_or_else(|| Error::Unsupported(format!("element type {number} of initializer `{}`", tensor.name)))?;
        let initializer = Initializer {
            name: tensor.name.into(),
            element,
            dims: tensor.dims().to_vec(),
            payload: Payload::Borrowed(tensor.raw),
        };
        if initializer.byte_len() == tensor.raw.len() as u64 {
            return Ok(initializer);
        }
        if tensor.raw.is_empty() {
            return Err(Error::Unsupported(format!("initializer `{}`, which is not stored as raw_data", tensor.name)));
        }
        Err(Error::PayloadLength {
            declared: initializer.byte_len(),
            given: tensor.raw.len() as u64,
            name: initializer.name,
        })
    }
}

impl ValueInfo {
    fn read(message: &[u8]) -> Result<Self, Error> {
        let mut name = "";
        let mut tensor = None;
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => name = field.text()?,
                2 => tensor = find(field.bytes()?, 1)?,
                _ => {}
            }
        }
        let unsupported = || Error::Unsupported(format!("the type of `{name}`"));
        let tensor = tensor.ok_or_else(unsupported)?.bytes()?;
        let element = match find(tensor, 1)?.map(|field| field.value) {
            Some(Value::Varint(number)) => ElementType::from_number(number).ok_or_else(unsupported)?,
            _ => return Err(unsupported()),
        };
        let mut shape = Vec::new();
        for dim in fields(find(tensor, 2)?.ok_or_else(unsupported)?.bytes()?) {
            let dim = dim?;
            if dim.number == 1 {
                shape.push(Dim::read(dim.bytes()?)?.ok_or_else(unsupported)?);
            }
        }
        Ok(ValueInfo { name: name.into(), element, shape })
    }
}

impl Dim {
    fn read(message: &[u8]) -> Result<Option<Self>, Error> {
        let mut dim = None;
        for field in fields(message) {
            let field = field?;
            dim = match (field.number, field.value) {
                (1, Value::Varint(length)) => Some(Dim::Fixed(length)),
                (2, _) => Some(Dim::Symbol(field.text()?.into())),
                _ => dim,
            };
        }
        Ok(dim)
    }
}

/// The name of an encoded `NodeProto`.
pub(super) fn node_name(node: &[u8]) -> Result<&str, Error> {
    Ok(match find(node, 3)? {
        Some(field) => field.text()?,
        None => "",
    })
}

fn check_opset(message: &[u8]) -> Result<(), Error> {
    let domain = find(message, 1)?.map_or(Ok(""), |field| field.text())?;
    let version = find(message, 2)?.map(|field| field.value);
    let default = domain.is_empty() || domain == "ai.onnx";
    if default && version == Some(Value::Varint(OPSET as u64)) {
        return Ok(());
    }
    let version = match version {
        Some(Value::Varint(version)) => version,
        _ => 0,
    };
    Err(Error::Unsupported(format!("version {version} of operator set `{domain}`")))
}

/// The last field with this number.
fn find(message: &[u8], number: u32) -> Result<Option<Field<'_>>, Error> {
    let mut found = None;
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            found = Some(field);
        }
    }
    Ok(found)
}
