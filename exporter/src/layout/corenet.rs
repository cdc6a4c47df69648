//! corenet's vision transformers: classifiers, CatLIP's among them, and both towers of its CLIP. A checkpoint is a state dict and nothing
//! beside it, so that shapes tell what there is to tell. Apple's MobileCLIP-B is laid out so too.

use edgelip::preset::Preset;
use edgelip_runtime::plan::{Convolution, MAX_BLOCKS, Window};

use super::clip::logit_scale_of;
use super::detect::Found;
use super::tensors::{
    Expected, View, is_batch_count, match_tensors, matrix, push, push_fused, push_pair, push_stem, push_view,
};
use super::{Parts, Words, open_clip_config, position};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{
    Activation, Head, ModelConfig, NormPlace, Pooling, Provenance, Score, TextConfig, TextPooling, VisionConfig,
};

/// The tensor that tells an image tower of this layout, below one of [`PREFIXES`].
const FIRST: &str = "patch_emb.0.block.conv.weight";
/// What an image tower's names begin with: a classifier's, a CLIP's, and MobileCLIP-B's.
const PREFIXES: [&str; 3] = ["", "image_encoder.", MOBILE];
/// Apple's MobileCLIP-B is a CLIP of corenet's in all but a few numbers.
const MOBILE: &str = "image_encoder.model.";
/// What a text tower's names begin with.
const TEXT: &str = "text_encoder.";

/// The stem's windows: of 4×4 from the image's edge on, and twice of 2×2.
const WINDOWS: [Window; 3] = [
    Window { side: 4, stride: 4, border: 1 },
    Window { side: 2, stride: 2, border: 0 },
    Window { side: 2, stride: 2, border: 0 },
];
/// What they make a patch of, in pixels.
const PATCH: usize = 16;
/// Width of an attention head in every model of this layout.
const HEAD: usize = 64;
const VISION_EPS: f32 = 1e-6;
const TEXT_EPS: f32 = 1e-5;
const MOBILE_EPS: f32 = 1e-5;
/// Training holds the factor of the cosines below this.
const MAX_SCALE: f32 = 100.0;

/// Whether there is MobileCLIP-B's image tower.
pub(super) fn is_mobile(found: &Found) -> bool {
    found.has(&format!("{MOBILE}{FIRST}"))
}

/// Whether there is an image tower of this layout.
pub(super) fn is(found: &Found) -> bool {
    PREFIXES.iter().any(|prefix| found.has(&format!("{prefix}{FIRST}")))
}

/// Reads a state dict.
///
/// # Errors
/// [`Error::Malformed`] if a classifier comes without a word on its preprocessing; [`Error::Tensors`] listing every tensor that is missing,
/// not known or of an unlikely shape.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let state = State { checkpoint: &found.checkpoint };
    let prefix = PREFIXES.into_iter().find(|prefix| found.has(&format!("{prefix}{FIRST}"))).unwrap_or_default();
    let mut expected = Vec::new();
    let (mut vision, out) = state.vision(prefix)?;
    vision_tensors(&vision, prefix, out, &mut expected);
    let embedding = match state.shape(&format!("{prefix}classifier.proj")) {
        Some(&[_, embedding]) => {
            let projection = format!("{prefix}classifier.proj");
            let shape = [vision.width, embedding];
            push_view(&mut expected, "vision.projection.weight".into(), projection, &shape, View::Transposed);
            embedding
        }
        _ => {
            let norm = format!("{prefix}post_transformer_norm.weight");
            push_view(&mut expected, "vision.projection.weight".into(), norm, &[vision.width], View::Identity);
            vision.width
        }
    };
    let is_clip = prefix != PREFIXES[0];
    if !is_clip {
        let classes = state.matrix("classifier.weight")?[0];
        push_pair(&mut expected, "classifier", "classifier", &[classes, vision.width]);
        vision.head = Head { unit: false, ..vision.head };
    }
    let text = if is_clip && state.holds(TEXT) { Some(state.text()?) } else { None };
    if let Some(text) = &text {
        text_tensors(text, TEXT, embedding, &mut expected);
        push_view(&mut expected, "logit_scale".into(), "logit_scale".into(), &[], View::Shaped(vec![]));
    }
    let ignored = |name: &str| {
        name.starts_with(&format!("{prefix}neural_augmentor.")) || is_batch_count(name) || name == "logit_scale"
    };
    let kind = match prefix {
        MOBILE => "MobileCLIP-B",
        _ if is_clip => "CLIP of corenet",
        _ => "ViT of corenet",
    };
    let tensors = match_tensors(&found.checkpoint, "", expected, [kind, "the rest of the checkpoint"], ignored)?;
    let logit_scale = match tensors.get("logit_scale") {
        Some(stored) => logit_scale_of(&found.checkpoint, &stored.name)?.min(MAX_SCALE),
        None => 1.0,
    };
    let preprocess = match &found.options.preprocess {
        Some(steps) => steps.of(vision.image_size),
        None if prefix == MOBILE => Preset::Mobileclip.preprocess(vision.image_size),
        None if is_clip => Preset::Corenet.preprocess(vision.image_size),
        None => {
            let reason = "is a classifier of corenet, and nothing says what images go through: give --preprocess corenet,resize=232 \
                          (fine-tuned for 224 pixels), or --preprocess corenet (pre-trained, and fine-tuned for 512, with --image-size 512)";
            return Err(Error::malformed(found.checkpoint.path(), reason));
        }
    };
    let model = ModelConfig {
        family: if is_clip { "clip" } else { "catlip" }.into(),
        embedding,
        vision: Some(vision),
        text,
        preprocess: Some(preprocess),
        logit_scale,
        logit_bias: 0.0,
        provenance: Provenance::default(),
    };
    let words = Words::new(&found.folder, found.checkpoint.path());
    Ok(Parts { model, tensors, position: position::Rule::Sequence, words, class_names: None })
}

