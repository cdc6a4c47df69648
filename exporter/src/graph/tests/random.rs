//! Towers of random weights.

use std::collections::HashMap;

use edgelip_runtime::image::{Centre, Filter, Resize};
use ndarray::Array3;

use crate::error::Error;
use crate::source::{
    Convolution, ModelConfig, Pooling, PreprocessConfig, Provenance, Readout, Source, Tensor, TextConfig, VisionConfig,
    Window,
};

/// Random tensors of the right shapes.
pub(super) struct Random {
    pub model: ModelConfig,
    tensors: HashMap<String, Tensor>,
    state: u64,
}

impl Source for Random {
    fn model(&self) -> &ModelConfig {
        &self.model
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        self.tensors.get(name).cloned().ok_or_else(|| Error::MissingTensor(name.into()))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

impl Random {
    pub fn new(vision: VisionConfig, text: TextConfig, embedding: usize) -> Self {
        let preprocess = PreprocessConfig {
            resize: Resize::Shortest(32),
            filter: Filter::Bicubic,
            crop: Some(vision.image_size),
            centre: Centre::Even,
            rescale: 1.0 / 255.0,
            mean: [0.48, 0.45, 0.40],
            std: [0.26, 0.27, 0.28],
        };
        let model = ModelConfig {
            family: "clip".into(),
            embedding,
            vision: Some(vision.clone()),
            text: Some(text.clone()),
            preprocess: Some(preprocess),
            logit_scale: 100.0,
            logit_bias: 0.0,
            provenance: Provenance::default(),
        };
        let mut random = Random { model, tensors: HashMap::new(), state: 1 };
        let (width, patch) = (vision.width, vision.patch);
        match vision.stem.is_empty() {
            true => random.put("vision.patch.weight", &[width, 3, patch, patch], 1.0 / patch as f32),
            false => random.stem(&vision.stem),
        }
        random.frequency(&vision, embedding);
        if vision.class_tokens() > 0 {
            random.put("vision.class", &[width], 0.5);
        }
        random.put("vision.position", &[vision.tokens(), width], 0.5);
        if vision.pre_norm {
            random.norm("vision.pre_norm", width);
        }
        random.blocks("vision", vision.blocks, width, vision.mlp);
        random.norm("vision.post_norm", width);
        if vision.head.pooling == Pooling::Attention {
            random.put("vision.pool.probe", &[width], 1.0);
            random.block("vision.pool", width, vision.mlp);
        }
        if vision.head.pooling == Pooling::Pooler {
            random.put("vision.pooler.weight", &[width, width], 1.5 / (width as f32).sqrt());
            random.put("vision.pooler.bias", &[width], 0.3);
        }
        if vision.head.projected {
            random.put("vision.projection.weight", &[embedding, width], 0.2);
        }
        random.put("text.token.weight", &[text.vocabulary, text.width], 0.5);
        random.put("text.position", &[text.context, text.width], 0.5);
        random.blocks("text", text.blocks, text.width, text.mlp);
        random.norm("text.final_norm", text.width);
        random.put("text.projection.weight", &[embedding, text.width], 0.2);
        random
    }

    fn stem(&mut self, layers: &[Convolution]) {
        let mut inputs = 3;
        for (layer, &Convolution { outputs, window: Window { side, .. } }) in layers.iter().enumerate() {
            let spread = 2.5 / ((side * side * inputs) as f32).sqrt();
            self.put(&format!("vision.stem.{layer}.weight"), &[outputs, inputs, side, side], spread);
            self.put(&format!("vision.stem.{layer}.bias"), &[outputs], 0.3);
            inputs = outputs;
        }
    }

    fn frequency(&mut self, vision: &VisionConfig, embedding: usize) {
        let (width, mlp) = (vision.width, vision.mlp);
        for index in 0..vision.frequency_blocks {
            let block = format!("vision.frequency.{index}");
            self.norm(&format!("{block}.norm1"), width);
            self.put(&format!("{block}.filter"), &[vision.coefficients(), width, 2], 0.8);
            self.norm(&format!("{block}.norm2"), width);
            for (layer, outputs, inputs) in [("fc1", mlp, width), ("fc2", width, mlp)] {
                self.put(&format!("{block}.{layer}.weight"), &[outputs, inputs], 2.0 / (inputs as f32).sqrt());
                self.put(&format!("{block}.{layer}.bias"), &[outputs], 0.2);
            }
        }
        if vision.frequency_blocks > 0 {
            self.norm("vision.frequency.norm", width);
        }
        if vision.readout == Readout::Joint {
            self.put("vision.frequency.projection.weight", &[embedding, width], 0.2);
        }
    }

    fn blocks(&mut self, tower: &str, blocks: usize, width: usize, mlp: usize) {
        for index in 0..blocks {
            let block = format!("{tower}.blocks.{index}");
            self.norm(&format!("{block}.norm1"), width);
            self.block(&block, width, mlp);
        }
    }

    /// What the blocks and the head have in common.
    fn block(&mut self, block: &str, width: usize, mlp: usize) {
        self.norm(&format!("{block}.norm2"), width);
        for (layer, outputs, inputs) in [
            ("q", width, width),
            ("k", width, width),
            ("v", width, width),
            ("out", width, width),
            ("fc1", mlp, width),
            ("fc2", width, mlp),
        ] {
            self.put(&format!("{block}.{layer}.weight"), &[outputs, inputs], 2.0 / (inputs as f32).sqrt());
            self.put(&format!("{block}.{layer}.bias"), &[outputs], 0.2);
        }
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.put(&format!("{name}.weight"), &[width], 0.3);
        self.put(&format!("{name}.bias"), &[width], 0.3);
        let gain = self.tensors.get_mut(&format!("{name}.weight")).unwrap();
        gain.data.iter_mut().for_each(|value| *value += 1.0);
    }

    pub fn put(&mut self, name: &str, shape: &[usize], spread: f32) {
        let data = (0..shape.iter().product()).map(|_| spread * (2.0 * self.next() - 1.0)).collect();
        self.tensors.insert(name.into(), Tensor { shape: shape.to_vec(), data });
    }

    /// Uniform in 0..1.
    pub fn next(&mut self) -> f32 {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 40) as f32 / (1 << 24) as f32
    }

    /// `[H, W, 3]` bytes and what the graph takes, normalised.
    pub fn image(&mut self) -> (Vec<u8>, Array3<f32>) {
        let ([height, width], preprocess) =
            (self.model.vision.as_ref().unwrap().image_size, self.model.preprocess.unwrap());
        let bytes: Vec<u8> = (0..height * width * 3).map(|_| (255.0 * self.next()) as u8).collect();
        let pixels = Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            let value = (f64::from(bytes[(y * width + x) * 3 + c]) * preprocess.rescale) as f32;
            (value - preprocess.mean[c]) / preprocess.std[c]
        });
        (bytes, pixels)
    }
}
