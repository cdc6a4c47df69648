//! What the runtime promises of every text tower, on a BERT of integers: no allocation, the same bits, no panic.

use edgelip_kernels::Pool;
use edgelip_runtime::{Error, Kernels, Parallel, Single, Text};

const IDS: [u32; 7] = [2, 40, 41, 300, 500, 17, 3];

fn fixture() -> Vec<u8> {
    let path = format!("{}/../fixtures/tiny-bert.onnx", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn embed(text: &Text<'_>, ids: &[u32], parallel: &dyn Parallel, stale: f32) -> Result<Vec<f32>, Error> {
    let mut scratch = vec![stale; text.scratch_len(ids.len(), parallel.workers())?];
    let mut embedding = vec![0.0; text.embedding()];
    text.embed(ids, &mut scratch, parallel, &mut embedding)?;
    Ok(embedding)
}

#[test]
fn texts_are_embedded_without_allocating() {
    let bytes = fixture();
    let text = Text::open(&bytes, Kernels::detect()).unwrap();
    let pool = Pool::new(2);
    for parallel in [&Single as &dyn Parallel, &pool] {
        let mut scratch = vec![f32::NAN; text.scratch_len(IDS.len(), parallel.workers()).unwrap()];
        let mut embedding = vec![0.0; text.embedding()];
        let counted = allocation_counter::measure(|| {
            let text = Text::open(&bytes, Kernels::detect()).unwrap();
            text.embed(&IDS, &mut scratch, parallel, &mut embedding).unwrap();
        });
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
        assert!((embedding.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn threads_and_scratch_change_no_bit() {
    let bytes = fixture();
    for kernels in Kernels::available() {
        let text = Text::open(&bytes, kernels).unwrap();
        let expected = embed(&text, &IDS, &Single, 0.0).unwrap();
        for threads in 1..=3 {
            let found = embed(&text, &IDS, &Pool::new(threads), f32::NAN).unwrap();
            assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", kernels.name());
        }
    }
}

#[test]
fn every_token_counts() {
    let bytes = fixture();
    let text = Text::open(&bytes, Kernels::generic()).unwrap();
    let whole = embed(&text, &IDS, &Single, 0.0).unwrap();
    for place in 0..IDS.len() {
        let mut ids = IDS;
        ids[place] = 100;
        let cosine: f32 = embed(&text, &ids, &Single, 0.0).unwrap().iter().zip(&whole).map(|(a, b)| a * b).sum();
        assert!(cosine < 0.9999, "token {place}: {cosine}");
    }
    assert_eq!(embed(&text, &[], &Single, 0.0), Err(Error::Tokens));
    assert_eq!(embed(&text, &[2, 609, 3], &Single, 0.0), Err(Error::Tokens));
    assert_eq!(embed(&text, &[5; 33], &Single, 0.0), Err(Error::Tokens));
    assert!(embed(&text, &[5], &Single, 0.0).is_ok());
}

#[test]
fn damaged_files_are_errors_or_answers() {
    let whole = fixture();
    let use_it = |bytes: &[u8]| embed(&Text::open(bytes, Kernels::detect())?, &IDS, &Single, 0.0).map(drop);
    assert_eq!(use_it(&whole), Ok(()));
    for part in 0..64 {
        assert!(use_it(&whole[..whole.len() * part / 64]).is_err(), "{part}/64");
    }
    let mut state = 1u64;
    let mut damaged = whole.clone();
    for _ in 0..1000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Half of the flips hit the front of the file, where the structure is.
        let range = if state >> 63 == 0 { damaged.len() } else { 20_000 };
        let (at, bit) = ((state >> 20) as usize % range, state >> 17 & 7);
        damaged[at] ^= 1 << bit;
        let _ = use_it(&damaged);
        damaged[at] ^= 1 << bit;
    }
    assert!(damaged == whole);
}
