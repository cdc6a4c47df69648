//! From pixels to the tokens of the first block.

use std::rc::Rc;

use edgelip::onnx::{Attribute, ElementType, Stream};
use edgelip_kernels::padded;

use crate::error::Error;
use crate::source::VisionConfig;

use super::Merge;
use super::builder::{Graph, Value};
use super::fold::{Folded, PixelFold, class_row, positions};
use super::linear::{Input, LinearSpec};
use super::transformer::Transformer;

/// What the tokens are made of.
pub(super) struct Embedded {
    /// Patches `[N, patches, width]` after the pre-norm, if there is one.
    pub patches: Value,
    /// The class token after the pre-norm, the same for all images: `[1, width]`; none in a tower without.
    pub class: Option<Value>,
}

/// Raster indices of the patches in the order tokens are in: for `ward`, rows run alternately left to right and right
/// to left.
pub(super) fn patch_order(merge: Merge, [rows, columns]: [usize; 2]) -> Vec<usize> {
    let column = |row: usize, i: usize| if merge == Merge::Ward && row % 2 == 1 { columns - 1 - i } else { i };
    (0..rows).flat_map(|row| (0..columns).map(move |i| row * columns + column(row, i))).collect()
}

/// `pixel_values` to patches with their positions, after the pre-norm; patch `t` is the one with raster index `order[t]`.
pub(super) fn embed<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    config: &VisionConfig,
    order: &[usize],
) -> Result<Embedded, Error> {
    let (source, width, eps) = (transformer.source, config.width, config.norm_eps);
    let (layer, side, outputs) = match config.stem.first() {
        None => ("vision.patch", config.patch, width),
        Some(first) => ("vision.stem.0", first.window.side, first.outputs),
    };
    let fold = Rc::new(PixelFold {
        source,
        layer,
        preprocess: *source.model().preprocess()?,
        side,
        outputs,
        precision: transformer.precision.kept(),
    });
    graph.enter("embed");
    let mut x = match config.stem.is_empty() {
        true => patches(graph, config, &fold),
        false => graph.stem(transformer, config, &fold),
    };

    let (count, stored, has_bias) = (order.len(), order.to_vec(), config.stem.is_empty());
    let position = graph.rows_of_floats("vision.position", &[count, padded(width)], move || {
        let bias = if has_bias { fold.bias()? } else { vec![0.0; width] };
        positions(source, width, &stored, &bias)
    });
    let class = (config.class_tokens() > 0)
        .then(|| graph.rows_of_floats("vision.class", &[1, padded(width)], move || class_row(source, width, eps)));
    let norm = config
        .pre_norm
        .then(|| ["weight", "bias"].map(|part| transformer.padded_vector(graph, format!("vision.pre_norm.{part}"))));
    let order = stored_order(graph, order);
    x = reorder(graph, "ordered", x, order.as_ref());
    let position = graph.columns("position/columns", &position, width, padded(width));
    let norm = norm.map(|[gain, bias]| {
        [("gain", gain), ("bias", bias)]
            .map(|(part, vector)| graph.columns(&format!("norm/{part}"), &vector, width, padded(width)))
    });
    let class = class.map(|class| graph.columns("class/columns", &class, width, padded(width)));
    x = graph.node("Add", "positioned", &[&x, &position]);
    if let Some([gain, bias]) = norm {
        x = graph.layer_norm_affine("norm", &x, &gain, &bias, eps);
    }
    Ok(Embedded { patches: x, class })
}

/// The patch embedding, patches in raster order.
fn patches<'a>(graph: &mut Graph<'a>, config: &VisionConfig, fold: &Rc<PixelFold<'a>>) -> Value {
    let pixels = graph.pixels(&Value::named("pixel_values"), fold.pixel());
    let [rows, columns] = config.grid().map(|length| length as i64);
    let side = config.patch as i64;
    let mut pixels = pixels;
    // What is too little for another patch is not looked at.
    for (axis, used, given) in [(2, rows * side, config.image_size[0]), (3, columns * side, config.image_size[1])] {
        if used < given as i64 {
            pixels = graph.slice(&format!("pixels/used.{axis}"), &pixels, axis, 0, used, 1);
        }
    }
    let split = graph.reshape("patches/split", &pixels, &[0, 3, rows, side, columns, side]);
    let moved = graph.transpose("patches/moved", &split, &[0, 2, 4, 3, 5, 1]);
    let patches = graph.reshape("patches", &moved, &[0, rows * columns, 3 * side * side]);
    let weights = fold.clone();
    let spec = LinearSpec {
        name: fold.layer.into(),
        inputs: 3 * config.patch * config.patch,
        outputs: config.width,
        precision: fold.precision,
        bias: false,
        groups: vec![Box::new(move || Ok(Folded { weight: weights.weight()?, bias: vec![0.0; weights.outputs] }))],
    };
    let layer = graph.linear_layer("patch", spec);
    graph.linear("patch", &Input::Float(patches), &layer)
}

/// Raster indices as the file keeps them; `None` if they say nothing.
pub(super) fn stored_order(graph: &mut Graph<'_>, order: &[usize]) -> Option<Value> {
    let bytes: Vec<u8> = order.iter().flat_map(|&index| (index as i64).to_le_bytes()).collect();
    let write: Stream<'static> = Box::new(move |out| Ok(out.write_all(&bytes)?));
    (!order.is_sorted()).then(|| graph.weight("vision.order", ElementType::I64, &[order.len()], write))
}

/// Patches `[N, patches, …]` in raster order to those of an order; none changes nothing.
pub(super) fn reorder(graph: &mut Graph<'_>, name: &str, patches: Value, order: Option<&Value>) -> Value {
    match order {
        Some(order) => graph.node_with("Gather", name, &[&patches, order], &[("axis", Attribute::Int(1))]),
        None => patches,
    }
}

/// Class token, if there is one, and patches `[N, 1 + patches, width]`.
pub(super) fn tokens(graph: &mut Graph<'_>, class: Option<&Value>, patches: &Value, count: usize) -> Value {
    let Some(class) = class else { return patches.clone() };
    // The class row is added to an empty first row: unlike a concatenation this needs no copy of it for each image.
    let before = graph.ints(&[0, 1, 0, 0, 0, 0]);
    let after = graph.ints(&[0, 0, count as i64, 0]);
    let patches = graph.node("Pad", "padded", &[patches, &before]);
    let class = graph.node("Pad", "class", &[class, &after]);
    graph.node("Add", "tokens", &[&patches, &class])
}

impl Graph<'_> {
    /// Normalised pixels to `u8 / 256`, by a scale and an offset for each channel.
    pub fn pixels(&mut self, normalised: &Value, [scale, offset]: [[f32; 3]; 2]) -> Value {
        let scale = self.floats("vision.pixel.scale", &[1, 3, 1, 1], &scale);
        let offset = self.floats("vision.pixel.offset", &[1, 3, 1, 1], &offset);
        let scaled = self.node("Mul", "pixels/scaled", &[normalised, &scale]);
        self.node("Add", "pixels", &[&scaled, &offset])
    }
}
