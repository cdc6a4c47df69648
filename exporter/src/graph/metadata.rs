//! What a file says about itself beside its graph; docs/file-format.md has the keys.

use std::fmt::Display;

use edgelip::onnx::OnnxModel;
use edgelip_runtime::image::{Centre, Filter, Resize};
use edgelip_runtime::plan::{Merge, Plan};

use crate::error::Error;
use crate::source::{
    Convolution, ModelConfig, NormPlace, Padding, Pooling, Readout, Score, TextConfig, TextPooling, Window,
};

use super::transformer::Transformer;
use super::{TextOptions, VisionOptions};

const GENERATOR: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An empty model of a tower, with the metadata of both towers.
pub(super) fn model<'a>(tower: &str, model: &ModelConfig, transformer: &Transformer<'_>) -> OnnxModel<'a> {
    let mut onnx = OnnxModel {
        producer_name: GENERATOR.into(),
        producer_version: VERSION.into(),
        name: tower.into(),
        ..OnnxModel::default()
    };
    let Transformer { precision, width, heads, blocks, mlp, activation, norm_eps, .. } = transformer;
    set(&mut onnx, "format", 1);
    set(&mut onnx, "tower", tower);
    set(&mut onnx, "family", &model.family);
    set(&mut onnx, "precision", precision);
    set(&mut onnx, "width", width);
    set(&mut onnx, "heads", heads);
    set(&mut onnx, "blocks", blocks);
    set(&mut onnx, "mlp", mlp);
    set(&mut onnx, "embedding", model.embedding);
    set(&mut onnx, "activation", activation);
    set(&mut onnx, "norm_eps", norm_eps);
    let provenance = &model.provenance;
    let entries =
        [("source", &provenance.source), ("source_sha256", &provenance.sha256), ("licence", &provenance.licence)];
    for (key, value) in entries {
        if let Some(value) = value {
            set(&mut onnx, key, value);
        }
    }
    set(&mut onnx, "generator", format_args!("{GENERATOR} {VERSION}"));
    onnx
}

/// Adds an image tower's metadata.
pub(super) fn vision(
    onnx: &mut OnnxModel<'_>,
    model: &ModelConfig,
    plan: &Plan,
    options: &VisionOptions,
) -> Result<(), Error> {
    let preprocess = model.preprocess()?;
    let shape = plan.shape();
    let head = model.vision()?.head;
    let pooling = match head.pooling {
        Pooling::Class => "class",
        Pooling::Pooler => "pooler",
        Pooling::Mean => "mean",
        Pooling::NormedMean => "normed_mean",
        Pooling::Attention => "attention",
    };
    set(onnx, "pooling", pooling);
    for (key, set_so) in [("pre_norm", model.vision()?.pre_norm), ("projection", head.projected), ("unit", head.unit)] {
        if !set_so {
            set(onnx, key, false);
        }
    }
    set(onnx, "image", list(&shape.image));
    set(onnx, "patch", shape.patch);
    set(onnx, "compression", options.compression);
    let merge = match plan.merge() {
        Merge::None => "none",
        Merge::Ward => "ward",
        Merge::Tome => "tome",
    };
    set(onnx, "merge", merge);
    let merged: Vec<usize> = plan.blocks().map(|block| block.merged).collect();
    set(onnx, "schedule", list(&merged));
    let config = model.vision()?;
    if !config.stem.is_empty() {
        let each = |part: fn(&Convolution) -> usize| config.stem.iter().map(part).collect::<Vec<_>>();
        set(onnx, "stem", list(&each(|layer| layer.outputs)));
        if config.stem.iter().any(|layer| layer.window != Window::HALVING) {
            set(onnx, "stem_sides", list(&each(|layer| layer.window.side)));
            set(onnx, "stem_strides", list(&each(|layer| layer.window.stride)));
            set(onnx, "stem_borders", list(&each(|layer| layer.window.border)));
        }
    }
    if config.frequency_blocks > 0 {
        set(onnx, "frequency_blocks", config.frequency_blocks);
    }
    if config.readout != Readout::Spatial {
        set(onnx, "readout", config.readout.name());
    }
    if plan.guided() {
        set(onnx, "guide", options.guide.strength);
        set(onnx, "guide_semantic", options.guide.semantic);
    }
    let resize = match preprocess.resize {
        Resize::Shortest(side) => format!("shortest,{side}"),
        Resize::Exact(height, width) => format!("exact,{height},{width}"),
        Resize::None => "none".into(),
    };
    set(onnx, "preprocess.resize", resize);
    let filter = match preprocess.filter {
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
    };
    set(onnx, "preprocess.filter", filter);
    set(onnx, "preprocess.crop", preprocess.crop.map_or("none".into(), |crop| list(&crop)));
    if preprocess.centre == Centre::Even {
        set(onnx, "preprocess.centre", "even");
    }
    set(onnx, "preprocess.rescale", preprocess.rescale);
    set(onnx, "preprocess.mean", list(&preprocess.mean));
    set(onnx, "preprocess.std", list(&preprocess.std));
    set(onnx, "logit_scale", model.logit_scale);
    set(onnx, "logit_bias", model.logit_bias);
    let score = match head.score {
        Score::Softmax => "softmax",
        Score::Sigmoid => "sigmoid",
    };
    set(onnx, "score", score);
    Ok(())
}

/// Adds a text tower's metadata.
pub(super) fn text(onnx: &mut OnnxModel<'_>, config: &TextConfig, options: &TextOptions) {
    if config.norm != NormPlace::Pre {
        set(onnx, "norm", config.norm.name());
    }
    set(onnx, "pooling", config.pooling.name());
    if let TextPooling::Last(Padding { id, before }) = config.pooling {
        set(onnx, "padding", format_args!("{},{id}", if before { "left" } else { "right" }));
    }
    set(onnx, "context", config.context);
    set(onnx, "vocabulary", config.vocabulary);
    set(onnx, "eot", config.eot);
    set(onnx, "tokenizer", &options.tokenizer);
}

fn set(onnx: &mut OnnxModel<'_>, key: &str, value: impl Display) {
    onnx.metadata.push((format!("edgelip.{key}"), value.to_string()));
}

fn list(values: &[impl Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