/// A checkpoint whose shapes are asked for.
struct State<'f> {
    checkpoint: &'f Checkpoint,
}

impl State<'_> {
    /// The image tower below `prefix`, and what its attention calls its last layer.
    fn vision(&self, prefix: &str) -> Result<(VisionConfig, &'static str), Error> {
        let first = format!("{prefix}{FIRST}");
        let [inner, ..] = self.shape(&first).unwrap_or_default() else {
            return Err(self.problem(format!("`{first}` is not a convolution")));
        };
        let last = format!("{prefix}patch_emb.2.block.conv.weight");
        let Some(&[width, ..]) = self.shape(&last) else {
            return Err(self.problem(format!("`{last}` is missing")));
        };
        let places = format!("{prefix}pos_embed.pos_embed.pos_embed");
        let side = match self.shape(&places) {
            Some(&[1, 1, places, _]) if places.isqrt().pow(2) == places => places.isqrt(),
            Some(shape) => return Err(self.problem(format!("`{places}` is {shape:?}, not [1, 1, a square, width]"))),
            None => return Err(self.problem(format!("`{places}` is missing"))),
        };
        let layers = format!("{prefix}transformer");
        let out = match self.shape(&format!("{layers}.0.pre_norm_mha.1.out_proj.weight")) {
            Some(_) => "out_proj",
            None => "out_proj_attn",
        };
        let has_class = self.shape(&format!("{prefix}cls_token")).is_some();
        let pooling = if has_class { Pooling::Class } else { Pooling::NormedMean };
        let widths = [*inner, *inner, width];
        let vision = VisionConfig {
            image_size: [side.saturating_mul(PATCH); 2],
            patch: PATCH,
            width,
            heads: self.heads(&last, width)?,
            blocks: self.blocks(&layers)?,
            mlp: self.matrix(&format!("{layers}.0.pre_norm_ffn.1.weight"))?[0],
            activation: Activation::Gelu,
            norm_eps: if prefix == MOBILE { MOBILE_EPS } else { VISION_EPS },
            stem: widths.into_iter().zip(WINDOWS).map(|(outputs, window)| Convolution { outputs, window }).collect(),
            pre_norm: false,
            head: Head { pooling, projected: true, unit: true, score: Score::Softmax },
            ..open_clip_config::plain()?
        };
        Ok((vision, out))
    }

    /// The text tower; its tokens see those before them, which no tensor says.
    fn text(&self) -> Result<TextConfig, Error> {
        let table = format!("{TEXT}embedding_layer.weight");
        let [vocabulary, width] = self.matrix(&table)?;
        let places = format!("{TEXT}positional_embedding.pos_embed.pos_embed");
        let Some(&[1, 1, context, _]) = self.shape(&places) else {
            return Err(self.problem(format!("`{places}` is missing, or not [1, 1, places, width]")));
        };
        let layers = format!("{TEXT}transformer");
        Ok(TextConfig {
            context,
            vocabulary,
            width,
            heads: self.heads(&table, width)?,
            blocks: self.blocks(&layers)?,
            mlp: self.matrix(&format!("{layers}.0.pre_norm_ffn.1.weight"))?[0],
            activation: Activation::Gelu,
            norm_eps: TEXT_EPS,
            norm: NormPlace::Pre,
            eot: vocabulary as u32 - 1,
            pooling: TextPooling::EotArgmax,
        })
    }

    fn heads(&self, name: &str, width: usize) -> Result<usize, Error> {
        match width.is_multiple_of(HEAD) && width > 0 {
            true => Ok(width / HEAD),
            false => Err(self
                .problem(format!("`{name}` makes {width} wide tokens, not a multiple of {HEAD}, the width of a head"))),
        }
    }

    fn blocks(&self, layers: &str) -> Result<usize, Error> {
        let missing = |block: &usize| self.shape(&format!("{layers}.{block}.pre_norm_mha.0.weight")).is_none();
        match (0..=MAX_BLOCKS).find(missing) {
            Some(blocks @ 1..) => Ok(blocks),
            Some(0) => Err(self.problem(format!("`{layers}` has no blocks"))),
            None => Err(self.problem(format!("`{layers}` has more than {MAX_BLOCKS} blocks"))),
        }
    }

    fn matrix(&self, name: &str) -> Result<[usize; 2], Error> {
        matrix(self.checkpoint, name)
    }

    fn holds(&self, prefix: &str) -> bool {
        self.checkpoint.names().any(|name| name.starts_with(prefix))
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.checkpoint.shape(name)
    }

    fn problem(&self, problem: String) -> Error {
        Error::tensors(self.checkpoint.path(), problem)
    }
}

