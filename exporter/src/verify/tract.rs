//! tract on the file's own graph, piece by piece: only one piece's weights are in memory.

use std::collections::HashMap;
use std::path::Path;

use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{TractErrorContext, bail};

use super::cut::{Cut, Piece};
use crate::Error;

/// The opset that edgelip writes.
const OPSET: i64 = 17;

/// Integers fewer than this that flow between pieces are shapes: tract must know them before it runs a piece.
const SHAPE_VALUES: usize = 64;

/// Values of a graph by their names.
pub type Values = HashMap<String, Tensor>;

/// The graph's outputs for its inputs. `progress` hears the name of each piece before it runs.
///
/// # Errors
/// [`Error::Io`]; [`Error::Verify`] for what tract refuses, naming the piece.
pub fn run(path: &Path, inputs: Values, progress: &dyn Fn(&str)) -> Result<Values, Error> {
    let cut = Cut::open(path)?;
    if let Some(name) = cut.inputs.iter().find(|name| !inputs.contains_key(*name)) {
        return Err(Error::Verify(format!("{}: the graph has an input `{name}` that is not known", path.display())));
    }
    let mut values = inputs;
    for (index, piece) in cut.pieces.iter().enumerate() {
        progress(&piece.segment);
        let outputs = run_piece(&cut, piece, &values)
            .map_err(|error| Error::Verify(format!("tract on `{}`: {error:#}", piece.segment)))?;
        values.extend(piece.gives.iter().cloned().zip(outputs));
        let later = &cut.pieces[index + 1..];
        values.retain(|name, _| cut.outputs.contains(name) || later.iter().any(|piece| piece.takes.contains(name)));
    }
    Ok(values)
}

fn run_piece(cut: &Cut, piece: &Piece, values: &Values) -> TractResult<Vec<Tensor>> {
    let mut graph = pb::GraphProto {
        name: piece.segment.clone(),
        node: piece.nodes.clone(),
        output: piece
            .gives
            .iter()
            .map(|name| pb::ValueInfoProto { name: name.clone(), ..Default::default() })
            .collect(),
        ..Default::default()
    };
    let mut inputs = tvec!();
    for name in &piece.initializers {
        if is_table(piece, name) {
            // As an initializer tract would hold it twice, and a token table can be half of a checkpoint.
            let table = cut.tensor(name)?;
            graph.input.push(input(name, &table)?);
            inputs.push(table.into_tvalue());
        } else {
            graph.initializer.push(cut.initializer(name)?);
        }
    }
    for name in &piece.takes {
        let value = values.get(name).with_context(|| format!("nothing gives `{name}`"))?;
        if value.datum_type() == i64::datum_type() && value.len() < SHAPE_VALUES && !cut.inputs.contains(name) {
            graph.initializer.push(constant(name, value)?);
        } else {
            graph.input.push(input(name, value)?);
            inputs.push(value.clone().into_tvalue());
        }
    }
    let model = pb::ModelProto {
        ir_version: 8,
        opset_import: vec![pb::OperatorSetIdProto { domain: String::new(), version: OPSET }],
        graph: Some(graph),
        ..Default::default()
    };
    let parsed = tract_onnx::onnx().parse(&model, None)?;
    drop(model);
    if !parsed.unresolved_inputs.is_empty() {
        bail!("nothing gives {:?}", parsed.unresolved_inputs);
    }
    let plan = parsed.model.into_optimized()?.into_runnable()?;
    Ok(plan.run(inputs)?.into_iter().map(|value| value.into_tensor()).collect())
}

/// Whether the piece only picks rows of an initializer.
fn is_table(piece: &Piece, name: &str) -> bool {
    let mut users = piece.nodes.iter().filter(|node| node.input.iter().any(|input| input == name));
    users.all(|node| node.op_type == "Gather" && node.input[0] == name)
}

fn constant(name: &str, value: &Tensor) -> TractResult<pb::TensorProto> {
    Ok(pb::TensorProto {
        name: name.to_owned(),
        data_type: pb::tensor_proto::DataType::Int64 as i32,
        dims: value.shape().iter().map(|&dim| dim as i64).collect(),
        int64_data: value.to_plain_array_view::<i64>()?.iter().copied().collect(),
        ..Default::default()
    })
}

/// An input with the type and the shape of `value`.
fn input(name: &str, value: &Tensor) -> TractResult<pb::ValueInfoProto> {
    use pb::tensor_proto::DataType;
    use pb::tensor_shape_proto::{Dimension, dimension};
    let elem_type = match value.datum_type() {
        DatumType::F32 => DataType::Float,
        DatumType::F16 => DataType::Float16,
        DatumType::I64 => DataType::Int64,
        DatumType::I32 => DataType::Int32,
        DatumType::U8 => DataType::Uint8,
        DatumType::I8 => DataType::Int8,
        DatumType::Bool => DataType::Bool,
        other => bail!("`{name}` is of a type that does not flow between pieces: {other:?}"),
    };
    let dim = value
        .shape()
        .iter()
        .map(|&dim| Dimension { value: Some(dimension::Value::DimValue(dim as i64)), ..Default::default() })
        .collect();
    let tensor = pb::type_proto::Tensor { elem_type: elem_type as i32, shape: Some(pb::TensorShapeProto { dim }) };
    let r#type = pb::TypeProto { value: Some(pb::type_proto::Value::TensorType(tensor)), ..Default::default() };
    Ok(pb::ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..Default::default() })
}
