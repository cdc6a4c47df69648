//! CLIP by the names that OpenAI gave it and open_clip keeps: OpenAI's archives, and checkpoints of open_clip with or without their configuration,
//! whose image towers may be timm's.

use edgelip::preset::Preset;
use edgelip_runtime::plan::MAX_BLOCKS;

use super::clip::logit_scale_of;
use super::detect::Found;
use super::fields::Fields;
use super::open_clip_config::{self, HEAD, NORM_EPS, Projection};
use super::tensors::{Expected, View, is_batch_count, match_tensors, matrix, push, push_pair, push_view, scalar};
use super::{Cleaning, Parts, Words, open_clip_timm, position};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{
    Activation, ModelConfig, NormPlace, PreprocessConfig, Provenance, Score, TextConfig, TextPooling, VisionConfig,
};

/// The tensor that tells an image tower of this layout.
pub(super) const CONVOLUTION: &str = "visual.conv1.weight";
/// Numbers that OpenAI's archives hold beside the weights, as tensors.
pub(super) const NUMBERS: [&str; 3] = ["input_resolution", "context_length", "vocab_size"];
/// Added to the logits of what is trained with a sigmoid.
const BIAS: &str = "logit_bias";
/// What is known of a checkpoint by itself.
const CONFIG: &str = "open_clip_config.json";

/// What a checkpoint is, wherever that is written.
struct Model {
    family: &'static str,
    vision: Option<VisionConfig>,
    /// Where the image tower's tensors are.
    image_tensors: Vec<Expected>,
    text: Option<TextConfig>,
    projection: Projection,
    /// Whether it is trained with a sigmoid, and so has a bias of the logits.
    by_sigmoid: bool,
    embedding: usize,
    preprocess: Option<PreprocessConfig>,
    /// What says so, for errors about shapes.
    says: &'static str,
}

/// Reads an archive of OpenAI's, or a state dict out of one: QuickGELU and OpenAI's preprocessing always.
///
/// # Errors
/// [`Error::Tensors`] listing every tensor that is missing, not known or of an unlikely shape.
pub(super) fn open_openai(found: &Found) -> Result<Parts, Error> {
    let activation = found.options.activation.unwrap_or(Activation::QuickGelu);
    let mut model = by_shapes(found, activation)?;
    let image = model.vision.as_ref().map(|vision| vision.image_size);
    let steps = |image| match &found.options.preprocess {
        Some(steps) => steps.of(image),
        None => Preset::Clip.preprocess(image),
    };
    model.preprocess = image.map(steps);
    parts(found, model)
}

/// Reads a checkpoint of open_clip, by `open_clip_config.json` if it lies beside the weights, else by the shapes of its tensors and by what
/// the user says of activation and preprocessing.
///
/// # Errors
/// [`Error::Config`] for settings that are not supported, or that nobody tells; [`Error::Tensors`] as for OpenAI's.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let path = found.folder.join(CONFIG);
    if path.exists() {
        let config = Fields::read(&path)?;
        return parts(found, by_config(found, &config)?);
    }
    if found.holds(open_clip_timm::TRUNK) {
        let reason = "is missing, so that nothing says which of timm's architectures the image tower is: copy it from the original model";
        return Err(Error::malformed(&path, reason));
    }
    let Some(activation) = found.options.activation else {
        let reason = "is missing, so that nothing says whether the MLPs have GELU or QuickGELU: copy it from the original model, or give \
                      --activation quick_gelu (OpenAI's weights, and models whose name ends with -quickgelu) or --activation gelu (the other \
                      models of open_clip)";
        return Err(Error::malformed(&path, reason));
    };
    let mut model = by_shapes(found, activation)?;
    if let Some(vision) = &model.vision {
        let Some(steps) = &found.options.preprocess else {
            let reason = "is missing, so that nothing says what images go through: copy it from the original model, or give --preprocess clip \
                          (OpenAI's, and most of open_clip's models), siglip, clipa, mobileclip, vit or imagenet";
            return Err(Error::malformed(&path, reason));
        };
        model.preprocess = Some(steps.of(vision.image_size));
    }
    parts(found, model)
}

fn by_config(found: &Found, config: &Fields) -> Result<Model, Error> {
    let Some(model) = config.nested("model_cfg")? else {
        return Err(config.error("model_cfg", "is missing"));
    };
    let embedding = model.size("embed_dim", 512)?;
    let (has_vision, text) = towers(&found.checkpoint);
    let (mut family, mut image_tensors) = ("clip", Vec::new());
    let vision = if has_vision {
        let vision = open_clip_config::vision(&model)?;
        vision_tensors(&vision, embedding, &mut image_tensors);
        Some(vision)
    } else if found.holds(open_clip_timm::TRUNK) {
        let tower = open_clip_timm::tower(&found.checkpoint, &model, embedding)?;
        (family, image_tensors) = (tower.family, tower.tensors);
        Some(tower.vision)
    } else {
        None
    };
    let text = if text.is_some() { Some(open_clip_config::text(&model)?) } else { None };
    let projection = open_clip_config::projection(&model)?;
    if let Some(TextConfig { width, .. }) = text
        && projection == Projection::None
        && width != embedding
    {
        let reason = format!("{embedding}, but the text tower gives {width} and has no projection");
        return Err(model.error("embed_dim", reason));
    }
    let preprocess = match (&vision, &found.options.preprocess) {
        (Some(vision), Some(steps)) => Some(steps.of(vision.image_size)),
        (Some(vision), None) => Some(open_clip_config::preprocess(config, vision.image_size)?),
        (None, _) => None,
    };
    let by_sigmoid = model.get("init_logit_bias").is_some();
    Ok(Model { family, vision, image_tensors, text, projection, by_sigmoid, embedding, preprocess, says: CONFIG })
}

