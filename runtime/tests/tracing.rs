//! Which patches ended in which token, against what onnxruntime chose in the files' graphs (`fixtures/merged_patches.py`).

mod tower;

use edgelip_kernels::Pool;
use edgelip_runtime::{Error, Kernels, Parallel, Single, Vision};
use serde::Deserialize;
use tower::{Shape, Tower, WHOLE, aligned, pixels};

#[derive(Deserialize)]
struct Golden {
    model: String,
    pixels: String,
    tokens: Vec<Vec<u16>>,
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The embedding's bits and the tokens, held against the embedding without tracing.
fn trace(vision: &Vision<'_>, pixels: &[u8], parallel: &dyn Parallel) -> Vec<u16> {
    let mut scratch = vec![f32::NAN; vision.scratch_len(parallel.workers()).unwrap()];
    let (mut plain, mut traced) = (vec![0.0; vision.shape().embedding], vec![0.0; vision.shape().embedding]);
    let mut tokens = vec![u16::MAX; vision.shape().grid().iter().product()];
    vision.embed(pixels, &mut scratch, parallel, &mut plain).unwrap();
    let counted = allocation_counter::measure(|| {
        vision.embed_traced(pixels, &mut scratch, parallel, &mut traced, &mut tokens).unwrap();
    });
    assert_eq!(counted.count_total, 0);
    assert!(plain.iter().map(|value| value.to_bits()).eq(traced.iter().map(|value| value.to_bits())));
    tokens
}

#[test]
fn patches_are_where_another_engine_merged_them_to() {
    let goldens: Vec<Golden> = serde_json::from_slice(&fixture("golden/merged_patches.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let bytes = fixture(&golden.model);
        let all_pixels = fixture(&golden.pixels);
        for kernels in Kernels::available() {
            aligned(&bytes, |bytes| {
                let vision = Vision::open(bytes, kernels).unwrap();
                let length = vision.shape().image.iter().product::<usize>() * 3;
                let first = all_pixels.len() - golden.tokens.len() * length;
                for (pixels, tokens) in all_pixels[first..].chunks(length).zip(&golden.tokens) {
                    assert_eq!(&trace(&vision, pixels, &Single), tokens, "{} {}", golden.model, kernels.name());
                }
            });
        }
    }
}

#[test]
fn every_token_has_patches_whatever_the_tower() {
    let tome = Shape { merge: "tome", ..WHOLE };
    let early = Shape { frequency_blocks: 0, joint: false, guide: None, ..WHOLE };
    let classless = Shape { pooling: "mean", schedule: &[17, 9, 4, 0], ..early.clone() };
    let classless_tome = Shape { merge: "tome", ..classless.clone() };
    for shape in [WHOLE, tome, early, classless, classless_tome] {
        aligned(&Tower::new(&shape).bytes(), |bytes| {
            let vision = Vision::open(bytes, Kernels::detect()).unwrap();
            let tokens = trace(&vision, &pixels(shape.image), &Single);
            assert_eq!(trace(&vision, &pixels(shape.image), &Pool::new(3)), tokens);
            let merged: usize = shape.schedule.iter().sum();
            let count = tokens.len() - merged;
            assert!(merged > 0 && (0..count as u16).all(|token| tokens.contains(&token)));
            assert!(tokens.iter().all(|&token| usize::from(token) < count));
        });
    }
}

#[test]
fn without_merging_each_patch_is_a_token() {
    let shape = Shape { merge: "none", schedule: &[0; 4], guide: None, ..WHOLE };
    aligned(&Tower::new(&shape).bytes(), |bytes| {
        let vision = Vision::open(bytes, Kernels::detect()).unwrap();
        let tokens = trace(&vision, &pixels(shape.image), &Single);
        assert!(tokens.iter().copied().eq(0..tokens.len() as u16));

        let mut scratch = vec![0.0; vision.scratch_len(1).unwrap()];
        let (mut embedding, mut short) = (vec![0.0; vision.shape().embedding], vec![0; tokens.len() - 1]);
        let found = vision.embed_traced(&pixels(shape.image), &mut scratch, &Single, &mut embedding, &mut short);
        assert_eq!(found, Err(Error::Length { what: "tokens of patches", expected: tokens.len() }));
    });
}
