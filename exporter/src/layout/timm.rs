//! timm's vision transformers: by themselves, and as the image towers of open_clip's models.

use edgelip_runtime::plan::{Convolution, Window};

use super::detect::Found;
use super::fields::Fields;
use super::tensors::{
    Expected, View, is_batch_count, match_tensors, push, push_fused, push_pair, push_stem, push_view,
};
use super::timm_architecture::{Architecture, Pool};
use super::{Parts, Words, open_clip_config, position, timm_config};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{Head, ModelConfig, Pooling, Provenance, Score, VisionConfig};

/// The tensor that tells a transformer of timm's.
pub(super) const FUSED: &str = "blocks.0.attn.qkv.weight";

pub(super) const CONFIG: &str = "config.json";

/// What is not supported, by a part of a tensor's name.
const REFUSED: [(&str, &str); 16] = [
    ("reg_token", "register tokens"),
    ("dist_token", "a distillation token"),
    (".attn.q_norm.", "norms of queries and keys"),
    (".attn.norm.", "a norm inside of attention"),
    (".attn.lambda", "differential attention"),
    (".attn.rel_pos", "relative positions"),
    (".attn.relative_position", "relative positions"),
    ("rel_pos_bias", "relative positions"),
    ("rope", "rotary positions"),
    (".mlp.norm.", "a norm inside of MLPs"),
    (".mlp.w12.", "gated MLPs"),
    (".mlp.fc1_g.", "gated MLPs"),
    (".gamma_1", "the scales of a BEiT"),
    ("patch_embed.norm.", "a norm of the patches"),
    ("attn_pool.q_norm.", "norms of queries and keys"),
    ("attn_pool.pos_embed", "positions in the head"),
];

/// MobileCLIP's stem: a convolution of 4×4 and two of 2×2, with the window next to window.
const STEM: [usize; 3] = [4, 2, 2];

/// An image tower, and where its tensors are.
pub(super) struct Trunk<'f> {
    pub(super) checkpoint: &'f Checkpoint,
    /// What its names begin with.
    pub(super) prefix: &'static str,
    pub(super) architecture: Architecture,
    /// Side of an image.
    pub(super) image: usize,
}