/// Whether there is an image tower, and what the text tower's names begin with if there is one.
fn towers(checkpoint: &Checkpoint) -> (bool, Option<&'static str>) {
    let prefix = ["", "text."].into_iter().find(|prefix| {
        let tokens = format!("{prefix}token_embedding.weight");
        checkpoint.shape(&tokens).is_some()
    });
    (checkpoint.shape(CONVOLUTION).is_some(), prefix)
}

/// What shapes tell: everything but the activation, if heads are as wide as in every model of OpenAI's.
fn by_shapes(found: &Found, activation: Activation) -> Result<Model, Error> {
    let checkpoint = &found.checkpoint;
    let problem = |problem: String| Error::tensors(checkpoint.path(), problem);
    let matrix = |name: &str| matrix(checkpoint, name);
    let heads = |name: &str, width: usize| match width.is_multiple_of(HEAD) {
        true => Ok(width / HEAD),
        false => Err(problem(format!("`{name}` has {width} rows, not a multiple of {HEAD}, the width of a head"))),
    };
    let blocks = |stem: &str| match (0..)
        .find(|block| checkpoint.shape(&format!("{stem}.{block}.ln_1.weight")).is_none())
    {
        Some(blocks @ 1..=MAX_BLOCKS) => Ok(blocks),
        blocks => {
            Err(problem(format!("`{stem}` has {} blocks; 1 to {MAX_BLOCKS} are supported", blocks.unwrap_or_default())))
        }
    };
    let (has_vision, prefix) = towers(checkpoint);
    let mut embedding = None;
    let vision = if has_vision {
        let Some(&[width, 3, patch, other]) = checkpoint.shape(CONVOLUTION) else {
            return Err(problem(format!("`{CONVOLUTION}` is not the convolution of square patches of three channels")));
        };
        let [places, _] = matrix("visual.positional_embedding")?;
        let side = (places - 1).isqrt();
        if patch != other || patch == 0 || side == 0 || side * side != places - 1 {
            return Err(problem(format!(
                "`visual.positional_embedding` has {places} rows: not a class token and a square of patches"
            )));
        }
        let stem = "visual.transformer.resblocks";
        embedding = Some(matrix("visual.proj")?[1]);
        Some(VisionConfig {
            image_size: [side.saturating_mul(patch); 2],
            patch,
            width,
            heads: heads(CONVOLUTION, width)?,
            blocks: blocks(stem)?,
            mlp: matrix(&format!("{stem}.0.mlp.c_fc.weight"))?[0],
            activation,
            norm_eps: NORM_EPS,
            ..open_clip_config::plain()?
        })
    } else {
        None
    };
    let text = match prefix {
        Some(prefix) => {
            let stem = format!("{prefix}transformer.resblocks");
            let [vocabulary, width] = matrix(&format!("{prefix}token_embedding.weight"))?;
            let [context, _] = matrix(&format!("{prefix}positional_embedding"))?;
            embedding = embedding.or(Some(matrix(&format!("{prefix}text_projection"))?[1]));
            Some(TextConfig {
                context,
                vocabulary,
                width,
                heads: heads(&format!("{prefix}token_embedding.weight"), width)?,
                blocks: blocks(&stem)?,
                mlp: matrix(&format!("{stem}.0.mlp.c_fc.weight"))?[0],
                activation,
                norm_eps: NORM_EPS,
                norm: NormPlace::Pre,
                eot: vocabulary as u32 - 1,
                pooling: TextPooling::EotArgmax,
            })
        }
        None => None,
    };
    let embedding = embedding.unwrap_or_default();
    let mut image_tensors = Vec::new();
    if let Some(vision) = &vision {
        vision_tensors(vision, embedding, &mut image_tensors);
    }
    Ok(Model {
        family: "clip",
        vision,
        image_tensors,
        text,
        projection: Projection::Matrix,
        by_sigmoid: found.has(BIAS),
        embedding,
        preprocess: None,
        says: "the rest of the checkpoint",
    })
}

