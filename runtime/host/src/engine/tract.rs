//! tract on a file's graph: a second opinion on edgelip's files, and the way to run others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgelip_runtime::Padding;
use edgelip_runtime::image::Preprocess;
use tract_onnx::pb::{self, tensor_shape_proto::dimension, type_proto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{TractErrorContext, bail};

use super::graph::{self, Kind, Port, TEXT_INPUTS};
use super::{ImageEngine, Output, TextEngine, check_finite};
use crate::{Error, guard};

/// More axes than any tensor has.
const MAX_AXIS: u64 = 64;

/// A parsed ONNX file, not yet compiled.
pub struct Graph {
    proto: pb::ModelProto,
    folder: Option<PathBuf>,
}

impl Graph {
    /// Decodes a file. External data is looked for beside `path`.
    ///
    /// # Errors
    /// [`Error::Tract`].
    pub fn read(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        // The in-place reader walks the same bytes with bounded work; what it refuses is not worth decoding.
        edgelip_runtime::onnx::File::parse(bytes)?;
        let proto = guarded(|| prost_decode(bytes))?;
        check_axes(&proto)?;
        let folder = path.parent().map(|folder| if folder.as_os_str().is_empty() { ".".into() } else { folder.into() });
        Ok(Graph { proto, folder })
    }

    /// The inputs that are no constants.
    pub fn inputs(&self) -> Vec<Port> {
        let Some(graph) = &self.proto.graph else { return Vec::new() };
        let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        graph.input.iter().filter(|input| !is_constant(&input.name)).map(port).collect()
    }

    /// The outputs.
    pub fn outputs(&self) -> Vec<Port> {
        self.proto.graph.iter().flat_map(|graph| &graph.output).map(port).collect()
    }

    /// Compiles the graph for inputs of these names, types and shapes, and for the outputs named.
    fn compile(
        self,
        inputs: &[(&str, DatumType, &[usize])],
        outputs: &[String],
    ) -> Result<Arc<TypedRunnableModel>, Error> {
        let folder = self.folder.as_deref().and_then(Path::to_str).map(str::to_string);
        let mut proto = self.proto;
        guarded(|| {
            if let Some(graph) = &mut proto.graph {
                graph.output.retain(|output| outputs.contains(&output.name));
            }
            let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(&proto, folder.as_deref())?;
            drop(proto);
            if !parsed.unresolved_inputs.is_empty() {
                bail!("nothing gives {:?}", parsed.unresolved_inputs);
            }
            let mut model = parsed.model;
            for (index, outlet) in model.input_outlets()?.to_vec().into_iter().enumerate() {
                let name = model.node(outlet.node).name.clone();
                let Some((_, element, shape)) = inputs.iter().find(|input| input.0 == name) else {
                    bail!("an input `{name}` that is not known");
                };
                model.set_input_fact(index, InferenceFact::dt_shape(*element, *shape))?;
            }
            model.into_optimized()?.into_runnable()
        })
    }
}

fn port(info: &pb::ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let (element, shape) = match tensor {
        Some(type_proto::Value::TensorType(tensor)) => (tensor.elem_type, tensor.shape.as_ref()),
        None => (0, None),
    };
    let dims = shape.iter().flat_map(|shape| &shape.dim).map(|dim| match dim.value {
        Some(dimension::Value::DimValue(length)) => usize::try_from(length).ok(),
        _ => None,
    });
    Port { name: info.name.clone(), element, dims: dims.collect() }
}

/// The index of an output and its latest values.
type Slot = (usize, Vec<f32>);

/// An image tower that tract runs.
pub struct TractImage {
    model: Arc<TypedRunnableModel>,
    preprocess: Preprocess,
    shape: [usize; 4],
    embedding: Option<Slot>,
    logits: Option<Slot>,
}

impl TractImage {
    /// Compiles the graph for one image of `[height, width]`, whose pixels are normalised as `preprocess` says.
    ///
    /// # Errors
    /// [`Error::Tract`]; [`Error::Unusable`] if the graph takes no image, or gives neither an embedding nor logits.
    pub fn new(graph: Graph, size: [usize; 2], preprocess: Preprocess) -> Result<Self, Error> {
        let inputs = graph.inputs();
        let input = graph::image_input(&inputs)?;
        let open = input.dims[2..].contains(&None);
        let shape = [1, 3, size[0], size[1]];
        let outputs = graph::choose(&graph.outputs())?;
        // tract puts outputs in the graph's order.
        let names: Vec<String> = graph.outputs().into_iter().map(|output| output.name).collect();
        let chosen: Vec<String> = names.into_iter().filter(|name| outputs.iter().any(|o| &o.0 == name)).collect();
        let slot = |kind| {
            let name = &outputs.iter().find(|output| output.1 == kind || output.1 == Kind::Either)?.0;
            Some((chosen.iter().position(|other| other == name)?, Vec::new()))
        };
        let (embedding, logits) = (slot(Kind::Embedding), slot(Kind::Logits));
        let model =
            graph.compile(&[(&input.name, f32::datum_type(), &shape)], &chosen).map_err(|error| match error {
                Error::Tract(reason) if open => {
                    let [height, width] = size;
                    Error::Tract(format!("{reason} (with images of {height}x{width}; give another --image-size?)"))
                }
                other => other,
            })?;
        Ok(TractImage { model, preprocess, shape, embedding, logits })
    }
}

impl ImageEngine for TractImage {
    fn run(&mut self, pixels: &[u8]) -> Result<Output<'_>, Error> {
        let mut image = vec![0.0; self.shape.iter().product()];
        self.preprocess.normalize(pixels, &mut image)?;
        let outputs = guarded(|| {
            let input = Tensor::from_shape(&self.shape, &image)?;
            self.model.run(tvec!(input.into_tvalue()))
        })?;
        if let Some((index, embedding)) = &mut self.embedding {
            *embedding = floats(&outputs, *index)?;
            graph::normalise(embedding);
        }
        if let Some((index, logits)) = &mut self.logits {
            *logits = floats(&outputs, *index)?;
        }
        Ok(Output { embedding: values(&self.embedding), logits: values(&self.logits) })
    }

    fn scratch_bytes(&self) -> Option<usize> {
        None
    }
}

