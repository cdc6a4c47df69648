//! Resizing a part of an image with a triangle filter that widens when it shrinks (as Pillow's and torchvision's antialiased bilinear).

use super::Photo;

/// A rectangle of an image, in pixels with fractions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crop {
    pub left: f32,
    pub top: f32,
    pub width: f32,
    pub height: f32,
}

/// The whole image as a square of `side` pixels, values 0..1, the colours one after the other: the shorter side fitted, the middle kept.
pub fn square(photo: &Photo, side: usize) -> Vec<f32> {
    let shorter = photo.width.min(photo.height) as f32;
    let (left, top) = ((photo.width as f32 - shorter) / 2.0, (photo.height as f32 - shorter) / 2.0);
    resize(photo, Crop { left, top, width: shorter, height: shorter }, side)
}

/// A part of the image as a square of `side` pixels, values 0..1, the colours one after the other.
pub(super) fn resize(photo: &Photo, crop: Crop, side: usize) -> Vec<f32> {
    let columns = taps(crop.left, crop.width, photo.width, side);
    let rows = taps(crop.top, crop.height, photo.height, side);
    let (first, last) = (rows[0].first, rows.iter().map(|tap| tap.first + tap.weights.len()).max().unwrap_or(0));
    let mut narrow = vec![0f32; (last - first) * side * 3];
    for (y, line) in (first..last).zip(narrow.chunks_exact_mut(side * 3)) {
        let source = &photo.pixels[y * photo.width * 3..][..photo.width * 3];
        for (tap, out) in columns.iter().zip(line.chunks_exact_mut(3)) {
            for (weight, pixel) in tap.weights.iter().zip(source[tap.first * 3..].chunks_exact(3)) {
                out.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += weight * f32::from(value));
            }
        }
    }
    let mut planes = vec![0f32; 3 * side * side];
    for (y, tap) in rows.iter().enumerate() {
        for (k, weight) in tap.weights.iter().enumerate() {
            let line = &narrow[(tap.first - first + k) * side * 3..][..side * 3];
            for (x, pixel) in line.chunks_exact(3).enumerate() {
                for (colour, value) in pixel.iter().enumerate() {
                    planes[(colour * side + y) * side + x] += weight * value / 255.0;
                }
            }
        }
    }
    planes
}

/// Which source pixels make one output pixel.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

fn taps(start: f32, length: f32, size: usize, side: usize) -> Vec<Tap> {
    let scale = length / side as f32;
    let reach = scale.max(1.0);
    (0..side)
        .map(|i| {
            let center = start + (i as f32 + 0.5) * scale;
            let first = ((center - reach).floor().max(0.0) as usize).min(size - 1);
            let end = ((center + reach).ceil().max(0.0) as usize).clamp(first + 1, size);
            let mut weights: Vec<f32> =
                (first..end).map(|x| (1.0 - ((x as f32 + 0.5 - center) / reach).abs()).max(0.0)).collect();
            let sum: f32 = weights.iter().sum();
            if sum > 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= sum)
            } else {
                weights.fill(1.0 / (end - first) as f32)
            }
            Tap { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: usize, height: usize) -> Photo {
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 7])).collect();
        Photo { width, height, pixels }
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let photo = gradient(8, 8);
        let planes = square(&photo, 8);
        for (i, pixel) in photo.pixels.chunks_exact(3).enumerate() {
            for colour in 0..3 {
                assert!((planes[colour * 64 + i] * 255.0 - f32::from(pixel[colour])).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn shrinking_averages_and_crops_the_middle() {
        // 16 × 8 keeps columns 4..12; halved, the inner outputs are means of their surroundings.
        let planes = square(&gradient(16, 8), 4);
        for (x, wanted) in [(1, 6.5), (2, 8.5)] {
            assert!((planes[4 + x] * 255.0 - wanted).abs() < 1e-3, "{}", planes[4 + x] * 255.0);
        }
        assert!((planes[32] * 255.0 - 7.0).abs() < 1e-3);
    }
}
