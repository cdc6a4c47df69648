//! Pictures that are quick to tell apart: a coloured bar on a grey ground, upright or lying, with its name.

use edgelip_models::config::{
    Augment, Config, Contrast, Labels, Merging, Objective, Optimizer, Precision, Readout, Rule, Schedule, Spread, Text,
    Train, Vision,
};
use edgelip_models::data::{Dataset, Item, Photo, Texts};
use edgelip_models::random::Stream;
use edgelip_models::text::Bank;
use tch::{Device, Kind, Tensor};

/// Names of the classes.
pub const CLASSES: [&str; 4] = ["red pole", "red beam", "blue pole", "blue beam"];

/// A picture of a class.
pub fn picture(class: usize, stream: &mut Stream) -> Photo {
    let (side, ground) = (16, 100 + stream.below(60) as u8);
    let mut pixels = vec![ground; 3 * side * side];
    let at = 3 + stream.below(8);
    for along in 0..side {
        for across in at..at + 3 {
            let (x, y) = if class.is_multiple_of(2) { (across, along) } else { (along, across) };
            let colour = if class < 2 { [220, 40, 40] } else { [40, 40, 220] };
            pixels[(y * side + x) * 3..][..3].copy_from_slice(&colour);
        }
    }
    Photo { width: side, height: side, pixels }
}

/// `count` pictures of all classes in turn.
pub fn dataset(count: usize, seed: u64) -> Dataset {
    let mut stream = Stream::new(&[seed]);
    let item = |i: usize| Item {
        photo: picture(i % 4, &mut stream),
        captions: vec![CLASSES[i % 4].into()],
        class: Some(format!("c{}", i % 4)),
    };
    Dataset { items: (0..count).map(item).collect(), ..Dataset::default() }
}

/// Embeddings that stand in for a text tower's: sums of a vector for each word.
pub fn bank(texts: &Texts, width: i64) -> Bank {
    let word = |word: &str| {
        let mut stream = Stream::new(&[word.bytes().fold(7, |hash, byte| hash * 31 + u64::from(byte))]);
        let values: Vec<f32> = (0..width).map(|_| stream.normal()).collect();
        let vector = Tensor::from_slice(&values);
        &vector / vector.norm()
    };
    let (mut pooled, mut tokens, mut starts) = (Vec::new(), Vec::new(), vec![0]);
    for text in &texts.strings {
        let words: Vec<Tensor> = text.split_whitespace().map(word).collect();
        let sum = Tensor::stack(&words, 0).sum_dim_intlist([0].as_slice(), false, Kind::Float);
        pooled.push(&sum / sum.norm());
        starts.push(starts[starts.len() - 1] + words.len() as i64);
        tokens.extend(words);
    }
    Bank::new(
        Tensor::stack(&pooled, 0),
        Tensor::stack(&tokens, 0).to_kind(Kind::BFloat16).to_device(Device::Cpu),
        starts,
    )
}

/// A model small enough to learn in seconds.
pub fn config(objective: Objective, steps: u64) -> Config {
    let mlip = objective == Objective::Mlip;
    Config {
        objective,
        seed: 3,
        templates: vec!["{}".into(), "a {}".into()],
        vision: Vision {
            image: 16,
            patch: 4,
            stem: vec![],
            width: 32,
            heads: 2,
            mlp: 64,
            frequency_blocks: if mlip { 1 } else { 0 },
            spatial_blocks: 3,
            embedding: 24,
            mean: [0.5; 3],
            std: [0.5; 3],
            readout: Readout::Spatial,
        },
        augment: Augment {
            min_scale: 0.7,
            min_aspect: 0.9,
            flip: 0.5,
            brightness: 0.1,
            contrast: 0.1,
            saturation: 0.1,
            mixup: 0.0,
            cutmix: 0.0,
            mixed: 1.0,
        },
        merging: mlip.then(|| Merging {
            rule: Rule::Ward,
            spread: Spread::Auto,
            rates: vec![0.0, 0.25],
            guide: 0.3,
            semantic: 0.5,
        }),
        text: Text::default(),
        contrast: Contrast {
            frequency: if mlip { 0.3 } else { 0.0 },
            tokens: if mlip { 0.3 } else { 0.0 },
            scale: 10.0,
            max_scale: 100.0,
            group: true,
            bank_classes: 4,
            bank_sentences: 0,
            smoothing: 0.0,
        },
        labels: Labels { count: 0, prior: 0.1 },
        train: Train {
            steps,
            batch: 16,
            sides: vec![],
            accumulate: 1,
            warmup: 5,
            learning_rate: 2e-3,
            final_rate: 1e-5,
            schedule: Schedule::Cosine,
            optimizer: Optimizer::AdamW,
            betas: [0.9, 0.98],
            epsilon: 1e-8,
            weight_decay: 0.05,
            clip: 1.0,
            ema: 0.9,
            precision: Precision::F32,
            checkpoint_minutes: 60.0,
        },
    }
}
