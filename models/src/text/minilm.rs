//! The encoder of all-MiniLM-L6-v2 (Wang et al., MiniLM, arXiv 2002.10957; Reimers and Gurevych, Sentence-BERT, arXiv 1908.10084),
//! a BERT with mean pooling, in single precision and without gradients.

use std::collections::HashMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::Encoder;
use crate::error::Error;
use crate::vision::unit;

const EPSILON: f64 = 1e-12;
const HEAD: i64 = 32;

/// The frozen text tower.
#[derive(Debug)]
pub struct MiniLm {
    weights: HashMap<String, Tensor>,
    blocks: usize,
    device: Device,
}

impl MiniLm {
    /// Reads `model.safetensors` as the model is published.
    ///
    /// # Errors
    /// [`Error::Malformed`] if a tensor is missing.
    pub fn read(path: &Path, device: Device) -> Result<Self, Error> {
        let tensors = Tensor::read_safetensors(path).map_err(|error| Error::malformed(path, error))?;
        let weights: HashMap<String, Tensor> = tensors
            .into_iter()
            .filter(|(_, tensor)| tensor.kind() != Kind::Int64)
            .map(|(name, tensor)| (name, tensor.to_kind(Kind::Float).to_device(device)))
            .collect();
        let blocks =
            (0..).take_while(|i| weights.contains_key(&format!("encoder.layer.{i}.output.dense.weight"))).count();
        let model = MiniLm { weights, blocks, device };
        let parts = [
            "embeddings.word_embeddings.weight",
            "embeddings.position_embeddings.weight",
            "embeddings.LayerNorm.weight",
        ];
        match parts.iter().find(|name| !model.weights.contains_key(**name)) {
            Some(missing) => Err(Error::malformed(path, format!("no tensor `{missing}`: this is not a BERT encoder"))),
            None if blocks == 0 => Err(Error::malformed(path, "no encoder layers")),
            None => Ok(model),
        }
    }

    fn linear(&self, x: &Tensor, name: &str) -> Tensor {
        x.linear(&self.weights[&format!("{name}.weight")], self.weights.get(&format!("{name}.bias")))
    }

    fn norm(&self, x: &Tensor, name: &str) -> Tensor {
        let weight = &self.weights[&format!("{name}.weight")];
        x.layer_norm(weight.size(), Some(weight), self.weights.get(&format!("{name}.bias")), EPSILON, false)
    }
}

impl Encoder for MiniLm {
    fn width(&self) -> i64 {
        self.weights["embeddings.word_embeddings.weight"].size()[1]
    }

    fn device(&self) -> Device {
        self.device
    }

    fn forward(&self, ids: &Tensor, mask: &Tensor) -> (Tensor, Tensor) {
        tch::no_grad(|| {
            let (batch, length) = ids.size2().expect("ids are [B, M]");
            let weight = |name: &str| &self.weights[name];
            let words = Tensor::embedding(weight("embeddings.word_embeddings.weight"), ids, -1, false, false);
            let positions = weight("embeddings.position_embeddings.weight").narrow(0, 0, length);
            let kind = weight("embeddings.token_type_embeddings.weight").get(0);
            let mut x = self.norm(&(words + positions + kind), "embeddings.LayerNorm");
            let hidden = ((mask.to_kind(Kind::Float) - 1.0) * 1e9).view([batch, 1, 1, length]);
            for block in 0..self.blocks {
                let name = |part: &str| format!("encoder.layer.{block}.{part}");
                let heads = |part: &str| {
                    self.linear(&x, &name(&format!("attention.self.{part}")))
                        .view([batch, length, -1, HEAD])
                        .transpose(1, 2)
                };
                let logits = heads("query").matmul(&heads("key").transpose(2, 3)) / (HEAD as f64).sqrt() + &hidden;
                let mixed = logits
                    .softmax(-1, Kind::Float)
                    .matmul(&heads("value"))
                    .transpose(1, 2)
                    .reshape([batch, length, -1]);
                x = self.norm(
                    &(self.linear(&mixed, &name("attention.output.dense")) + &x),
                    &name("attention.output.LayerNorm"),
                );
                let up = self.linear(&x, &name("intermediate.dense")).gelu("none");
                x = self.norm(&(self.linear(&up, &name("output.dense")) + &x), &name("output.LayerNorm"));
            }
            let mask = mask.to_kind(Kind::Float).unsqueeze(-1);
            let mean = (&x * &mask).sum_dim_intlist([1].as_slice(), false, Kind::Float)
                / mask.sum_dim_intlist([1].as_slice(), false, Kind::Float);
            (unit(&mean), x)
        })
    }
}
