//! What preprocessing adds to decoding, for a JPEG of 4000×3000 pixels, one thread: `cargo bench -p edgelip --bench preprocessing`.
//!
//! Decoding alone, and decoding with resize, crop and normalisation as CLIP has them, take turns; a round lasts about half a second.

use std::time::{Duration, Instant};

use edgelip::decode::{self, Options};
use edgelip::preset::Preset;
use edgelip_kernels::Kernels;
use image::codecs::jpeg::JpegEncoder;

const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;
const ROUNDS: usize = 30;

/// Gradients under noise: a photo's share of edges, in a file of a photo's size.
fn photo() -> Vec<u8> {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 60) as u32
    };
    let pixels = image::RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let [x, y] = [x * 240 / WIDTH, y * 240 / HEIGHT];
        image::Rgb([x, y, (x + y) / 2].map(|value| (value + noise()) as u8))
    });
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode_image(&pixels).expect("pixels that can be encoded");
    file
}

fn main() {
    let file = photo();
    let kernels = Kernels::detect();
    let clip = Preset::Clip.preprocess([224, 224]);
    let mut scratch = vec![0.0; clip.scratch_len(HEIGHT as usize, WIDTH as usize).expect("a size within limits")];
    let (mut bytes, mut pixels) = (vec![0; 3 * 224 * 224], vec![0.0; 3 * 224 * 224]);
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let image = decode::from_bytes(&file, &Options::default()).expect("a JPEG");
        times[0].push(start.elapsed());
        drop(image);

        let start = Instant::now();
        let image = decode::from_bytes(&file, &Options::default()).expect("a JPEG");
        let decoded = Instant::now();
        clip.apply(&kernels, image.view(), &mut scratch, &mut bytes).expect("buffers of the right size");
        clip.normalize(&bytes, &mut pixels).expect("buffers of the right size");
        times[1].push(start.elapsed());
        times[2].push(decoded.elapsed());
    }
    println!("{WIDTH}×{HEIGHT} JPEG, {:.1} MB, {ROUNDS} rounds, ms        min  median", file.len() as f64 / 1e6);
    let [alone, whole, preprocessing] = times.each_mut().map(|times| {
        times.sort();
        [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1e3)
    });
    for (name, [min, median]) in
        [("decoding alone", alone), ("decoding and preprocessing", whole), ("of it preprocessing", preprocessing)]
    {
        println!("{name:<40} {min:>8.1} {median:>7.1}");
    }
    println!("{:<40} {:>8.3} {:>7.3}", "ratio", whole[0] / alone[0], whole[1] / alone[1]);
}
