//! Decoding against what Pillow and transformers read (`fixtures/golden`), and files that are no photos.

use std::path::{Path, PathBuf};

use edgelip::decode::{Alpha, Options, RgbImage, from_bytes, rgb8, rgb8_with};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    png: String,
    size: [usize; 2],
    white: String,
    drop: String,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn photo(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("photos").join(name)).unwrap()
}

fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    from_bytes(bytes, &Options::default())
}

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    format!("{hash:016x}")
}

#[test]
fn png_equals_pillow_to_the_last_bit() {
    let text = std::fs::read_to_string(fixtures().join("golden/decoding.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 80);
    for case in cases {
        let digits = case.png.as_bytes().chunks_exact(2);
        let png: Vec<u8> =
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        for (alpha, expected) in [(Alpha::White, &case.white), (Alpha::Drop, &case.drop)] {
            let image = from_bytes(&png, &Options { alpha, ..Options::default() }).unwrap();
            assert_eq!([image.height, image.width], case.size, "{}", case.name);
            assert_eq!(&fnv1a(&image.data), expected, "{}, {alpha:?}", case.name);
        }
    }
}

/// A JPEG with this EXIF orientation.
fn turned(orientation: u8) -> Vec<u8> {
    let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let jpeg = photo("coffee.jpg");
    [&jpeg[..2], &exif[..], &jpeg[2..]].concat()
}

#[test]
fn exif_orientation_is_reported_and_applied_on_request() {
    let plain = decode(&photo("coffee.jpg")).unwrap();
    assert!(!plain.is_turned);
    assert!(!decode(&turned(1)).unwrap().is_turned);
    let stored = decode(&turned(6)).unwrap();
    assert!(stored.is_turned);
    assert_eq!(stored.data, plain.data);

    let rotate = Options { rotate: true, ..Options::default() };
    let shown = from_bytes(&turned(6), &rotate).unwrap();
    assert!(!shown.is_turned);
    assert_eq!((shown.height, shown.width), (plain.width, plain.height));
    let pixel = |image: &RgbImage, y: usize, x: usize| image.data[(y * image.width + x) * 3..][..3].to_vec();
    // A quarter turn clockwise: the lower left corner comes to the upper left.
    assert_eq!(pixel(&shown, 0, 0), pixel(&plain, plain.height - 1, 0));
}

#[test]
fn files_that_are_no_photos_are_one_line_errors() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |name: &str, bytes: &[u8], reason: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = rgb8(&path).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(reason) && !error.contains('\n'), "{error}");
    };
    let (cat, coffee, rocket) = (photo("cat.png"), photo("coffee.jpg"), photo("rocket.webp"));
    refuse("empty.png", b"", "empty");
    refuse("text.jpg", b"not a photo at all", "not an image");
    refuse("photo.gif", b"GIF89a\x01\0\x01\0\0\0\0", "GIF");
    for share in 1..16 {
        refuse("cut.png", &cat[..cat.len() * share / 16], "");
        refuse("cut.jpg", &coffee[..coffee.len() * share / 16], "");
        refuse("cut.webp", &rocket[..rocket.len() * share / 16], "");
    }
    let mut bomb = cat.clone();
    bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    refuse("bomb.png", &bomb, "");
    assert!(rgb8(folder.path()).unwrap_err().to_string().contains("directory"));
    assert!(rgb8(&folder.path().join("absent.png")).unwrap_err().to_string().contains("absent.png"));
}

#[test]
fn the_pixel_limit_comes_before_decoding() {
    let limit = Options { max_pixels: 311 * 207 - 1, ..Options::default() };
    assert!(from_bytes(&photo("cat.png"), &limit).unwrap_err().contains("311×207"));
    let enough = Options { max_pixels: 311 * 207, ..Options::default() };
    assert!(from_bytes(&photo("cat.png"), &enough).is_ok());
    assert!(from_bytes(&photo("coffee.jpg"), &limit).is_err());
    assert!(from_bytes(&photo("rocket.webp"), &limit).is_err());
}

#[test]
fn the_name_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat.jpg");
    std::fs::write(&path, photo("cat.png")).unwrap();
    let image = rgb8_with(&path, &Options::default()).unwrap();
    assert_eq!((image.height, image.width), (207, 311));
}

#[test]
fn flipped_bytes_never_panic() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for name in ["cat.png", "coffee.jpg", "rocket.webp"] {
        let whole = photo(name);
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(3) {
                let at = if random(2) == 0 { random(200) } else { random(bytes.len()) };
                bytes[at] = random(256) as u8;
            }
            let _ = decode(&bytes);
        }
    }
}
