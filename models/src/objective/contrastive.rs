//! Images and texts in one space: `clip`, and `mlip` with contrast in both domains and between tokens.

use tch::{Kind, Tensor};

use super::{Learner, Mixed, Outcome};
use crate::config::{Config, Vision};
use crate::data::Batch;
use crate::loss::{TextTokens, contrast, hits, late_interaction, positives};
use crate::parameters::{Parameters, Start};
use crate::text::{Bank, Encoder, OwnTower, pad};
use crate::vision::{ImageTower, Merge, Outputs, unit};

/// Where text embeddings come from.
#[derive(Debug)]
pub enum TextSource {
    /// Computed once by a frozen tower.
    Frozen(Bank),
    /// Computed in each step by a tower that learns.
    Trained {
        /// The tower.
        tower: OwnTower,
        /// Token ids of every text.
        ids: Vec<Vec<i64>>,
    },
}

impl TextSource {
    /// Unit embeddings of texts `[count, E]`, and unit vectors of the tokens of the first `with_tokens`.
    fn embed(&self, texts: &[usize], with_tokens: usize) -> (Tensor, Option<TextTokens>) {
        match self {
            TextSource::Frozen(bank) => {
                (bank.pooled(texts), (with_tokens > 0).then(|| bank.tokens(&texts[..with_tokens])))
            }
            TextSource::Trained { tower, ids } => {
                let ids: Vec<&[i64]> = texts.iter().map(|&text| ids[text].as_slice()).collect();
                let (padded, mask) = pad(&ids, tower.device());
                let (pooled, states) = tower.forward(&padded, &mask);
                let first = |x: &Tensor| x.narrow(0, 0, with_tokens as i64);
                let tokens = (with_tokens > 0)
                    .then(|| TextTokens { values: unit(&first(&states)), mask: first(&mask).to_kind(Kind::Float) });
                (pooled, tokens)
            }
        }
    }
}

/// An image tower that learns to agree with texts.
#[derive(Debug)]
pub struct Contrastive {
    /// The image tower.
    pub image: ImageTower,
    texts: TextSource,
    /// Logarithms of the logit scales: spatial, frequency, tokens.
    scales: [Option<Tensor>; 3],
    config: Config,
}

impl Contrastive {
    /// Makes the parameters.
    pub fn new(parameters: &Parameters, config: &Config, texts: TextSource) -> Self {
        let scale = |name: &str, wanted: bool| {
            wanted.then(|| parameters.vector(name, &[], Start::Constant(config.contrast.scale.ln())))
        };
        let outputs = Contrastive::outputs(config);
        let image = ImageTower::new(parameters, &config.vision, outputs, config.train.precision);
        let scales = [
            scale("logit_scale", true),
            scale("frequency_logit_scale", outputs.frequency),
            scale("token_logit_scale", outputs.tokens),
        ];
        Contrastive { image, texts, scales, config: config.clone() }
    }

    /// What the image tower must give out.
    pub fn outputs(config: &Config) -> Outputs {
        let Config { contrast, vision: Vision { readout, .. }, .. } = config;
        let joint = *readout == crate::config::Readout::Joint;
        Outputs { projection: true, frequency: contrast.frequency > 0.0 || joint, tokens: contrast.tokens > 0.0 }
    }

    fn scale(&self, which: usize) -> Option<Tensor> {
        self.scales[which].as_ref().map(Tensor::exp)
    }
}

impl Learner for Contrastive {
    fn outcome(&self, batch: &Batch, merge: Option<&Merge>) -> Outcome {
        let mixed = Mixed::draw(&self.config, batch);
        let features = self.image.forward(&mixed.images, merge);
        let device = features.spatial.device();
        let count = batch.groups.len();
        let mask = mixed.targets(&positives(&batch.groups, &batch.text_groups, self.config.contrast.group, device));
        let (texts, text_tokens) =
            self.texts.embed(&batch.texts, if self.config.contrast.tokens > 0.0 { count } else { 0 });
        let own = texts.narrow(0, 0, count as i64);

        let global = |z: &Tensor, which: usize| {
            let (z, scale) = (unit(z), self.scale(which)?);
            let of_images = z.matmul(&texts.transpose(0, 1)) * &scale;
            let of_texts = own.matmul(&z.transpose(0, 1)) * scale;
            Some((contrast(&of_images, &of_texts, &mask, self.config.contrast.smoothing), of_images))
        };
        let (spatial, logits) = global(&features.spatial, 0).expect("the spatial contrast always is");
        let mut parts = vec![("spatial", spatial.detach()), ("hits", tch::no_grad(|| hits(&logits, &mask)))];
        let mut loss = vec![spatial];
        if let Some((frequency, _)) = features.frequency.as_ref().and_then(|z| global(z, 1)) {
            parts.push(("frequency", frequency.detach()));
            loss.push(frequency * self.config.contrast.frequency);
        }
        let image_tokens = text_tokens.as_ref().and_then(|_| self.image.project_tokens(&features.tokens));
        if let (Some(tokens), Some(text), Some(scale)) = (image_tokens, text_tokens, self.scale(2)) {
            let (of_images, of_texts) =
                late_interaction(&tokens, &features.tokens.sizes, &text, self.config.train.precision.kind());
            let own = mask.narrow(1, 0, count as i64);
            let aligned = contrast(&(of_images * &scale), &(of_texts * &scale), &own, self.config.contrast.smoothing);
            parts.push(("tokens", aligned.detach()));
            loss.push(aligned * self.config.contrast.tokens);
        }
        parts.push(("scale", self.scale(0).expect("the spatial scale always is").detach()));
        Outcome { loss: Tensor::stack(&loss, 0).sum(Kind::Float), parts }
    }

    fn constrain(&self) {
        let most = self.config.contrast.max_scale.ln();
        tch::no_grad(|| {
            for scale in self.scales.iter().flatten() {
                let _ = scale.shallow_clone().clamp_(0.0, most);
            }
        });
    }
}
