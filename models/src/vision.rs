//! The image tower: CLIP's vision transformer (Radford et al., arXiv 2103.00020) with frequency blocks before its spatial ones.
//!
//! Patches and class token, position embedding, norm; frequency blocks (the global filter in place of attention, patches only, the class
//! token waits); spatial blocks, between whose attention and MLP tokens may merge; norm and projection of the class token. Without
//! frequency blocks and merging it is CLIP's tower.

use tch::{Kind, Tensor};

use crate::config::{Merging, Precision, Readout, Rule, Vision};
use crate::merging::{Tokens, energy, guide, merge, snake};
use crate::nn::{Attention, Bases, FrequencyFilter, Linear, Mlp, Norm, Stem};
use crate::parameters::{Parameters, Start};
use crate::resolution;

/// How tokens merge in one forward pass.
#[derive(Debug, Clone)]
pub struct Merge {
    /// How pairs are found and joined.
    pub rule: Rule,
    /// Tokens merged in each spatial block.
    pub counts: Vec<i64>,
    /// How strongly the guide stretches distances; 0 is unguided.
    pub guide: f64,
    /// The semantic share of the guide.
    pub semantic: f64,
}

impl Merge {
    /// As the configuration says, with these counts.
    pub fn new(merging: &Merging, counts: Vec<i64>) -> Self {
        Merge { rule: merging.rule, counts, guide: merging.guide, semantic: merging.semantic }
    }

    fn any(&self) -> bool {
        self.counts.iter().any(|&r| r > 0)
    }
}

/// What the tower says of images.
#[derive(Debug)]
pub struct Features {
    /// z_s: the class token after the spatial stage, projected `[B, E]`; as it is `[B, D]` without [`Outputs::projection`].
    pub spatial: Tensor,
    /// z_f: the mean of the frequency stage's patches, projected `[B, E]`.
    pub frequency: Option<Tensor>,
    /// The patch tokens after the spatial stage, for [`ImageTower::project_tokens`].
    pub tokens: Tokens,
}

/// The tower's layers.
#[derive(Debug)]
pub struct ImageTower {
    shape: Vision,
    embedding: Embedding,
    class: Tensor,
    position: Tensor,
    pre_norm: Norm,
    frequency: Option<FrequencyStage>,
    spatial: Vec<SpatialBlock>,
    post_norm: Norm,
    projection: Option<Linear>,
    token_projection: Option<Linear>,
    snake: Tensor,
}

/// From pixels to patches.
#[derive(Debug)]
enum Embedding {
    Linear(Linear),
    Convolutions(Stem),
}

#[derive(Debug)]
struct FrequencyStage {
    bases: Bases,
    blocks: Vec<FrequencyBlock>,
    norm: Norm,
    projection: Option<Linear>,
}

#[derive(Debug)]
struct FrequencyBlock {
    norm1: Norm,
    filter: FrequencyFilter,
    norm2: Norm,
    mlp: Mlp,
}

#[derive(Debug)]
struct SpatialBlock {
    norm1: Norm,
    attention: Attention,
    norm2: Norm,
    mlp: Mlp,
}

/// Which outputs are trained, beside the class token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outputs {
    /// The class token's place in the shared space.
    pub projection: bool,
    /// The frequency feature.
    pub frequency: bool,
    /// Projected patch tokens.
    pub tokens: bool,
}

