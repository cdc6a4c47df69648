//! Resize and crop against hashes of what transformers and Pillow make of the same generated images
//! (`fixtures/golden/resampling.json`), and the promises of the interface.

use edgelip_runtime::image::{Centre, Filter, Preprocess, Resize, Rgb};
use edgelip_runtime::{Error, Kernels};
use serde::Deserialize;

#[derive(Deserialize, Debug)]
struct Case {
    height: usize,
    width: usize,
    resize: Vec<usize>,
    crop: Option<[usize; 2]>,
    filter: String,
    output: [usize; 2],
    fnv1a: String,
}

/// The twin of `fixtures/odd_images.py`.
fn noise(height: usize, width: usize) -> Vec<u8> {
    (0..(height * width * 3) as u32)
        .map(|index| {
            let hashed = index.wrapping_mul(2_654_435_761);
            let hashed = (hashed ^ (hashed >> 15)).wrapping_mul(2_246_822_519);
            match index / 3 / 7 % 3 {
                0 => (hashed >> 24) as u8,
                1 => 0,
                _ => 255,
            }
        })
        .collect()
}

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    format!("{hash:016x}")
}

fn preprocess(resize: Resize, filter: Filter, crop: Option<[usize; 2]>) -> Preprocess {
    Preprocess { resize, filter, crop, centre: Centre::Floor, rescale: 1.0 / 255.0, mean: [0.0; 3], std: [1.0; 3] }
}

fn apply(kernels: &Kernels, preprocess: &Preprocess, height: usize, width: usize) -> Vec<u8> {
    let data = noise(height, width);
    let [rows, columns] = preprocess.output(height, width).unwrap();
    let mut out = vec![77; rows * columns * 3];
    let needed = preprocess.scratch_len(height, width).unwrap();
    let mut scratch = vec![f32::NAN; needed];
    let image = Rgb { data: &data, height, width };
    if needed > 0 {
        let short = preprocess.apply(kernels, image, &mut scratch[1..], &mut out);
        assert_eq!(short, Err(Error::Scratch { needed }));
    }
    preprocess.apply(kernels, image, &mut scratch, &mut out).unwrap();
    out
}

#[test]
fn equals_transformers_to_the_last_bit() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../fixtures/golden/resampling.json")).expect("the goldens are JSON");
    for case in cases {
        let resize = match case.resize[..] {
            [] => Resize::None,
            [short] => Resize::Shortest(short),
            [height, width, ..] => Resize::Exact(height, width),
        };
        let filter = if case.filter == "bilinear" { Filter::Bilinear } else { Filter::Bicubic };
        let preprocess = preprocess(resize, filter, case.crop);
        assert_eq!(preprocess.output(case.height, case.width), Ok(case.output), "{case:?}");
        for kernels in Kernels::available() {
            let out = apply(&kernels, &preprocess, case.height, case.width);
            assert_eq!(fnv1a(&out), case.fnv1a, "{case:?}, {}", kernels.name());
        }
    }
}

#[test]
fn thin_images_take_little_scratch_and_time() {
    let clip = preprocess(Resize::Shortest(224), Filter::Bicubic, Some([224, 224]));
    for (height, width) in [(30_000, 3), (3, 30_000), (1, 1_000_000), (1_000_000, 1)] {
        assert!(clip.scratch_len(height, width).unwrap() < 8192);
        apply(&Kernels::generic(), &clip, height, width);
    }
    assert!(clip.scratch_len(3000, 4000).unwrap() * 4 < 120_000);
}

#[test]
fn absurd_sizes_are_errors() {
    let clip = preprocess(Resize::Shortest(224), Filter::Bicubic, Some([224, 224]));
    assert_eq!(clip.output(0, 5), Err(Error::Image));
    assert_eq!(clip.output(1, usize::MAX), Err(Error::TooLarge));
    assert_eq!(clip.scratch_len(usize::MAX, usize::MAX), Err(Error::TooLarge));
    let whole = preprocess(Resize::Exact(usize::MAX, usize::MAX), Filter::Bilinear, None);
    assert_eq!(whole.scratch_len(5, 5), Err(Error::TooLarge));
    let nothing = preprocess(Resize::None, Filter::Bicubic, Some([0, 4]));
    assert_eq!(nothing.output(5, 5), Err(Error::Image));
    let kernels = Kernels::generic();
    for (data, height, width) in [(&[0; 11][..], 2, 2), (&[], 0, 0), (&[0; 12], usize::MAX, 2)] {
        assert_eq!(clip.apply(&kernels, Rgb { data, height, width }, &mut [], &mut []), Err(Error::Image));
    }
    let image = Rgb { data: &[0; 12], height: 2, width: 2 };
    assert!(matches!(clip.apply(&kernels, image, &mut [], &mut [0; 5]), Err(Error::Length { .. })));
}

#[test]
fn normalises_like_numpy() {
    let pixels: Vec<u8> = npy("pixels_u8.npy").to_vec();
    let expected: Vec<f32> =
        npy("pixel_values.npy").chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let clip = Preprocess {
        rescale: 0.003_921_568_627_450_98,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
        ..preprocess(Resize::None, Filter::Bicubic, None)
    };
    let size = 64 * 64 * 3;
    let mut values = vec![0.0; size];
    for (pixels, expected) in pixels.chunks_exact(size).zip(expected.chunks_exact(size)) {
        clip.normalize(pixels, &mut values).unwrap();
        assert!(values.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    assert!(clip.normalize(&pixels[..size], &mut values[1..]).is_err());
    assert_eq!(clip.normalize(&[], &mut []), Ok(()));
}

/// The payload of a `.npy` golden.
fn npy(name: &str) -> Vec<u8> {
    let bytes = std::fs::read(format!("{}/../fixtures/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].to_vec()
}
