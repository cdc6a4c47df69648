//! What the runtime promises of every model file, on the shipped fixture: no allocation, the same bits, no panic.

use edgelip_kernels::Pool;
use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Error, Kernels, Parallel, Single, Text, Vision, classify};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A smooth image of colours with some texture.
fn image(height: usize, width: usize) -> Vec<u8> {
    (0..height * width * 3)
        .map(|i| ((i / 3 % width * 255 / width) ^ (i / 3 / width * 7) ^ (i % 3 * 85)) as u8)
        .collect()
}

const IDS: [u32; 6] = [2112, 300, 301, 302, 303, 2113];

#[test]
fn nothing_is_allocated_between_open_and_scores() {
    let (bytes, photo) = (fixture("tiny-clip.onnx"), image(90, 120));
    let photo = Rgb { data: &photo, height: 90, width: 120 };
    let pool = Pool::new(2);
    for parallel in [&Single as &dyn Parallel, &pool] {
        let vision = Vision::open(&bytes, Kernels::detect()).unwrap();
        let labels = vision.labels().unwrap();
        let resize = vision.preprocess().scratch_len(90, 120).unwrap();
        let mut scratch = vec![0.0; vision.scratch_len(parallel.workers()).unwrap().max(resize)];
        let [height, width] = vision.shape().image;
        let mut pixels = vec![0; height * width * 3];
        let mut embedding = vec![0.0; vision.shape().embedding];
        let (mut scores, mut top) = (vec![0.0; labels.len()], [0; 3]);
        let counted = allocation_counter::measure(|| {
            let vision = Vision::open(&bytes, Kernels::detect()).unwrap();
            vision.preprocess().apply(vision.kernels(), photo, &mut scratch, &mut pixels).unwrap();
            vision.embed(&pixels, &mut scratch, parallel, &mut embedding).unwrap();
            let (scale, bias) = (vision.logit_scale(), vision.logit_bias());
            classify::logits(vision.kernels(), &embedding, &labels, scale, bias, &mut scores).unwrap();
            classify::softmax(&mut scores);
            assert_eq!(classify::top_k(&scores, &mut top), 3);
            assert!(labels.name(top[0]).is_some());
        });
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn texts_are_embedded_without_allocating() {
    let bytes = fixture("tiny-clip-text.onnx");
    let text = Text::open(&bytes, Kernels::detect()).unwrap();
    let mut scratch = vec![f32::NAN; text.scratch_len(IDS.len(), 1).unwrap()];
    let mut embedding = vec![0.0; text.embedding()];
    let counted = allocation_counter::measure(|| text.embed(&IDS, &mut scratch, &Single, &mut embedding).unwrap());
    assert_eq!(counted.count_total, 0);
    assert!((embedding.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn threads_scratch_and_repetition_change_no_bit() {
    let (bytes, tower) = (fixture("tiny-clip.onnx"), fixture("tiny-clip-text.onnx"));
    let pixels = image(64, 64);
    for kernels in Kernels::available() {
        let vision = Vision::open(&bytes, kernels).unwrap();
        let text = Text::open(&tower, kernels).unwrap();
        let run = |parallel: &dyn Parallel, stale: f32, shift: usize| {
            let mut scratch = vec![stale; vision.scratch_len(parallel.workers()).unwrap() + shift];
            let mut out = vec![0.0; 2 * vision.shape().embedding];
            let (of_image, of_text) = out.split_at_mut(vision.shape().embedding);
            vision.embed(&pixels, &mut scratch[shift..], parallel, of_image).unwrap();
            scratch.resize(text.scratch_len(IDS.len(), parallel.workers()).unwrap() + shift, stale);
            text.embed(&IDS, &mut scratch[shift..], parallel, of_text).unwrap();
            out.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let expected = run(&Single, 0.0, 0);
        assert_eq!(run(&Single, f32::NAN, 3), expected, "{}", kernels.name());
        for threads in 1..=4 {
            assert_eq!(run(&Pool::new(threads), 1e30, threads), expected, "{} {threads}", kernels.name());
        }
    }
}

#[test]
fn instruction_sets_agree() {
    let bytes = fixture("tiny-clip.onnx");
    let embed = |kernels| {
        let vision = Vision::open(&bytes, kernels).unwrap();
        let mut scratch = vec![0.0; vision.scratch_len(1).unwrap()];
        let mut out = vec![0.0; vision.shape().embedding];
        vision.embed(&image(64, 64), &mut scratch, &Single, &mut out).unwrap();
        out
    };
    let expected = embed(Kernels::generic());
    for kernels in Kernels::available() {
        let cosine: f32 = embed(kernels).iter().zip(&expected).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.99999, "{}: {cosine}", kernels.name());
    }
}

#[test]
fn wrong_lengths_and_tokens_are_errors() {
    let (bytes, tower) = (fixture("tiny-clip.onnx"), fixture("tiny-clip-text.onnx"));
    let vision = Vision::open(&bytes, Kernels::generic()).unwrap();
    let needed = vision.scratch_len(1).unwrap();
    let (pixels, mut out) = (image(64, 64), vec![0.0; vision.shape().embedding]);
    let mut scratch = vec![0.0; needed];
    let short = vision.embed(&pixels, &mut scratch[1..], &Single, &mut out);
    assert_eq!(short, Err(Error::Scratch { needed }));
    assert!(matches!(vision.embed(&pixels[1..], &mut scratch, &Single, &mut out), Err(Error::Length { .. })));
    assert!(matches!(vision.embed(&pixels, &mut scratch, &Single, &mut out[1..]), Err(Error::Length { .. })));
    assert_eq!(Vision::open(&tower, Kernels::generic()).err(), Some(Error::WrongTower { expected: "vision" }));

    let text = Text::open(&tower, Kernels::generic()).unwrap();
    let mut scratch = vec![0.0; text.scratch_len(text.context(), 1).unwrap()];
    let mut embed = |ids: &[u32]| text.embed(ids, &mut scratch, &Single, &mut out);
    assert_eq!(embed(&[]), Err(Error::Tokens));
    assert_eq!(embed(&[2112, 1 << 20, 2113]), Err(Error::Tokens));
    assert_eq!(embed(&[300; 78]), Err(Error::Tokens));
    assert_eq!(embed(&[2112, 300]), Err(Error::NoEndToken));
    assert_eq!(embed(&[2113]), Ok(()));
}

#[test]
fn damaged_files_are_errors_or_answers() {
    let whole = fixture("tiny-clip.onnx");
    let use_it = |bytes: &[u8]| {
        let vision = Vision::open(bytes, Kernels::detect())?;
        let mut scratch = vec![0.0; vision.scratch_len(1)?];
        let mut out = vec![0.0; vision.shape().embedding];
        let [height, width] = vision.shape().image;
        vision.embed(&image(height, width), &mut scratch, &Single, &mut out)
    };
    assert_eq!(use_it(&whole), Ok(()));
    for part in 0..64 {
        assert!(use_it(&whole[..whole.len() * part / 64]).is_err(), "{part}/64");
    }
    let mut state = 1u64;
    let mut damaged = whole.clone();
    for _ in 0..400 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Half of the flips hit the front of the file, where the structure is.
        let range = if state >> 63 == 0 { damaged.len() } else { 40_000 };
        let (at, bit) = ((state >> 20) as usize % range, state >> 17 & 7);
        damaged[at] ^= 1 << bit;
        let _ = use_it(&damaged);
        damaged[at] ^= 1 << bit;
    }
    assert!(damaged == whole);
}
