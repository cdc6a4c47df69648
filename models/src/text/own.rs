//! A small text transformer that learns with the image tower.

use tch::{Kind, Tensor};

use super::Encoder;
use crate::config::{Precision, Text};
use crate::nn::{Attention, Linear, Mlp, Norm};
use crate::parameters::{Parameters, Start};
use crate::vision::unit;

/// Token and position embeddings, pre-norm blocks that see the whole text, the mean over its tokens, projected.
#[derive(Debug)]
pub struct OwnTower {
    token: Tensor,
    position: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
    projection: Linear,
    embedding: i64,
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    attention: Attention,
    norm2: Norm,
    mlp: Mlp,
}

impl OwnTower {
    /// Parameters under `text_model` and `text_projection`.
    pub fn new(parameters: &Parameters, text: &Text, embedding: i64, precision: Precision) -> Self {
        let Text { width, heads, blocks, vocabulary, .. } = *text;
        let out = 0.02 / (2.0 * blocks as f32).sqrt();
        let embed = |name: &str, count: i64| {
            parameters.vector(&format!("text_model.embeddings.{name}.weight"), &[count, width], Start::Normal(0.02))
        };
        OwnTower {
            token: embed("token_embedding", vocabulary),
            position: embed("position_embedding", text.tokens as i64),
            blocks: (0..blocks)
                .map(|i| {
                    let name = |part: &str| format!("text_model.encoder.layers.{i}.{part}");
                    Block {
                        norm1: Norm::new(parameters, &name("layer_norm1"), width),
                        attention: Attention::new(parameters, &name("self_attn"), [width, heads], out, precision),
                        norm2: Norm::new(parameters, &name("layer_norm2"), width),
                        mlp: Mlp::new(parameters, &name("mlp"), [width, 4 * width], out, precision),
                    }
                })
                .collect(),
            norm: Norm::new(parameters, "text_model.final_layer_norm", width),
            projection: Linear::without_bias(
                parameters,
                "text_projection",
                [width, embedding],
                (width as f32).powf(-0.5),
                precision,
            ),
            embedding,
        }
    }
}

impl Encoder for OwnTower {
    fn width(&self) -> i64 {
        self.embedding
    }

    fn device(&self) -> tch::Device {
        self.token.device()
    }

    fn forward(&self, ids: &Tensor, mask: &Tensor) -> (Tensor, Tensor) {
        let length = ids.size()[1];
        let mask = mask.to_kind(Kind::Float);
        // What a token must not see, for every token alike.
        let hidden = ((&mask - 1.0) * 1e9).unsqueeze(1);
        let mut x = Tensor::embedding(&self.token, ids, -1, false, false) + self.position.narrow(0, 0, length);
        for block in &self.blocks {
            x = &x + block.attention.forward(&block.norm1.forward(&x), Some(&hidden)).output;
            x = &x + block.mlp.forward(&block.norm2.forward(&x));
        }
        let states = self.projection.forward(&self.norm.forward(&x)).to_kind(Kind::Float);
        let mask = mask.unsqueeze(-1);
        let mean = (&states * &mask).sum_dim_intlist([1].as_slice(), false, Kind::Float)
            / mask.sum_dim_intlist([1].as_slice(), false, Kind::Float);
        (unit(&mean), states)
    }
}