impl ImageTower {
    /// Makes the tower's parameters.
    pub fn new(parameters: &Parameters, shape: &Vision, outputs: Outputs, precision: Precision) -> Self {
        let Vision { width, mlp, heads, embedding, .. } = *shape;
        let grid = shape.grid();
        // Residual branches start small, so that the sum's spread does not grow with depth (GPT-2's rule).
        let out = 0.02 / (2.0 * (shape.frequency_blocks + shape.spatial_blocks) as f32).sqrt();
        let name = |part: &str| format!("vision_model.{part}");
        let project = |name: &str| {
            Linear::without_bias(parameters, name, [width, embedding], (width as f32).powf(-0.5), precision)
        };
        let patch = 3 * shape.patch * shape.patch;
        let patch_name = name("embeddings.patch_embedding");
        let embed = match shape.stem.as_slice() {
            [] => {
                let deviation = (patch as f32).powf(-0.5);
                Embedding::Linear(Linear::without_bias(parameters, &patch_name, [patch, width], deviation, precision))
            }
            widths => Embedding::Convolutions(Stem::new(parameters, &name("embeddings.stem"), widths, precision)),
        };
        let frequency = (shape.frequency_blocks > 0).then(|| FrequencyStage {
            bases: Bases::new([grid, grid], parameters.device()),
            blocks: (0..shape.frequency_blocks)
                .map(|i| {
                    let name = |part: &str| format!("vision_model.frequency.layers.{i}.{part}");
                    FrequencyBlock {
                        norm1: Norm::new(parameters, &name("layer_norm1"), width),
                        filter: FrequencyFilter::new(parameters, &name("frequency"), [grid, grid], width),
                        norm2: Norm::new(parameters, &name("layer_norm2"), width),
                        mlp: Mlp::new(parameters, &name("mlp"), [width, mlp], out, precision),
                    }
                })
                .collect(),
            norm: Norm::new(parameters, &name("frequency.norm"), width),
            projection: outputs.frequency.then(|| project("frequency_projection")),
        });
        let spatial = (0..shape.spatial_blocks)
            .map(|i| {
                let name = |part: &str| format!("vision_model.encoder.layers.{i}.{part}");
                SpatialBlock {
                    norm1: Norm::new(parameters, &name("layer_norm1"), width),
                    attention: Attention::new(parameters, &name("self_attn"), [width, heads], out, precision),
                    norm2: Norm::new(parameters, &name("layer_norm2"), width),
                    mlp: Mlp::new(parameters, &name("mlp"), [width, mlp], out, precision),
                }
            })
            .collect();
        ImageTower {
            embedding: embed,
            class: parameters.vector(&name("embeddings.class_embedding"), &[width], Start::Normal(0.02)),
            position: parameters.vector(
                &name("embeddings.position_embedding.weight"),
                &[1 + grid * grid, width],
                Start::Normal(0.02),
            ),
            pre_norm: Norm::new(parameters, &name("pre_layrnorm"), width),
            frequency,
            spatial,
            post_norm: Norm::new(parameters, &name("post_layernorm"), width),
            projection: outputs.projection.then(|| project("visual_projection")),
            token_projection: outputs.tokens.then(|| project("token_projection")),
            snake: Tensor::from_slice(&snake(grid)).to_device(parameters.device()),
            shape: shape.clone(),
        }
    }

    /// The tower's shape.
    pub fn shape(&self) -> &Vision {
        &self.shape
    }

