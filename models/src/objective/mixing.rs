//! A batch mixed with itself backwards: mixup (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899).

use tch::Tensor;

use crate::config::{Augment, Config};
use crate::data::Batch;
use crate::random::Stream;

/// Part of the key of the draws.
const MIX: u64 = 6;

/// The images of a batch, of each of which another one may be a part.
#[derive(Debug)]
pub struct Mixed {
    /// Images `[B, 3, S, S]`: `share` of each is its own, the rest is of the image as far from the batch's other end.
    pub images: Tensor,
    share: f64,
}

impl Mixed {
    /// What the configuration and the batch's number draw: mixup, CutMix or neither.
    pub fn draw(config: &Config, batch: &Batch) -> Mixed {
        let Augment { mixup, cutmix, mixed, .. } = config.augment;
        let mut stream = Stream::new(&[config.seed, MIX, batch.number]);
        if mixup + cutmix <= 0.0 || (mixed < 1.0 && stream.unit() >= mixed) {
            return Mixed { images: batch.images.shallow_clone(), share: 1.0 };
        }
        let cut = cutmix > 0.0 && (mixup <= 0.0 || stream.unit() < 0.5);
        let share = stream.beta(if cut { cutmix } else { mixup });
        // The batch's order is random already: its reverse is a random other image for each.
        let others = batch.images.flip([0]);
        if !cut {
            let share = f64::from(share);
            return Mixed { images: &batch.images * share + others * (1.0 - share), share };
        }
        let side = batch.images.size()[3];
        let [top, height] = span(side, share, &mut stream);
        let [left, width] = span(side, share, &mut stream);
        let images = batch.images.copy();
        images
            .narrow(2, top, height)
            .narrow(3, left, width)
            .copy_(&others.narrow(2, top, height).narrow(3, left, width));
        Mixed { images, share: 1.0 - (height * width) as f64 / (side * side) as f64 }
    }

    /// What rows that belong to the images, `[B, …]`, become.
    pub fn targets(&self, rows: &Tensor) -> Tensor {
        match self.share {
            1.0 => rows.shallow_clone(),
            share => rows * share + rows.flip([0]) * (1.0 - share),
        }
    }
}

/// First pixel and number of pixels of a random span, `√(1 − share)` of the side where the border does not cut it.
fn span(side: i64, share: f32, stream: &mut Stream) -> [i64; 2] {
    let half = (side as f32 * (1.0 - share).max(0.0).sqrt() / 2.0).round() as i64;
    let middle = stream.below(side as usize) as i64;
    let (first, end) = ((middle - half).max(0), (middle + half).min(side));
    [first, (end - first).max(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Eight images, each of one colour, its place in the batch; mixed as `augment` says.
    fn drawn(number: u64, augment: &Augment) -> Mixed {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/clip.toml");
        let mut config = Config::read(std::path::Path::new(path)).unwrap();
        config.augment = augment.clone();
        let colours = Tensor::arange(8, (Kind::Float, Device::Cpu)).view([8, 1, 1, 1]);
        let images = colours.expand([8, 3, 16, 16], false).copy();
        Mixed::draw(
            &config,
            &Batch { number, images, items: vec![], groups: vec![], texts: vec![], text_groups: vec![] },
        )
    }

    #[test]
    fn targets_are_the_shares_of_the_pixels() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/clip.toml");
        let plain = Config::read(std::path::Path::new(path)).unwrap().augment;
        let both = Augment { mixup: 0.4, cutmix: 1.0, mixed: 0.8, ..plain };
        let targets = Tensor::eye(8, (Kind::Float, Device::Cpu));
        let (mut whole, mut patched) = (0, 0);
        for number in 0..200 {
            let mixed = drawn(number, &both);
            let targets = mixed.targets(&targets);
            for image in 0..8 {
                let colour = mixed.images.get(image).mean(Kind::Double).double_value(&[]);
                let (own, other) = (targets.double_value(&[image, image]), targets.double_value(&[image, 7 - image]));
                assert!((own + other - 1.0).abs() < 1e-6);
                assert!((own * image as f64 + other * (7 - image) as f64 - colour).abs() < 1e-5, "{number} {image}");
            }
            let colours = Vec::<f32>::try_from(mixed.images.get(0).get(0).view([-1])).unwrap();
            whole += usize::from(colours.iter().all(|&x| x == 0.0));
            patched += usize::from(colours.contains(&0.0) && colours.contains(&7.0));
        }
        assert!((20..70).contains(&whole) && (50..110).contains(&patched), "{whole} {patched}");
    }
}