fn parts(found: &Found, model: Model) -> Result<Parts, Error> {
    let checkpoint = &found.checkpoint;
    let Model { family, mut vision, image_tensors: mut expected, text, embedding, preprocess, says, .. } = model;
    let (_, prefix) = towers(checkpoint);
    if let (Some(text), Some(prefix)) = (&text, prefix) {
        text_tensors(text, prefix, (model.projection, embedding), &mut expected);
    }
    let both = vision.is_some() && text.is_some();
    for (name, there) in [("logit_scale", both), (BIAS, both && model.by_sigmoid)] {
        if there {
            push_view(&mut expected, name.into(), name.into(), &[], View::Shaped(vec![]));
        }
    }
    let ignored = |name: &str| {
        NUMBERS.contains(&name)
            || name.ends_with("attn_mask")
            || name == "logit_scale"
            || name == BIAS && model.by_sigmoid
            || is_batch_count(name)
    };
    let tensors = match_tensors(checkpoint, "", expected, [&family.to_uppercase(), says], ignored)?;
    if let (Some(vision), true) = (&mut vision, model.by_sigmoid) {
        vision.head.score = Score::Sigmoid;
    }
    let logit_bias = if tensors.contains_key(BIAS) { scalar(checkpoint, BIAS)? } else { 0.0 };
    let logit_scale = match tensors.get("logit_scale") {
        Some(stored) => logit_scale_of(checkpoint, &stored.name)?,
        None => 100.0,
    };
    let model = ModelConfig {
        family: family.into(),
        embedding,
        vision,
        text,
        preprocess,
        logit_scale,
        logit_bias,
        provenance: Provenance::default(),
    };
    let words = Words { cleaning: Cleaning::Canonical, ..Words::new(&found.folder, checkpoint.path()) };
    Ok(Parts { model, tensors, position: position::Rule::Antialiased, words, class_names: None })
}

fn vision_tensors(vision: &VisionConfig, embedding: usize, expected: &mut Vec<Expected>) {
    let (width, patch) = (vision.width, vision.patch);
    push(expected, "vision.patch.weight".into(), CONVOLUTION.into(), &[width, 3, patch, patch]);
    push(expected, "vision.class".into(), "visual.class_embedding".into(), &[width]);
    push(expected, "vision.position".into(), "visual.positional_embedding".into(), &[vision.tokens(), width]);
    push_pair(expected, "vision.pre_norm", "visual.ln_pre", &[width]);
    block_tensors("vision", "visual.transformer", vision.blocks, width, vision.mlp, expected);
    push_pair(expected, "vision.post_norm", "visual.ln_post", &[width]);
    let projection = ("vision.projection.weight".into(), "visual.proj".into());
    push_view(expected, projection.0, projection.1, &[width, embedding], View::Transposed);
}

/// The text tower whose names begin with `prefix`; open_clip has it below image towers of any kind.
pub(super) fn text_tensors(
    text: &TextConfig,
    prefix: &str,
    (projection, embedding): (Projection, usize),
    expected: &mut Vec<Expected>,
) {
    let width = text.width;
    let tokens = ("text.token.weight".into(), format!("{prefix}token_embedding.weight"));
    push(expected, tokens.0, tokens.1, &[text.vocabulary, width]);
    push(expected, "text.position".into(), format!("{prefix}positional_embedding"), &[text.context, width]);
    block_tensors("text", &format!("{prefix}transformer"), text.blocks, width, text.mlp, expected);
    let norm = format!("{prefix}ln_final");
    push_pair(expected, "text.final_norm", &norm, &[width]);
    let (ours, theirs) = ("text.projection.weight".into(), format!("{prefix}text_projection"));
    match projection {
        Projection::Matrix => push_view(expected, ours, theirs, &[width, embedding], View::Transposed),
        Projection::Layer => push_pair(expected, "text.projection", &theirs, &[embedding, width]),
        Projection::None => push_view(expected, ours, format!("{norm}.weight"), &[width], View::Identity),
    }
}

fn block_tensors(tower: &str, model: &str, blocks: usize, width: usize, mlp: usize, expected: &mut Vec<Expected>) {
    for block in 0..blocks {
        let (ours, theirs) = (format!("{tower}.blocks.{block}"), format!("{model}.resblocks.{block}"));
        push_pair(expected, &format!("{ours}.norm1"), &format!("{theirs}.ln_1"), &[width]);
        for (index, part) in ["q", "k", "v"].into_iter().enumerate() {
            let view = View::Part { index, of: 3 };
            let weight = (format!("{ours}.{part}.weight"), format!("{theirs}.attn.in_proj_weight"));
            push_view(expected, weight.0, weight.1, &[3 * width, width], view.clone());
            let bias = (format!("{ours}.{part}.bias"), format!("{theirs}.attn.in_proj_bias"));
            push_view(expected, bias.0, bias.1, &[3 * width], view);
        }
        push_pair(expected, &format!("{ours}.out"), &format!("{theirs}.attn.out_proj"), &[width, width]);
        push_pair(expected, &format!("{ours}.norm2"), &format!("{theirs}.ln_2"), &[width]);
        push_pair(expected, &format!("{ours}.fc1"), &format!("{theirs}.mlp.c_fc"), &[mlp, width]);
        push_pair(expected, &format!("{ours}.fc2"), &format!("{theirs}.mlp.c_proj"), &[width, mlp]);
    }
}

#[cfg(test)]
#[path = "open_clip_tests.rs"]
mod tests;