    /// Features of normalised images `[B, 3, S, S]`. `S` may differ from the tower's own where neither frequency blocks nor merging ask for
    /// one grid: positions are interpolated.
    pub fn forward(&self, images: &Tensor, merging: Option<&Merge>) -> Features {
        let (batch, grid) = (images.size()[0], images.size()[2] / self.shape.patch);
        let patches = grid * grid;
        let class = self.class.expand([batch, 1, self.shape.width], false);
        let position = match self.shape.grid() {
            own if own == grid => self.position.shallow_clone(),
            own => resolution::position(&self.position, own, grid),
        };
        let x = Tensor::cat(&[class, self.patches(images).to_kind(Kind::Float)], 1) + position;
        let x = self.pre_norm.forward(&x);
        let class = x.narrow(1, 0, 1);
        let mut x = x.narrow(1, 1, patches);

        let mut summary = None;
        let mut z_f = None;
        if let Some(stage) = &self.frequency {
            for block in &stage.blocks {
                x = &x + block.filter.forward(&stage.bases, &block.norm1.forward(&x));
                x = &x + block.mlp.forward(&block.norm2.forward(&x));
            }
            let pooled = stage.norm.forward(&x).mean_dim([1].as_slice(), false, Kind::Float);
            z_f = stage.projection.as_ref().map(|projection| projection.forward(&pooled).to_kind(Kind::Float));
            summary = Some(pooled.detach());
        }

        let merging = merging.filter(|merge| merge.any());
        let high = merging.filter(|merge| merge.guide > 0.0).map(|_| tch::no_grad(|| energy(&x, self.shape.grid())));
        let ward = merging.is_some_and(|merge| merge.rule == Rule::Ward);
        let in_order = |x: &Tensor| if ward { x.index_select(1, &self.snake) } else { x.shallow_clone() };
        let no_energy =
            |x: &Tensor| Tensor::cat(&[Tensor::zeros([batch, 1], (Kind::Float, x.device())), in_order(x)], 1);
        let mut tokens = Tokens {
            sizes: Tensor::ones([batch, patches + 1], (Kind::Float, x.device())),
            values: Tensor::cat(&[class, in_order(&x)], 1),
            energy: high.as_ref().map(no_energy),
        };
        let mut merged = false;
        for (index, block) in self.spatial.iter().enumerate() {
            let bias = merged.then(|| tokens.sizes.log().unsqueeze(1));
            let attended = block.attention.forward(&block.norm1.forward(&tokens.values), bias.as_ref());
            tokens.values = &tokens.values + attended.output;
            if let Some(merge_by) = merging.filter(|merge| merge.counts[index] > 0) {
                let guide = tokens.energy.as_ref().map(|energy| {
                    let class = tokens.values.select(1, 0);
                    let frequency = summary.as_ref().unwrap_or(&class);
                    tch::no_grad(|| guide(&tokens.values, &class, frequency, energy, merge_by.semantic))
                });
                let guide = guide.as_ref().map(|guide| (guide, merge_by.guide));
                tokens = merge(merge_by.rule, self.shape.heads, &tokens, &attended.keys, guide, merge_by.counts[index]);
                merged = true;
            }
            tokens.values = &tokens.values + block.mlp.forward(&block.norm2.forward(&tokens.values));
        }
        let normed = self.post_norm.forward(&tokens.values);
        let (count, class) = (normed.size()[1], normed.select(1, 0));
        Features {
            spatial: self
                .projection
                .as_ref()
                .map_or(class.shallow_clone(), |projection| projection.forward(&class).to_kind(Kind::Float)),
            frequency: z_f,
            tokens: Tokens {
                values: normed.narrow(1, 1, count - 1),
                sizes: tokens.sizes.narrow(1, 1, count - 1),
                energy: None,
            },
        }
    }

    /// The tower's embedding, of unit length, out of its features.
    pub fn embedding(&self, features: &Features) -> Tensor {
        let spatial = unit(&features.spatial);
        match (self.shape.readout, &features.frequency) {
            (Readout::Joint, Some(frequency)) => unit(&(spatial + unit(frequency))),
            _ => spatial,
        }
    }

    /// Patch tokens in the shared space, of unit length; `None` if the tower was made without [`Outputs::tokens`].
    pub fn project_tokens(&self, tokens: &Tokens) -> Option<Tensor> {
        self.token_projection.as_ref().map(|projection| unit(&projection.forward(&tokens.values).to_kind(Kind::Float)))
    }

    /// Embeddings of the patches, row by row.
    fn patches(&self, images: &Tensor) -> Tensor {
        let linear = match &self.embedding {
            Embedding::Linear(linear) => linear,
            Embedding::Convolutions(stem) => return stem.forward(images),
        };
        let (batch, patch) = (images.size()[0], self.shape.patch);
        let grid = images.size()[2] / patch;
        let cells = images.view([batch, 3, grid, patch, grid, patch]).permute([0, 2, 4, 1, 3, 5]);
        linear.forward(&cells.reshape([batch, grid * grid, 3 * patch * patch]))
    }
}

/// Rows of unit length.
pub fn unit(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [-1], true).clamp_min(1e-12)
}