impl Trunk<'_> {
    /// What the tower is; whether it has a projection is for others to say.
    ///
    /// # Errors
    /// [`Error::Tensors`] for what is not supported, and for shapes that make no tower.
    pub(super) fn vision(&self) -> Result<VisionConfig, Error> {
        let Trunk { architecture, image, .. } = self;
        let refused = self.names().find_map(|name| {
            let (_, what) = REFUSED.iter().find(|(part, _)| name.contains(part))?;
            Some(format!("`{}{name}` is of {what}, which are not supported", self.prefix))
        });
        if let Some(problem) = refused {
            return Err(self.problem(problem));
        }
        let has_class = self.shape("cls_token").is_some();
        let post = self.post_norm();
        let pooling = match architecture.pool {
            Pool::Token => Pooling::Class,
            Pool::Mean if post == "fc_norm" => Pooling::Mean,
            Pool::Mean => Pooling::NormedMean,
            Pool::Map => Pooling::Attention,
        };
        if has_class && pooling != Pooling::Class {
            let (prefix, name) = (self.prefix, &architecture.name);
            return Err(self.problem(format!(
                "`{prefix}cls_token` is there, but `{name}` reads the patches: a class token that is not read is not supported"
            )));
        }
        let (patch, stem) = match architecture.has_stem {
            true => (STEM.iter().product(), self.stem()?),
            false => (self.patch()?, Vec::new()),
        };
        if *image < patch {
            return Err(self.problem(format!("images of {image} pixels are less than a patch of {patch}")));
        }
        let Some(&[mlp, _]) = self.shape("blocks.0.mlp.fc1.weight") else {
            return Err(self.problem(format!("`{}blocks.0.mlp.fc1.weight` is missing, or not a matrix", self.prefix)));
        };
        Ok(VisionConfig {
            image_size: [*image; 2],
            patch,
            width: architecture.width,
            heads: architecture.heads,
            blocks: architecture.blocks,
            mlp,
            activation: architecture.activation,
            norm_eps: architecture.norm_eps,
            stem,
            pre_norm: self.shape("norm_pre.weight").is_some(),
            head: Head {
                pooling,
                projected: true,
                unit: true,
                score: if architecture.is_siglip { Score::Sigmoid } else { Score::Softmax },
            },
            ..open_clip_config::plain()?
        })
    }

    /// Side of a patch.
    fn patch(&self) -> Result<usize, Error> {
        let name = "patch_embed.proj.weight";
        match self.shape(name) {
            Some(&[_, 3, side, other]) if side == other && side > 0 => Ok(side),
            Some(shape) => Err(self.problem(format!(
                "`{}{name}` is {shape:?}, not the convolution of square patches of three channels",
                self.prefix
            ))),
            None if self.names().any(|name| name.starts_with("patch_embed.backbone.")) => {
                let prefix = self.prefix;
                let problem = format!(
                    "`{prefix}patch_embed.backbone.…` makes patches out of pixels, which only MobileCLIP-B's (vit_base_mci_224) may do"
                );
                Err(self.problem(problem))
            }
            None => Err(self.problem(format!("`{}{name}` is missing", self.prefix))),
        }
    }

    fn stem(&self) -> Result<Vec<Convolution>, Error> {
        let layers = STEM.iter().enumerate().map(|(layer, &side)| {
            let name = format!("patch_embed.backbone.{layer}.conv.weight");
            match self.shape(&name) {
                Some(&[outputs, ..]) => Ok(Convolution { outputs, window: Window { side, stride: side, border: 0 } }),
                _ => Err(self.problem(format!("`{}{name}` is missing", self.prefix))),
            }
        });
        layers.collect()
    }

    /// The norm behind the blocks, in front of what is pooled or behind it.
    fn post_norm(&self) -> &'static str {
        if self.shape("fc_norm.weight").is_some() { "fc_norm" } else { "norm" }
    }

    /// The tensors of everything but a projection.
    pub(super) fn tensors(&self, vision: &VisionConfig, expected: &mut Vec<Expected>) {
        let mut own = Vec::new();
        let &VisionConfig { width, patch, mlp, .. } = vision;
        if vision.stem.is_empty() {
            let (shape, name) = ([width, 3, patch, patch], "patch_embed.proj");
            push(&mut own, "vision.patch.weight".into(), format!("{name}.weight"), &shape);
            // A norm behind the patches does without.
            if !vision.pre_norm {
                push(&mut own, "vision.patch.bias".into(), format!("{name}.bias"), &shape[..1]);
            }
        } else {
            push_stem(&mut own, &vision.stem, |layer| format!("patch_embed.backbone.{layer}"), "bn");
        }
        let [rows, columns] = vision.grid();
        let patches = rows * columns;
        if vision.class_tokens() > 0 {
            let shaped = View::Shaped(vec![width]);
            push_view(&mut own, "vision.class".into(), "cls_token".into(), &[1, 1, width], shaped);
        }
        let places = vision.class_tokens() + patches;
        let (stored, view) = match self.shape("pos_embed") {
            Some(&[_, rows, _]) if rows + 1 == places && vision.class_tokens() > 0 => (patches, View::BehindZeros),
            _ => (places, View::Shaped(vec![places, width])),
        };
        push_view(&mut own, "vision.position".into(), "pos_embed".into(), &[1, stored, width], view);
        if vision.pre_norm {
            push_pair(&mut own, "vision.pre_norm", "norm_pre", &[width]);
        }
        for block in 0..vision.blocks {
            self.block_tensors(block, [width, mlp], &mut own);
        }
        push_pair(&mut own, "vision.post_norm", self.post_norm(), &[width]);
        if vision.head.pooling == Pooling::Attention {
            self.pool_tensors([width, mlp], &mut own);
        }
        own.iter_mut().for_each(|tensor| tensor.put_below(self.prefix));
        expected.extend(own);
    }

    fn block_tensors(&self, block: usize, [width, mlp]: [usize; 2], expected: &mut Vec<Expected>) {
        let (ours, theirs) = (format!("vision.blocks.{block}"), format!("blocks.{block}"));
        push_pair(expected, &format!("{ours}.norm1"), &format!("{theirs}.norm1"), &[width]);
        // What one block has, all have.
        let has_bias = self.shape("blocks.0.attn.qkv.bias").is_some();
        push_fused(expected, [&ours, &format!("{theirs}.attn.qkv")], &["q", "k", "v"], width, has_bias);
        self.scaled_pair(expected, &format!("{ours}.out"), [&theirs, "attn.proj", "ls1"], &[width, width]);
        push_pair(expected, &format!("{ours}.norm2"), &format!("{theirs}.norm2"), &[width]);
        push_pair(expected, &format!("{ours}.fc1"), &format!("{theirs}.mlp.fc1"), &[mlp, width]);
        self.scaled_pair(expected, &format!("{ours}.fc2"), [&theirs, "mlp.fc2", "ls2"], &[width, mlp]);
    }

    fn pool_tensors(&self, [width, mlp]: [usize; 2], expected: &mut Vec<Expected>) {
        let shaped = View::Shaped(vec![width]);
        push_view(expected, "vision.pool.probe".into(), "attn_pool.latent".into(), &[1, 1, width], shaped);
        push_pair(expected, "vision.pool.q", "attn_pool.q", &[width, width]);
        push_fused(expected, ["vision.pool", "attn_pool.kv"], &["k", "v"], width, true);
        push_pair(expected, "vision.pool.out", "attn_pool.proj", &[width, width]);
        push_pair(expected, "vision.pool.norm2", "attn_pool.norm", &[width]);
        push_pair(expected, "vision.pool.fc1", "attn_pool.mlp.fc1", &[mlp, width]);
        push_pair(expected, "vision.pool.fc2", "attn_pool.mlp.fc2", &[width, mlp]);
    }

    /// A layer with the block's layer scale behind it, if there is one.
    fn scaled_pair(
        &self,
        expected: &mut Vec<Expected>,
        ours: &str,
        [block, theirs, scale]: [&str; 3],
        shape: &[usize],
    ) {
        let view = match self.shape(&format!("blocks.0.{scale}.gamma")) {
            Some(_) => View::Scaled(format!("{block}.{scale}.gamma")),
            None => View::Whole,
        };
        let theirs = format!("{block}.{theirs}");
        let (weight, bias) = (format!("{theirs}.weight"), format!("{theirs}.bias"));
        push_view(expected, format!("{ours}.weight"), weight, shape, view.clone());
        push_view(expected, format!("{ours}.bias"), bias, &shape[..1], view);
    }

    /// Whether the head is a projection into the space of a CLIP: those have no bias, and timm makes it zeros. A classifier's was trained.
    fn projects(&self) -> Result<bool, Error> {
        let name = format!("{}head.bias", self.prefix);
        if !self.architecture.is_clip || self.checkpoint.shape(&name).is_none() {
            return Ok(false);
        }
        Ok(self.checkpoint.tensor(&name)?.data.iter().all(|&value| value == 0.0))
    }

    /// Makes what is pooled the embedding: attention pooling as it is, anything else behind its norm.
    pub(super) fn without_projection(&self, vision: &mut VisionConfig, expected: &mut Vec<Expected>) {
        if vision.head.pooling == Pooling::Attention {
            vision.head.projected = false;
            return;
        }
        let norm = format!("{}{}.weight", self.prefix, self.post_norm());
        push_view(expected, "vision.projection.weight".into(), norm, &[vision.width], View::Identity);
    }

    /// The shape of a tensor of the tower.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.checkpoint.shape(&format!("{}{name}", self.prefix))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.checkpoint.names().filter_map(|name| name.strip_prefix(self.prefix))
    }

    fn problem(&self, problem: String) -> Error {
        Error::tensors(self.checkpoint.path(), problem)
    }
}

