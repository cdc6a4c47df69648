//! The image tower's graph.

use edgelip::onnx::{Dim, ElementType, OnnxModel, ValueInfo};
use edgelip_runtime::plan::{Merge, Plan};

use crate::error::Error;
use crate::schedule;
use crate::source::{ModelConfig, Readout, Source};

use super::builder::{Graph, Value};
use super::embed::{embed, patch_order, reorder, stored_order, tokens};
use super::guide::Guidance;
use super::head::Left;
use super::merge::{Merged, Tokens};
use super::transformer::{Queries, Transformer};
use super::{Guide, VisionOptions, frequency, metadata};

/// The image tower of `source` as an ONNX model. Weights are read when it is written.
///
/// # Errors
/// [`Error::NoTower`] without an image tower, [`Error::Runtime`] if the schedule or the shape is beyond the runtime.
pub fn vision<'a>(source: &'a dyn Source, options: &VisionOptions) -> Result<OnnxModel<'a>, Error> {
    let model = source.model();
    let config = model.vision()?;
    let plan = plan(model, options)?;
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
    let guide = plan.guided().then_some(options.guide);
    let Stage { tokens, summary, energy } = stage(&mut graph, &transformer, &plan, guide)?;
    let guide = guide.zip(energy);
    let unit = match (&guide, &summary) {
        (Some(_), Some(summary)) => Some(graph.normalize("summary", summary)[0].clone()),
        _ => None,
    };
    let left = blocks(&mut graph, &transformer, &plan, tokens, guide, unit.as_ref());
    match summary.filter(|_| config.readout == Readout::Joint) {
        None => {
            let embedding = transformer.read_out(&mut graph, config, &left, model.embedding)?;
            graph.rename(embedding, "image_embeds")
        }
        Some(summary) => {
            let frequency = frequency::project(&mut graph, &transformer, &summary, model.embedding);
            let spatial = transformer.read_out(&mut graph, config, &left, model.embedding)?;
            let sum = graph.node("Add", "joint", &[&spatial, &frequency]);
            let [unit, _] = graph.normalize("joint", &sum);
            graph.rename(unit, "image_embeds")
        }
    };

    let [height, width] = config.image_size.map(|side| Dim::Fixed(side as u64));
    let mut onnx = metadata::model("vision", model, &transformer);
    metadata::vision(&mut onnx, model, &plan, options)?;
    onnx.inputs.push(value("pixel_values", vec![batch(), Dim::Fixed(3), height, width]));
    onnx.outputs.push(value("image_embeds", vec![batch(), Dim::Fixed(model.embedding as u64)]));
    graph.finish(&mut onnx);
    Ok(onnx)
}

/// The plan of an export: a schedule that merges nothing is no merging at all.
fn plan(model: &ModelConfig, options: &VisionOptions) -> Result<Plan, Error> {
    let shape = schedule::tower(model, options.guide)?;
    let merge = if options.schedule.iter().all(|&merged| merged == 0) { Merge::None } else { options.merge };
    Ok(Plan::new(&shape, merge, &options.schedule)?)
}

/// What reaches the blocks.
struct Stage {
    /// `[N, 1 + patches, width]`, class token first, if there is one.
    tokens: Value,
    /// The frequency feature `[N, 1, width]`, if anything asks for it.
    summary: Option<Value>,
    /// High-frequency energy of the tokens `[N, 1 + patches, 1]`, the class token's if there is one, if merging is guided.
    energy: Option<Value>,
}

