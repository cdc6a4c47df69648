//! Towers that read more than their class token, or none: what they pool, on random towers held against plain loops in double precision.

mod tower;

use edgelip_kernels::Pool;
use edgelip_runtime::{Error, Kernels, Parallel, Problem, Single, Vision};
use tower::{Shape, Tower, WHOLE, aligned, pixels, reference};

/// Neither stem nor frequency stage.
const PLAIN: Shape =
    Shape { stem: &[], frequency_blocks: 0, joint: false, guide: None, merge: "none", schedule: &[0; 4], ..WHOLE };

const POOLINGS: [&str; 4] = ["mean", "normed_mean", "attention", "pooler"];

fn embed(tower: &Tower, kernels: Kernels, parallel: &dyn Parallel) -> Vec<f32> {
    aligned(&tower.bytes(), |bytes| {
        let vision = Vision::open(bytes, kernels).unwrap();
        let mut scratch = vec![f32::NAN; vision.scratch_len(parallel.workers()).unwrap()];
        let mut embedding = vec![f32::NAN; vision.shape().embedding];
        vision.embed(&pixels(vision.shape().image), &mut scratch, parallel, &mut embedding).unwrap();
        embedding
    })
}

fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 2e-5 * expected.abs().max(1.0), "{what}: {found} {expected}");
    }
}

#[test]
fn embeddings_are_those_of_plain_loops() {
    for pooling in POOLINGS {
        for (pre_norm, projected, unit) in [(false, true, true), (true, false, true), (false, true, false)] {
            let embedding = if projected { 20 } else { PLAIN.width };
            let tower = Tower::new(&Shape { pooling, pre_norm, projected, unit, embedding, ..PLAIN });
            let expected = reference::embed(&tower, &pixels(PLAIN.image));
            for kernels in Kernels::available() {
                assert_near(&embed(&tower, kernels, &Single), &expected, pooling);
            }
        }
    }
}

#[test]
fn a_stem_works_without_a_class_token() {
    let tower = Tower::new(&Shape { pooling: "mean", stem: WHOLE.stem, ..PLAIN });
    let expected = reference::embed(&tower, &pixels(PLAIN.image));
    assert_near(&embed(&tower, Kernels::detect(), &Single), &expected, "stem");
}

#[test]
fn merging_keeps_what_all_patches_have_in_common_and_threads_change_no_bit() {
    for pooling in POOLINGS {
        for merge in ["ward", "tome"] {
            for precision in ["f32", "i8"] {
                let shape = Shape { pooling, merge, precision, schedule: &[17, 9, 4, 0], ..PLAIN };
                let mut tower = Tower::new(&shape);
                let single = embed(&tower, Kernels::detect(), &Single);
                assert!((single.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5, "{pooling} {merge}");
                let threaded = embed(&tower, Kernels::detect(), &Pool::new(3));
                assert!(single.iter().zip(&threaded).all(|(a, b)| a.to_bits() == b.to_bits()));
                let mut guided = Tower::new(&shape);
                guided.set("guide", "2").set("guide_semantic", "0.5");
                let [single, threaded] =
                    [&Single as &dyn Parallel, &Pool::new(3)].map(|by| embed(&guided, Kernels::detect(), by));
                assert!(single.iter().zip(&threaded).all(|(a, b)| a.to_bits() == b.to_bits()));
                // Equal patches merge into what they are, however many: sizes weigh where counts would not.
                if precision == "f32" {
                    tower.zero("vision.position").zero("vision.patch.weight");
                    let merged = embed(&tower, Kernels::generic(), &Single);
                    let mut unmerged = Tower::new(&Shape { schedule: &[0; 4], ..shape });
                    unmerged.zero("vision.position").zero("vision.patch.weight");
                    let unmerged = embed(&unmerged, Kernels::generic(), &Single);
                    assert!(merged.iter().zip(&unmerged).all(|(a, b)| (a - b).abs() < 1e-4), "{pooling} {merge}");
                }
            }
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refusal = |shape: Shape, change: &dyn Fn(&mut Tower)| {
        let mut tower = Tower::new(&shape);
        change(&mut tower);
        aligned(&tower.bytes(), |bytes| Vision::open(bytes, Kernels::generic()).map(drop).unwrap_err())
    };
    let invalid = |key| Error::Metadata { key, problem: Problem::Invalid };
    let mean = Shape { pooling: "mean", ..PLAIN };
    assert_eq!(refusal(Shape { pooling: "max", ..PLAIN }, &|_| ()), invalid("edgelip.pooling"));
    assert_eq!(refusal(Shape { frequency_blocks: 2, ..mean.clone() }, &|_| ()), invalid("edgelip.pooling"));
    assert_eq!(refusal(mean.clone(), &|tower| _ = tower.set("projection", "false")), invalid("edgelip.embedding"));
    assert_eq!(refusal(mean.clone(), &|tower| _ = tower.set("unit", "no")), invalid("edgelip.unit"));
    let missing = |name| Error::Tensor { name, block: None, problem: Problem::Missing };
    assert_eq!(refusal(mean.clone(), &|tower| _ = tower.set("pooling", "attention")), missing("vision.pool.query"));
    assert_eq!(refusal(mean, &|tower| _ = tower.set("pooling", "class")), missing("vision.class"));
    let plain = Shape { pre_norm: false, ..PLAIN };
    assert_eq!(refusal(plain, &|tower| _ = tower.set("pre_norm", "true")), missing("vision.pre_norm.weight"));
}
