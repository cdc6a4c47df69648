//! The image tower's graph.

use std::rc::Rc;

use edgelip::onnx::{Dim, ElementType, OnnxModel, ValueInfo};
use edgelip_kernels::padded;
use edgelip_runtime::plan::{Merge, Plan, VisionShape};

use crate::error::Error;
use crate::source::{ModelConfig, Source, VisionConfig};

use super::builder::{Graph, Value};
use super::fold::{Folded, PatchFold, class_row};
use super::linear::{Input, LinearSpec};
use super::merge::Tokens;
use super::transformer::{Queries, Transformer};
use super::{VisionOptions, metadata};

/// The image tower of `source` as an ONNX model. Weights are read when it is written.
///
/// # Errors
/// [`Error::NoTower`] without an image tower, [`Error::Runtime`] if the schedule or the shape is beyond the runtime.
pub fn vision<'a>(source: &'a dyn Source, options: &VisionOptions) -> Result<OnnxModel<'a>, Error> {
    let model = source.model();
    let config = model.vision()?;
    let plan = plan(model, config, options)?;
    let transformer = Transformer {
        source,
        precision: options.precision,
        width: config.width,
        heads: config.heads,
        blocks: config.blocks,
        mlp: config.mlp,
        activation: config.activation,
        norm_eps: config.norm_eps,
    };
    let mut graph = Graph::new("vision");
    let mut x = embed_patches(&mut graph, &transformer, &plan)?;
    let mut sizes: Option<Value> = None;
    for (index, block) in plan.blocks().enumerate() {
        let last = index + 1 == config.blocks;
        graph.enter(format!("blocks.{index}"));
        let bias = sizes.as_ref().map(|sizes| key_bias(&mut graph, sizes, block.tokens));
        let queries = if last { Queries::First } else { Queries::All };
        let [mut rows, keys] = transformer.attend(&mut graph, index, &x, queries, bias.as_ref());
        let sizes_name = format!("vision.blocks.{index}.sizes");
        if block.merged > 0 {
            let (width, heads) = (config.width, config.heads);
            let tokens = Tokens { rows: &rows, keys: &keys, sizes: sizes.as_ref(), count: block.tokens, width, heads };
            let [kept, kept_sizes] = graph.merge(plan.merge(), &tokens, block.merged);
            sizes = Some(graph.rename(kept_sizes, &sizes_name));
            rows = kept;
        } else if let Some(carried) = sizes.take_if(|_| !last) {
            // Each block hands on both rows and sizes, so that it can be run by itself.
            let same = graph.node("Identity", "sizes", &[&carried]);
            sizes = Some(graph.rename(same, &sizes_name));
        }
        x = transformer.perceive(&mut graph, index, &rows);
    }
    transformer.project(&mut graph, &x, "post_norm", model.embedding, "image_embeds");

    let [height, width] = config.image_size.map(|side| Dim::Fixed(side as u64));
    let mut onnx = metadata::model("vision", model, &transformer);
    metadata::vision(&mut onnx, model, &plan, options)?;
    onnx.inputs.push(value("pixel_values", vec![batch(), Dim::Fixed(3), height, width]));
    onnx.outputs.push(value("image_embeds", vec![batch(), Dim::Fixed(model.embedding as u64)]));
    graph.finish(&mut onnx);
    Ok(onnx)
}

/// The plan of an export: a schedule that merges nothing is no merging at all.
fn plan(model: &ModelConfig, config: &VisionConfig, options: &VisionOptions) -> Result<Plan, Error> {
    let shape = VisionShape {
        image: config.image_size,
        patch: config.patch,
        width: config.width,
        heads: config.heads,
        blocks: config.blocks,
        mlp: config.mlp,
        embedding: model.embedding,
        ..VisionShape::default()
    };
    let merge = if options.schedule.iter().all(|&merged| merged == 0) { Merge::None } else { options.merge };
    Ok(Plan::new(&shape, merge, &options.schedule)?)
}

/// Raster indices of the patches in the order tokens are in: for `ward`, rows run alternately left to right and right
/// to left.
pub(super) fn patch_order(merge: Merge, [rows, columns]: [usize; 2]) -> Vec<usize> {
    let column = |row: usize, i: usize| if merge == Merge::Ward && row % 2 == 1 { columns - 1 - i } else { i };
    (0..rows).flat_map(|row| (0..columns).map(move |i| row * columns + column(row, i))).collect()
}