/// `pixel_values` to the tokens of the first block, through the frequency stage if there is one.
fn stage<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    plan: &Plan,
    guide: Option<Guide>,
) -> Result<Stage, Error> {
    let config = transformer.source.model().vision()?;
    let grid = config.grid();
    let order = patch_order(plan.merge(), grid);
    let staged = config.frequency_blocks > 0 || guide.is_some();
    if !staged {
        let embedded = embed(graph, transformer, config, &order)?;
        let tokens = tokens(graph, embedded.class.as_ref(), &embedded.patches, order.len());
        return Ok(Stage { tokens, summary: None, energy: None });
    }
    // Neighbours on the grid matter until the blocks.
    let embedded = embed(graph, transformer, config, &patch_order(Merge::None, grid))?;
    let patches = frequency::stage(graph, transformer, config, embedded.patches);
    let asked = guide.is_some() || config.readout == Readout::Joint;
    let summary = (asked && config.frequency_blocks > 0).then(|| frequency::summary(graph, transformer, &patches));
    graph.enter("tokens");
    let energy = guide.map(|_| graph.energy(&patches, grid));
    let stored = stored_order(graph, &order);
    let patches = reorder(graph, "ordered", patches, stored.as_ref());
    let energy = energy.map(|energy| {
        let ordered = reorder(graph, "energy/ordered", energy, stored.as_ref());
        if embedded.class.is_none() {
            return ordered;
        }
        // The class token has none.
        let before = graph.ints(&[0, 1, 0, 0, 0, 0]);
        graph.node("Pad", "energy/padded", &[&ordered, &before])
    });
    Ok(Stage { tokens: tokens(graph, embedded.class.as_ref(), &patches, order.len()), summary, energy })
}

/// The transformer's blocks, tokens merging between their attention and MLP, to the class token or whatever the head reads.
fn blocks<'a>(
    graph: &mut Graph<'a>,
    transformer: &Transformer<'a>,
    plan: &Plan,
    tokens: Value,
    mut guide: Option<(Guide, Value)>,
    summary: Option<&Value>,
) -> Left {
    let only_class = plan.shape().class_tokens() > 0;
    let (width, heads) = (transformer.width, transformer.heads);
    let last_merge = plan.blocks().enumerate().filter(|(_, block)| block.merged > 0).map(|(index, _)| index).last();
    let mut x = tokens;
    let mut sizes: Option<Value> = None;
    for (index, block) in plan.blocks().enumerate() {
        let last = index + 1 == transformer.blocks;
        graph.enter(format!("blocks.{index}"));
        let bias = sizes.as_ref().map(|sizes| key_bias(graph, sizes, block.tokens));
        let queries = if last && only_class { Queries::Row(0) } else { Queries::All };
        let [mut rows, keys] = transformer.attend(graph, index, &x, queries, bias.as_ref());
        let sizes_name = format!("vision.blocks.{index}.sizes");
        if block.merged > 0 {
            let guidance = guide.as_ref().map(|(guide, energy)| Guidance {
                guide: *guide,
                summary,
                energy,
                carry: last_merge > Some(index),
            });
            let tokens = Tokens {
                rows: &rows,
                keys: &keys,
                sizes: sizes.as_ref(),
                count: block.tokens,
                class_tokens: plan.shape().class_tokens(),
                width,
                heads,
                guidance,
            };
            let merged = graph.merge(plan.merge(), &tokens, block.merged);
            let Merged { rows: kept, sizes: kept_sizes, energy } = merged;
            sizes = Some(graph.rename(kept_sizes, &sizes_name));
            guide = guide.zip(energy).map(|((guide, _), energy)| (guide, energy));
            rows = kept;
        } else if let Some(carried) = sizes.take_if(|_| !last || !only_class) {
            // Each block hands on both rows and sizes, so that it can be run by itself.
            let same = graph.node("Identity", "sizes", &[&carried]);
            sizes = Some(graph.rename(same, &sizes_name));
        }
        x = transformer.perceive(graph, index, &rows);
    }
    let count = if only_class { 1 } else { plan.block(transformer.blocks).tokens_out };
    Left { tokens: x, sizes, count }
}

/// `ln s` of each key, `[N, 1, 1, tokens]`.
pub(super) fn key_bias(graph: &mut Graph<'_>, sizes: &Value, tokens: usize) -> Value {
    let log = graph.node("Log", "sizes/log", &[sizes]);
    graph.reshape("sizes/bias", &log, &[0, 1, 1, tokens as i64])
}

fn value(name: &str, shape: Vec<Dim>) -> ValueInfo {
    ValueInfo { name: name.into(), element: ElementType::F32, shape }
}

fn batch() -> Dim {
    Dim::Symbol("N".into())
}