/// A text tower that tract runs: always on the whole context, as the shapes in its plan are fixed.
pub struct TractText {
    model: Arc<TypedRunnableModel>,
    ids_first: bool,
    context: usize,
    padding: Option<Padding>,
    embedding: Vec<f32>,
}

impl TractText {
    /// Compiles an edgelip text tower's graph.
    ///
    /// # Errors
    /// [`Error::Tract`]; [`Error::Unusable`] if its inputs or outputs are others than the format says.
    pub fn new(graph: Graph, context: usize, padding: Option<Padding>) -> Result<Self, Error> {
        let names: Vec<String> = graph.inputs().into_iter().map(|input| input.name).collect();
        let ids_first = match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [ids, mask] if [ids, mask] == TEXT_INPUTS => true,
            ["attention_mask", "input_ids"] => false,
            _ => return Err(Error::Unusable(format!("the graph's inputs are no text tower's: {}", names.join(", ")))),
        };
        let shape = [1, context];
        let facts = TEXT_INPUTS.map(|name| (name, i64::datum_type(), &shape[..]));
        let model = graph.compile(&facts, &["text_embeds".into()])?;
        Ok(TractText { model, ids_first, context, padding, embedding: Vec::new() })
    }
}

impl TextEngine for TractText {
    fn run(&mut self, ids: &[u32]) -> Result<&[f32], Error> {
        let [padded, mask] = graph::text_inputs(ids, self.context, self.padding)?;
        let outputs = guarded(|| {
            let shape = [1, self.context];
            let ids = Tensor::from_shape(&shape, &padded)?.into_tvalue();
            let mask = Tensor::from_shape(&shape, &mask)?.into_tvalue();
            self.model.run(if self.ids_first { tvec!(ids, mask) } else { tvec!(mask, ids) })
        })?;
        self.embedding = floats(&outputs, 0)?;
        graph::normalise(&mut self.embedding);
        Ok(&self.embedding)
    }

    fn scratch_bytes(&self) -> Option<usize> {
        None
    }
}

fn values(slot: &Option<Slot>) -> Option<&[f32]> {
    slot.as_ref().map(|slot| slot.1.as_slice())
}

fn floats(outputs: &[TValue], index: usize) -> Result<Vec<f32>, Error> {
    let values: Vec<f32> = guarded(|| {
        let output = outputs.get(index).context("an output is missing")?;
        let output = output.cast_to::<f32>()?;
        Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
    })?;
    check_finite(&values)?;
    Ok(values)
}

/// tract counts from one end of a tensor's axes to the axis asked for, however far that is.
fn check_axes(proto: &pb::ModelProto) -> Result<(), Error> {
    for node in proto.graph.iter().flat_map(|graph| &graph.node) {
        for attribute in node.attribute.iter().filter(|attribute| matches!(attribute.name.as_str(), "axis" | "axes")) {
            if attribute.ints.iter().chain([&attribute.i]).any(|axis| axis.unsigned_abs() > MAX_AXIS) {
                return Err(Error::Tract(format!("node `{}` has an axis that no tensor has", node.name)));
            }
        }
    }
    Ok(())
}

fn prost_decode(bytes: &[u8]) -> TractResult<pb::ModelProto> {
    tract_onnx::onnx().proto_model_for_read(&mut &*bytes)
}

/// Runs tract, whose panics on malformed graphs are errors like its others.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, Error> {
    guard::guarded(work).map_err(Error::Tract)
}
