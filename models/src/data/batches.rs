//! Batches in an order that the seed and the step alone decide: a resumed run sees what an uninterrupted one sees.

use std::sync::Mutex;

use tch::{Device, Tensor};

use super::{Dataset, Texts, augment, normalise};
use crate::config::Config;
use crate::random::Stream;

/// What randomness is for; part of its key.
const ORDER: u64 = 1;
const IMAGE: u64 = 2;
const TEXT: u64 = 3;
const BANK: u64 = 4;
const SIDE: u64 = 7;

/// The images of one batch in the endless sequence of epochs.
struct Span {
    first: u64,
    count: u64,
    side: usize,
}

/// One forward pass's input.
#[derive(Debug)]
pub struct Batch {
    /// Its number.
    pub number: u64,
    /// Normalised images `[B, 3, S, S]`.
    pub images: Tensor,
    /// Which images of the data set these are.
    pub items: Vec<usize>,
    /// The group of each image.
    pub groups: Vec<u32>,
    /// A text for each image, then the bank of further ones.
    pub texts: Vec<usize>,
    /// The group of each text.
    pub text_groups: Vec<u32>,
}

impl Batch {
    /// The batch with its images on a device.
    pub fn to_device(self, device: Device) -> Batch {
        Batch { images: self.images.to_device(device), ..self }
    }
}

/// Makes batches by their number.
#[derive(Debug)]
pub struct Batches<'a> {
    dataset: &'a Dataset,
    texts: &'a Texts,
    config: &'a Config,
    /// Each image as often as it is drawn in an epoch.
    draws: Vec<u32>,
    /// The epoch that was shuffled last, and its order.
    epoch: Mutex<(u64, Vec<u32>)>,
}

impl<'a> Batches<'a> {
    /// `weights` are pairs of a number of images and how often each of them is drawn in an epoch, in the data set's order.
    pub fn new(dataset: &'a Dataset, texts: &'a Texts, config: &'a Config, weights: &[(usize, f64)]) -> Self {
        let mut draws = Vec::new();
        let mut first = 0;
        for &(count, weight) in weights {
            let total = (count as f64 * weight).round() as usize;
            draws.extend((0..total).map(|i| (first + i % count.max(1)) as u32));
            first += count;
        }
        Batches { dataset, texts, config, draws, epoch: Mutex::new((u64::MAX, Vec::new())) }
    }

    /// Images of one epoch.
    pub fn epoch_len(&self) -> usize {
        self.draws.len()
    }

    /// The batch of a number: `step · accumulate + pass`.
    pub fn batch(&self, number: u64) -> Batch {
        let Config { seed, vision, contrast, .. } = self.config;
        let Span { first, count, side } = self.span(number);
        let items: Vec<usize> = (first..first + count).map(|position| self.item(position)).collect();
        let groups: Vec<u32> = items.iter().map(|&item| self.texts.of_image[item]).collect();
        let images = normalise(items.len(), side, vision, |row| {
            let mut stream = Stream::new(&[*seed, IMAGE, number, row as u64]);
            augment(&self.dataset.items[items[row]].photo, side, &self.config.augment, &mut stream)
        });
        let mut stream = Stream::new(&[*seed, TEXT, number]);
        let mut text_groups = groups.clone();
        let mut bank = Stream::new(&[*seed, BANK, number]);
        text_groups.extend(some(&self.texts.classes, contrast.bank_classes, &mut bank));
        text_groups.extend(some(&self.texts.sentences, contrast.bank_sentences, &mut bank));
        let texts = text_groups.iter().map(|&group| self.texts.draw(group, &mut stream)).collect();
        Batch { number, images, items, groups, texts, text_groups }
    }

    /// What a batch takes of the endless sequence. Each round of batches takes every side once, in an order of its own, so that the images
    /// before a batch can be counted without looking at every batch before it.
    fn span(&self, number: u64) -> Span {
        let Config { seed, train, vision, .. } = self.config;
        if train.sides.is_empty() {
            let count = train.batch as u64;
            return Span { first: number * count, count, side: vision.image as usize };
        }
        let of = |side: i64| train.images_of_side(side, vision) as u64;
        let (round, place) = (number / train.sides.len() as u64, number as usize % train.sides.len());
        let mut sides = train.sides.clone();
        Stream::new(&[*seed, SIDE, round]).shuffle(&mut sides);
        let before = round * sides.iter().map(|&side| of(side)).sum::<u64>();
        let first = before + sides[..place].iter().map(|&side| of(side)).sum::<u64>();
        Span { first, count: of(sides[place]), side: sides[place] as usize }
    }

    /// The image at a position of the endless sequence of epochs.
    fn item(&self, position: u64) -> usize {
        let length = self.draws.len() as u64;
        let epoch = position / length;
        let mut shuffled = self.epoch.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if shuffled.0 != epoch {
            let mut order = self.draws.clone();
            Stream::new(&[self.config.seed, ORDER, epoch]).shuffle(&mut order);
            *shuffled = (epoch, order);
        }
        shuffled.1[(position % length) as usize] as usize
    }
}

/// `count` of the groups, each at most once.
fn some(groups: &[u32], count: usize, stream: &mut Stream) -> Vec<u32> {
    if count >= groups.len() {
        return groups.to_vec();
    }
    let start = stream.below(groups.len());
    let mut step = 1 + stream.below(groups.len() - 1);
    // A step without a common divisor visits every group before it repeats one.
    while gcd(step, groups.len()) != 1 {
        step = step % (groups.len() - 1) + 1;
    }
    (0..count).map(|i| groups[(start + i * step) % groups.len()]).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_several_sides_leave_no_image_out_and_repeat_none() {
        let mut config =
            Config::read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/clip.toml"))).unwrap();
        (config.train.batch, config.train.sides) = (10, vec![48, 64, 96]);
        config.check().unwrap();
        let (dataset, texts) = (Dataset::default(), Texts::default());
        let batches = Batches::new(&dataset, &texts, &config, &[]);
        let mut next = 0;
        let mut orders = std::collections::BTreeSet::new();
        for round in 0..20 {
            let spans: Vec<Span> = (0..3).map(|place| batches.span(3 * round + place)).collect();
            for span in &spans {
                assert_eq!(span.first, next);
                // As many pixels as ten images of 64 × 64.
                assert_eq!(span.count, [(48, 17), (64, 10), (96, 4)].iter().find(|it| it.0 == span.side).unwrap().1);
                next += span.count;
            }
            let mut sides: Vec<usize> = spans.iter().map(|span| span.side).collect();
            orders.insert(sides.clone());
            sides.sort_unstable();
            assert_eq!(sides, [48, 64, 96]);
        }
        assert!(orders.len() > 3, "{orders:?}");
        config.train.sides = vec![50];
        assert!(config.check().unwrap_err().to_string().contains("train.sides"));
    }
}