/// The image tower's tensors but for what comes behind the last norm.
fn vision_tensors(vision: &VisionConfig, prefix: &str, out: &str, expected: &mut Vec<Expected>) {
    let mut own = Vec::new();
    let width = vision.width;
    push_stem(&mut own, &vision.stem, |layer| format!("patch_emb.{layer}.block"), "norm");
    let patches = vision.tokens() - vision.class_tokens();
    let view = match vision.class_tokens() {
        0 => View::Shaped(vec![patches, width]),
        _ => {
            let class = View::Shaped(vec![width]);
            push_view(&mut own, "vision.class".into(), "cls_token".into(), &[1, 1, width], class);
            View::BehindZeros
        }
    };
    let places = "pos_embed.pos_embed.pos_embed".into();
    push_view(&mut own, "vision.position".into(), places, &[1, 1, patches, width], view);
    block_tensors("vision", ["transformer", out], [vision.blocks, width, vision.mlp], &mut own);
    push_pair(&mut own, "vision.post_norm", "post_transformer_norm", &[width]);
    own.iter_mut().for_each(|tensor| tensor.put_below(prefix));
    expected.extend(own);
}

/// The tensors of a text tower whose names begin with `prefix`.
fn text_tensors(text: &TextConfig, prefix: &str, embedding: usize, expected: &mut Vec<Expected>) {
    let mut own = Vec::new();
    let &TextConfig { width, context, .. } = text;
    push(&mut own, "text.token.weight".into(), "embedding_layer.weight".into(), &[text.vocabulary, width]);
    let (places, shaped) = ("positional_embedding.pos_embed.pos_embed".into(), View::Shaped(vec![context, width]));
    push_view(&mut own, "text.position".into(), places, &[1, 1, context, width], shaped);
    block_tensors("text", ["transformer", "out_proj"], [text.blocks, width, text.mlp], &mut own);
    push_pair(&mut own, "text.final_norm", "final_layer_norm", &[width]);
    let projection = ("text.projection.weight".into(), "projection_layer".into());
    push_view(&mut own, projection.0, projection.1, &[width, embedding], View::Transposed);
    own.iter_mut().for_each(|tensor| tensor.put_below(prefix));
    expected.extend(own);
}

fn block_tensors(
    tower: &str,
    [layers, out]: [&str; 2],
    [blocks, width, mlp]: [usize; 3],
    expected: &mut Vec<Expected>,
) {
    for block in 0..blocks {
        let (ours, theirs) = (format!("{tower}.blocks.{block}"), format!("{layers}.{block}"));
        push_pair(expected, &format!("{ours}.norm1"), &format!("{theirs}.pre_norm_mha.0"), &[width]);
        let qkv = format!("{theirs}.pre_norm_mha.1.qkv_proj");
        push_fused(expected, [&ours, &qkv], &["q", "k", "v"], width, true);
        push_pair(expected, &format!("{ours}.out"), &format!("{theirs}.pre_norm_mha.1.{out}"), &[width, width]);
        push_pair(expected, &format!("{ours}.norm2"), &format!("{theirs}.pre_norm_ffn.0"), &[width]);
        push_pair(expected, &format!("{ours}.fc1"), &format!("{theirs}.pre_norm_ffn.1"), &[mlp, width]);
        push_pair(expected, &format!("{ours}.fc2"), &format!("{theirs}.pre_norm_ffn.4"), &[width, mlp]);
    }
}

#[cfg(test)]
#[path = "corenet_tests.rs"]
mod tests;
