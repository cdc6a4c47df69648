//! Random changes to training images.

use super::Photo;
use super::resize::{Crop, resize, square};
use crate::config::Augment;
use crate::random::Stream;

/// A random crop of the image as a square of `side` pixels, perhaps mirrored and with other colours; values around 0..1, the colours
/// one after the other (random resized crop: Szegedy et al., arXiv 1409.4842).
pub fn augment(photo: &Photo, side: usize, how: &Augment, stream: &mut Stream) -> Vec<f32> {
    let mut planes =
        if how.min_scale >= 1.0 { square(photo, side) } else { resize(photo, crop(photo, how, stream), side) };
    if stream.unit() < how.flip {
        planes.chunks_exact_mut(side).for_each(<[f32]>::reverse);
    }
    let mut factor = |strength: f32| 1.0 + stream.between(-strength, strength);
    colour(&mut planes, factor(how.brightness), factor(how.contrast), factor(how.saturation));
    planes
}

fn crop(photo: &Photo, how: &Augment, stream: &mut Stream) -> Crop {
    let (full_width, full_height) = (photo.width as f32, photo.height as f32);
    let area = full_width * full_height * stream.between(how.min_scale, 1.0);
    let spread = -how.min_aspect.clamp(0.1, 1.0).ln();
    let aspect = stream.between(-spread, spread).exp();
    let width = (area * aspect).sqrt().min(full_width);
    let height = (area / aspect).sqrt().min(full_height);
    Crop { left: stream.unit() * (full_width - width), top: stream.unit() * (full_height - height), width, height }
}

/// Brightness, contrast around the mean grey, saturation around each pixel's grey, in this order.
fn colour(planes: &mut [f32], brightness: f32, contrast: f32, saturation: f32) {
    let count = planes.len() / 3;
    let (red, rest) = planes.split_at_mut(count);
    let (green, blue) = rest.split_at_mut(count);
    let grey = |r: f32, g: f32, b: f32| 0.299 * r + 0.587 * g + 0.114 * b;
    let mean = (0..count).map(|i| grey(red[i], green[i], blue[i])).sum::<f32>() / count as f32 * brightness;
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let own = grey(*r, *g, *b) * brightness;
        let own = mean + (own - mean) * contrast;
        for value in [r, g, b] {
            let contrasted = mean + (*value * brightness - mean) * contrast;
            *value = (own + (contrasted - own) * saturation).clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Augment = Augment {
        min_scale: 1.0,
        min_aspect: 1.0,
        flip: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        mixup: 0.0,
        cutmix: 0.0,
        mixed: 1.0,
    };

    fn photo() -> Photo {
        Photo { width: 4, height: 4, pixels: (0..48).map(|i| i * 5).collect() }
    }

    #[test]
    fn no_augmentation_is_the_image() {
        let planes = augment(&photo(), 4, &NONE, &mut Stream::new(&[1]));
        assert!(planes.iter().zip(square(&photo(), 4)).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn a_mirrored_image_has_its_rows_reversed() {
        let mirrored = augment(&photo(), 4, &Augment { flip: 1.0, ..NONE }, &mut Stream::new(&[1]));
        let plain = square(&photo(), 4);
        assert!((0..4).all(|x| (mirrored[x] - plain[3 - x]).abs() < 1e-6));
    }

    #[test]
    fn no_saturation_is_grey() {
        let mut planes = square(&photo(), 4);
        colour(&mut planes, 1.0, 1.0, 0.0);
        assert!(
            (0..16).all(|i| (planes[i] - planes[16 + i]).abs() < 1e-6 && (planes[i] - planes[32 + i]).abs() < 1e-6)
        );
    }

    #[test]
    fn the_same_stream_gives_the_same_image_and_values_stay_in_range() {
        let how = Augment {
            min_scale: 0.3,
            min_aspect: 0.75,
            flip: 0.5,
            brightness: 0.9,
            contrast: 0.9,
            saturation: 0.9,
            ..NONE
        };
        for key in 0..200 {
            let planes = augment(&photo(), 5, &how, &mut Stream::new(&[key]));
            assert_eq!(planes, augment(&photo(), 5, &how, &mut Stream::new(&[key])));
            assert!(planes.len() == 75 && planes.iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }
}