/// Reads a folder with timm's `config.json` and weights.
///
/// # Errors
/// [`Error::Config`] for settings that are not supported, or that nobody tells; [`Error::Tensors`] listing every tensor that is missing, not
/// known or of another shape than the configuration says.
pub(super) fn open(found: &Found) -> Result<Parts, Error> {
    let checkpoint = &found.checkpoint;
    let path = found.folder.join(CONFIG);
    if !path.exists() {
        let reason = "is missing, so that nothing says which of timm's architectures this is: copy it from the original model, or write one \
                      such as {\"architecture\": \"vit_base_patch16_224\"} and say with --preprocess what images go through";
        return Err(Error::malformed(&path, reason));
    }
    let config = Fields::read(&path)?;
    let settings = timm_config::read(&config)?;
    if found.options.activation.is_none() {
        timm_config::check_activation(&settings)?;
    }
    let preprocess = match &found.options.preprocess {
        Some(steps) => steps.of([settings.image; 2]),
        None => timm_config::preprocess(&settings.pretrained, settings.image)?,
    };
    let trunk = Trunk { checkpoint, prefix: "", architecture: settings.architecture, image: settings.image };
    let mut vision = trunk.vision()?;
    let mut expected = Vec::new();
    trunk.tensors(&vision, &mut expected);
    let embedding = match trunk.shape("head.weight") {
        Some(&[embedding, _]) if trunk.projects()? => {
            push_pair(&mut expected, "vision.projection", "head", &[embedding, vision.width]);
            embedding
        }
        head => {
            trunk.without_projection(&mut vision, &mut expected);
            if let Some(&[classes, _]) = head {
                push_pair(&mut expected, "classifier", "head", &[classes, vision.width]);
                // The logits depend on the length.
                vision.head.unit = false;
            }
            vision.width
        }
    };
    let tensors = match_tensors(checkpoint, "", expected, ["ViT", CONFIG], is_batch_count)?;
    let family = match &trunk.architecture {
        architecture if architecture.is_siglip => "siglip",
        architecture if architecture.is_clip => "clip",
        _ => "vit",
    };
    let model = ModelConfig {
        family: family.into(),
        embedding,
        vision: Some(vision),
        text: None,
        preprocess: Some(preprocess),
        logit_scale: if family == "clip" { 100.0 } else { 1.0 },
        logit_bias: 0.0,
        provenance: Provenance::default(),
    };
    let words = Words::new(&found.folder, path);
    Ok(Parts { model, tensors, position: position::Rule::Antialiased, words, class_names: Some("label_names") })
}

#[cfg(test)]
#[path = "timm_tests.rs"]
mod tests;
