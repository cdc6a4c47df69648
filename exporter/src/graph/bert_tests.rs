//! A BERT with a projection, and with its own pooler, which no checkpoint of the fixtures has.

use edgelip_runtime::{Kernels, Single, Text};

use super::*;
use crate::error::Error;
use crate::layout::{Layout, Options};
use crate::reference;
use crate::source::{ModelConfig, Source, Tensor, TextPooling};

/// The fixture and a projection to 20 values.
struct Projected {
    bert: Layout,
    model: ModelConfig,
}

impl Source for Projected {
    fn model(&self) -> &ModelConfig {
        &self.model
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        match name {
            "text.projection.weight" => {
                let data = (0..20 * 24).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 100.0).collect();
                Ok(Tensor { shape: vec![20, 24], data })
            }
            "text.pooler.weight" => {
                let data = (0..24 * 24).map(|i| ((i * 6311 % 97) as f32 - 48.0) / 100.0).collect();
                Ok(Tensor { shape: vec![24, 24], data })
            }
            "text.pooler.bias" => {
                Ok(Tensor { shape: vec![24], data: (0..24).map(|i| i as f32 / 40.0 - 0.3).collect() })
            }
            _ => self.bert.tensor(name),
        }
    }

    fn has(&self, name: &str) -> bool {
        ["text.projection.weight", "text.pooler.weight", "text.pooler.bias"].contains(&name) || self.bert.has(name)
    }
}

#[test]
fn a_projection_follows_the_mean() {
    holds(TextPooling::Mean);
}

#[test]
fn a_pooler_takes_the_first_token() {
    holds(TextPooling::Pooler);
}

fn holds(pooling: TextPooling) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-bert");
    let bert = Layout::open(&folder, &Options::default()).unwrap();
    let mut model = bert.model().clone();
    model.embedding = 20;
    model.text.as_mut().unwrap().pooling = pooling;
    let source = Projected { bert, model };
    let ids = [2, 40, 41, 300, 500, 3];
    let expected = reference::text(&source, &[ids.to_vec()]).unwrap();
    for (precision, least) in [(Precision::F32, 0.99999), (Precision::F16, 0.9999), (Precision::I8, 0.995)] {
        let mut file = Vec::new();
        text(&source, &TextOptions { precision, tokenizer: "{}".into() }).unwrap().write(&mut file).unwrap();
        let mut words = vec![0f32; file.len().div_ceil(4) + 16];
        let skip = words.as_ptr().align_offset(64);
        let place = &mut edgelip_kernels::cast::bytes_mut(&mut words[skip..])[..file.len()];
        place.copy_from_slice(&file);
        let tower = Text::open(place, Kernels::detect()).unwrap();
        let mut scratch = vec![f32::NAN; tower.scratch_len(ids.len(), 1).unwrap()];
        let mut embedding = vec![0.0; tower.embedding()];
        tower.embed(&ids, &mut scratch, &Single, &mut embedding).unwrap();
        let cosine: f32 = expected.row(0).iter().zip(&embedding).map(|(a, b)| a * b).sum();
        assert!(cosine > least, "{precision}: {cosine}");
    }
}
