//! tract on a file's graph: a second opinion on edgelip's files, and the way to run others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgelip_runtime::image::Preprocess;
use tract_onnx::pb::{self, tensor_proto::DataType, tensor_shape_proto::dimension, type_proto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{TractErrorContext, bail};

use super::{ImageEngine, Output, TextEngine, check_finite};
use crate::{Error, guard};

/// More axes than any tensor has.
const MAX_AXIS: u64 = 64;

/// Longest side of an input that is believed.
const MAX_SIDE: usize = 8192;

/// A parsed ONNX file, not yet compiled.
pub struct Graph {
    proto: pb::ModelProto,
    folder: Option<PathBuf>,
}

/// An input or output that the graph declares.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// ONNX's number of its element type.
    pub element: i32,
    /// Its dimensions; `None` where they are open.
    pub dims: Vec<Option<usize>>,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<_> = self.dims.iter().map(|dim| dim.map_or("?".to_string(), |dim| dim.to_string())).collect();
        write!(f, "`{}` [{}]", self.name, dims.join(", "))
    }
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

    /// Height and width of the one image input; where the graph leaves them open, `wanted` or else 224.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the graph takes something else than one image, or another size than `wanted`.
    pub fn image_size(&self, wanted: Option<[usize; 2]>) -> Result<[usize; 2], Error> {
        let input = self.image_input()?;
        let mut size = [0; 2];
        for (axis, side) in size.iter_mut().enumerate() {
            let wanted = wanted.map(|size| size[axis]);
            *side = match (input.dims[2 + axis], wanted) {
                (Some(fixed), Some(wanted)) if fixed != wanted => {
                    return Err(Error::Unusable(format!("the graph's input {input} takes no images of side {wanted}")));
                }
                (Some(side), _) | (None, Some(side)) => side,
                (None, None) => 224,
            };
            if !(1..=MAX_SIDE).contains(side) {
                return Err(Error::Unusable(format!("the graph's input {input} is no image of a usable size")));
            }
        }
        Ok(size)
    }

    fn image_input(&self) -> Result<Port, Error> {
        let inputs = self.inputs();
        let list = || inputs.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
        let [input] = &inputs[..] else {
            return Err(Error::Unusable(format!(
                "the graph has {} inputs ({}); the tract engine runs graphs with one image input",
                inputs.len(),
                list()
            )));
        };
        let is_image = input.dims.len() == 4 && input.dims[1].is_none_or(|channels| channels == 3);
        if !is_image || input.element != DataType::Float as i32 {
            return Err(Error::Unusable(format!(
                "the graph's input {} is no image of shape [N, 3, height, width] in f32",
                list()
            )));
        }
        Ok(input.clone())
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

/// An image tower that tract runs.
pub struct TractImage {
    model: Arc<TypedRunnableModel>,
    preprocess: Preprocess,
    shape: [usize; 4],
    embedding: Option<Slot>,
    logits: Option<Slot>,
}

/// The index of an output and its latest values.
type Slot = (usize, Vec<f32>);

impl TractImage {
    /// Compiles the graph for one image of `[height, width]`, whose pixels are normalised as `preprocess` says.
    ///
    /// # Errors
    /// [`Error::Tract`]; [`Error::Unusable`] if the graph takes no image, or gives neither an embedding nor logits.
    pub fn new(graph: Graph, size: [usize; 2], preprocess: Preprocess) -> Result<Self, Error> {
        let input = graph.image_input()?;
        let open = input.dims[2..].contains(&None);
        let shape = [1, 3, size[0], size[1]];
        let outputs = choose(&graph.outputs())?;
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
            normalise(embedding);
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embedding,
    Logits,
    /// The graph's only output, by whose name it may be either.
    Either,
}

/// The outputs that are of use: logits by their name, an embedding by its name or its being alone.
fn choose(outputs: &[Port]) -> Result<Vec<(String, Kind)>, Error> {
    let flat: Vec<&Port> = outputs.iter().filter(|output| matches!(output.dims.len(), 0 | 2)).collect();
    let named = |parts: &[&str]| {
        parts.iter().find_map(|part| flat.iter().find(|output| output.name.to_lowercase().contains(part)))
    };
    let logits = named(&["logits", "prob"]);
    let others: Vec<_> = flat.iter().filter(|output| Some(*output) != logits).collect();
    let embedding = named(&["image_embed", "image_features", "embed", "pooler", "feature"])
        .filter(|output| Some(*output) != logits);
    let kind = if embedding.is_some() { Kind::Embedding } else { Kind::Either };
    let embedding = embedding.or(match others[..] {
        [only] if logits.is_none() => Some(only),
        _ => None,
    });
    let chosen: Vec<_> = [(embedding, kind), (logits, Kind::Logits)]
        .into_iter()
        .filter_map(|(output, kind)| Some((output?.name.clone(), kind)))
        .collect();
    if chosen.is_empty() {
        let list: Vec<_> = outputs.iter().map(Port::to_string).collect();
        return Err(Error::Unusable(format!(
            "the graph gives neither an embedding nor logits of shape [N, values]; it gives {}",
            list.join(", ")
        )));
    }
    Ok(chosen)
}

/// A text tower that tract runs: always on the whole context, as the shapes in its plan are fixed.
pub struct TractText {
    model: Arc<TypedRunnableModel>,
    ids_first: bool,
    context: usize,
    embedding: Vec<f32>,
}

impl TractText {
    /// Compiles an edgelip text tower's graph.
    ///
    /// # Errors
    /// [`Error::Tract`]; [`Error::Unusable`] if its inputs or outputs are others than the format says.
    pub fn new(graph: Graph, context: usize) -> Result<Self, Error> {
        let names: Vec<String> = graph.inputs().into_iter().map(|input| input.name).collect();
        let ids_first = match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["input_ids", "attention_mask"] => true,
            ["attention_mask", "input_ids"] => false,
            _ => return Err(Error::Unusable(format!("the graph's inputs are no text tower's: {}", names.join(", ")))),
        };
        let shape = [1, context];
        let facts = ["input_ids", "attention_mask"].map(|name| (name, i64::datum_type(), &shape[..]));
        let model = graph.compile(&facts, &["text_embeds".into()])?;
        Ok(TractText { model, ids_first, context, embedding: Vec::new() })
    }
}

impl TextEngine for TractText {
    fn run(&mut self, ids: &[u32]) -> Result<&[f32], Error> {
        let (Some(&last), true) = (ids.last(), ids.len() <= self.context) else {
            return Err(edgelip_runtime::Error::Tokens.into());
        };
        let padded: Vec<i64> = (0..self.context).map(|i| i64::from(*ids.get(i).unwrap_or(&last))).collect();
        let mask: Vec<i64> = (0..self.context).map(|i| i64::from(i < ids.len())).collect();
        let outputs = guarded(|| {
            let shape = [1, self.context];
            let ids = Tensor::from_shape(&shape, &padded)?.into_tvalue();
            let mask = Tensor::from_shape(&shape, &mask)?.into_tvalue();
            self.model.run(if self.ids_first { tvec!(ids, mask) } else { tvec!(mask, ids) })
        })?;
        self.embedding = floats(&outputs, 0)?;
        normalise(&mut self.embedding);
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

fn normalise(embedding: &mut [f32]) {
    let norm = embedding.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
    // Files of edgelip are normalised already: leave their bits alone.
    if (norm - 1.0).abs() > 1e-5 {
        embedding.iter_mut().for_each(|value| *value = (f64::from(*value) / norm.max(1e-12)) as f32);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, dims: &[Option<usize>]) -> Port {
        Port { name: name.into(), element: 1, dims: dims.to_vec() }
    }

    #[test]
    fn outputs_are_chosen_by_name_and_shape() {
        let chosen = |outputs: &[Port]| choose(outputs).map_err(|error| error.to_string());
        let hidden = port("last_hidden_state", &[None, Some(50), Some(768)]);
        let embeds = port("image_embeds", &[None, Some(512)]);
        let logits = port("logits_per_image", &[None, Some(3)]);
        assert_eq!(chosen(&[embeds.clone(), hidden.clone()]).unwrap(), [("image_embeds".into(), Kind::Embedding)]);
        assert_eq!(chosen(&[embeds, logits.clone()]).unwrap().len(), 2);
        assert_eq!(chosen(&[logits]).unwrap(), [("logits_per_image".into(), Kind::Logits)]);
        assert_eq!(chosen(&[port("2891", &[Some(1), Some(512)])]).unwrap(), [("2891".into(), Kind::Either)]);
        assert!(chosen(&[hidden]).unwrap_err().contains("`last_hidden_state` [?, 50, 768]"));
    }
}