/// `pixel_values` to tokens `[N, 1 + patches, width]`, after the pre-norm, class token first.
fn embed_patches<'a>(graph: &mut Graph<'a>, transformer: &Transformer<'a>, plan: &Plan) -> Result<Value, Error> {
    let shape = plan.shape();
    let (width, patch, source) = (shape.width, shape.patch, transformer.source);
    let precision = transformer.precision.kept();
    let preprocess = *source.model().preprocess()?;
    let fold = Rc::new(PatchFold { source, preprocess, patch, width, precision });
    let [rows, columns] = shape.grid();
    let order = patch_order(plan.merge(), [rows, columns]);
    let count = order.len();
    let ascending = order.is_sorted();
    graph.enter("embed");

    let [scale, offset] = fold.pixel();
    let scale = graph.floats("vision.pixel.scale", &[1, 3, 1, 1], &scale);
    let offset = graph.floats("vision.pixel.offset", &[1, 3, 1, 1], &offset);
    let scaled = graph.node("Mul", "pixels/scaled", &[&Value::named("pixel_values"), &scale]);
    let pixels = graph.node("Add", "pixels", &[&scaled, &offset]);
    let [rows, columns, side] = [rows, columns, patch].map(|length| length as i64);
    let split = graph.reshape("patches/split", &pixels, &[0, 3, rows, side, columns, side]);
    let moved = graph.transpose("patches/moved", &split, &[0, 2, 4, 3, 5, 1]);
    let patches = graph.reshape("patches", &moved, &[0, rows * columns, 3 * side * side]);

    let weights = fold.clone();
    let spec = LinearSpec {
        name: "vision.patch".into(),
        inputs: shape.patch_values(),
        outputs: width,
        precision,
        bias: false,
        groups: vec![Box::new(move || Ok(Folded { weight: weights.weight()?, bias: vec![0.0; weights.width] }))],
    };
    let layer = graph.linear_layer("patch", spec);
    let mut x = graph.linear("patch", &Input::Float(patches), &layer);
    let stored = order.clone();
    let position = graph.rows_of_floats("vision.position", &[count, padded(width)], move || fold.position(&stored));
    let class = graph.rows_of_floats("vision.class", &[1, padded(width)], move || {
        class_row(source, width, source.model().vision()?.norm_eps)
    });
    let [gain, bias] = ["weight", "bias"].map(|part| {
        let name = format!("vision.pre_norm.{part}");
        graph.rows_of_floats(&name.clone(), &[padded(width)], move || {
            let mut values = source.tensor(&name)?.data;
            values.resize(padded(width), 0.0);
            Ok(values)
        })
    });
    if !ascending {
        let bytes: Vec<u8> = order.iter().flat_map(|&index| (index as i64).to_le_bytes()).collect();
        let order =
            graph.weight("vision.order", ElementType::I64, &[count], Box::new(move |out| Ok(out.write_all(&bytes)?)));
        x = graph.node_with("Gather", "ordered", &[&x, &order], &[("axis", edgelip::onnx::Attribute::Int(1))]);
    }
    let position = graph.columns("position/columns", &position, width, padded(width));
    let [gain, bias] = [("gain", gain), ("bias", bias)]
        .map(|(part, vector)| graph.columns(&format!("norm/{part}"), &vector, width, padded(width)));
    let class = graph.columns("class/columns", &class, width, padded(width));
    x = graph.node("Add", "positioned", &[&x, &position]);
    x = graph.layer_norm_affine("norm", &x, &gain, &bias, transformer.norm_eps);

    // The class row is added to an empty first row: unlike a concatenation this needs no copy of it for each image.
    let before = graph.ints(&[0, 1, 0, 0, 0, 0]);
    let after = graph.ints(&[0, 0, count as i64, 0]);
    let x = graph.node("Pad", "padded", &[&x, &before]);
    let class = graph.node("Pad", "class", &[&class, &after]);
    Ok(graph.node("Add", "tokens", &[&x, &class]))
}

/// `ln s` of each key, `[N, 1, 1, tokens]`.
fn key_bias(graph: &mut Graph<'_>, sizes: &Value, tokens: usize) -> Value {
    let log = graph.node("Log", "sizes/log", &[sizes]);
    graph.reshape("sizes/bias", &log, &[0, 1, 1, tokens as i64])
}

fn value(name: &str, shape: Vec<Dim>) -> ValueInfo {
    ValueInfo { name: name.into(), element: ElementType::F32, shape }
}

fn batch() -> Dim {
    Dim::Symbol("N".into())
}
