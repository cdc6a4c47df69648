//! Towers with a convolutional stem, a frequency stage, a guide and the joint readout: the arithmetic, the runtime's promises, and what
//! is refused.

mod tower;

use edgelip_kernels::Pool;
use edgelip_runtime::plan::Convolution;
use edgelip_runtime::{Error, Kernels, Parallel, Problem, Readout, Single, Vision};
use tower::{Shape, Tower, WHOLE, aligned, pixels, reference, snake};

const UNMERGED: Shape = Shape { merge: "none", schedule: &[0; 4], guide: None, ..WHOLE };

/// One of each kind of tower, in each precision.
fn towers() -> Vec<Shape> {
    let tome = Shape { merge: "tome", ..WHOLE };
    let patches = Shape { stem: &[], frequency_blocks: 1, joint: false, ..WHOLE };
    let guided_only = Shape { stem: &[], frequency_blocks: 0, joint: false, ..WHOLE };
    let stem_only = Shape { frequency_blocks: 0, joint: false, guide: None, ..WHOLE };
    let shallow = Shape { image: [10, 6], patch: 2, stem: &[24], schedule: &[3, 2, 1, 0], ..tome };
    let even = Shape { stem: &[10, 24], windows: &[[4, 4, 1], [2, 2, 0]], ..stem_only.clone() };
    let kinds = [WHOLE, tome, patches, guided_only, stem_only, shallow, even, UNMERGED];
    kinds.iter().flat_map(|kind| ["f32", "f16", "i8"].map(|precision| Shape { precision, ..kind.clone() })).collect()
}

fn embed(bytes: &[u8], kernels: Kernels, parallel: &dyn Parallel, stale: f32, shift: usize) -> Result<Vec<f32>, Error> {
    let vision = Vision::open(bytes, kernels)?;
    let mut scratch = vec![stale; vision.scratch_len(parallel.workers())? + shift];
    let mut out = vec![0.0; vision.shape().embedding];
    vision.embed(&pixels(vision.shape().image), &mut scratch[shift..], parallel, &mut out)?;
    Ok(out)
}

fn plain(tower: &Tower) -> Result<Vec<f32>, Error> {
    aligned(&tower.bytes(), |bytes| embed(bytes, Kernels::detect(), &Single, f32::NAN, 0))
}

fn bits(values: Vec<f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn the_tower_is_what_the_documentation_says() {
    let spatial = Shape { joint: false, ..UNMERGED };
    let patches = Shape { stem: &[], image: [24, 40], ..UNMERGED };
    let bare = Shape { frequency_blocks: 0, ..spatial };
    for shape in [UNMERGED, spatial, patches, bare] {
        let tower = Tower::new(&shape);
        let wanted = reference::embed(&tower, &pixels(shape.image));
        for kernels in Kernels::available() {
            let found = aligned(&tower.bytes(), |bytes| embed(bytes, kernels, &Single, 0.0, 0)).unwrap();
            let furthest = found.iter().zip(&wanted).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
            assert!(furthest < 2e-5, "{}: {furthest}", kernels.name());
        }
    }
}

#[test]
fn nothing_is_allocated() {
    let pool = Pool::new(2);
    for shape in towers() {
        aligned(&Tower::new(&shape).bytes(), |bytes| {
            for parallel in [&Single as &dyn Parallel, &pool] {
                let vision = Vision::open(bytes, Kernels::detect()).unwrap();
                let mut scratch = vec![0.0; vision.scratch_len(parallel.workers()).unwrap()];
                let (pixels, mut out) = (pixels(shape.image), vec![0.0; shape.embedding]);
                let counted = allocation_counter::measure(|| {
                    let vision = Vision::open(bytes, Kernels::detect()).unwrap();
                    vision.embed(&pixels, &mut scratch, parallel, &mut out).unwrap();
                });
                assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
                assert!((out.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
            }
        });
    }
}

#[test]
fn threads_and_stale_scratch_change_no_bit() {
    for shape in towers() {
        aligned(&Tower::new(&shape).bytes(), |bytes| {
            for kernels in Kernels::available() {
                let run = |parallel: &dyn Parallel, stale, shift| {
                    bits(embed(bytes, kernels, parallel, stale, shift).unwrap())
                };
                let expected = run(&Single, 0.0, 0);
                assert_eq!(run(&Single, f32::NAN, 3), expected, "{}", kernels.name());
                for threads in 1..=4 {
                    assert_eq!(run(&Pool::new(threads), 1e30, threads), expected, "{} {threads}", kernels.name());
                }
            }
        });
    }
}

#[test]
fn a_frequency_stage_that_changes_nothing_changes_no_bit() {
    // Patches are then put in order late instead of early.
    let without = Shape { frequency_blocks: 0, joint: false, guide: None, ..WHOLE };
    let expected = bits(plain(&Tower::new(&without)).unwrap());
    let mut with = Tower::new(&without);
    let filtered = Tower::new(&Shape { joint: false, guide: None, ..WHOLE });
    with.tensors.extend(filtered.tensors.iter().filter(|tensor| tensor.0.contains("frequency")).cloned());
    with.set("frequency_blocks", "2");
    let [rows, columns] = without.grid();
    let position = with.tensors.iter_mut().find(|tensor| tensor.0 == "vision.position").unwrap();
    let (in_file, row) = (position.3.clone(), position.3.len() / (rows * columns));
    for i in 0..rows * columns {
        position.3[snake(i, columns) * row..][..row].copy_from_slice(&in_file[i * row..][..row]);
    }
    assert_ne!(bits(plain(&with).unwrap()), expected);
    for index in 0..2 {
        for part in ["filter", "bias", "fc2.weight", "fc2.bias"] {
            with.zero(&format!("vision.frequency.{index}.{part}"));
        }
    }
    assert_eq!(bits(plain(&with).unwrap()), expected);
}

#[test]
fn a_guide_matters_as_much_as_it_is_strong() {
    let mut tower = Tower::new(&WHOLE);
    let mut run = |strength: &str, semantic: &str| {
        bits(plain(tower.set("guide", strength).set("guide_semantic", semantic)).unwrap())
    };
    let (weak, by_meaning, by_energy) = (run("1e-30", "0.5"), run("8", "1"), run("8", "0"));
    assert!(by_meaning != weak && by_energy != weak && by_meaning != by_energy);
    // At a strength of zero the guide's part of the metadata need not make sense.
    assert_eq!(run("0", "?"), weak);
}

#[test]
fn what_the_file_says_is_told() {
    aligned(&Tower::new(&WHOLE).bytes(), |bytes| {
        let vision = Vision::open(bytes, Kernels::generic()).unwrap();
        let guide = vision.guide().unwrap();
        assert_eq!((guide.strength, guide.semantic, vision.readout()), (0.4, 0.3, Readout::Joint));
        assert!(
            vision.shape().stem.convolutions().eq([7, 20, 24].map(Convolution::halving))
                && vision.shape().frequency_blocks == 2
        );
        assert!(vision.plan().guided() && vision.plan().frequency_macs() > 0);
    });
    aligned(&Tower::new(&Shape { frequency_blocks: 0, joint: false, ..UNMERGED }).bytes(), |bytes| {
        let vision = Vision::open(bytes, Kernels::generic()).unwrap();
        assert_eq!((vision.guide().is_none(), vision.readout()), (true, Readout::Spatial));
    });
}

#[test]
fn every_tensor_is_needed_by_name() {
    let tower = Tower::new(&WHOLE);
    for left_out in 0..tower.tensors.len() {
        let mut damaged = tower.clone();
        let (name, ..) = damaged.tensors.remove(left_out);
        match plain(&damaged) {
            Err(Error::Tensor { name: missing, block, problem: Problem::Missing }) => {
                let block = block.map_or(String::new(), |block| format!(".{block}."));
                let last = missing.strip_prefix("frequency.").unwrap_or(missing);
                assert!(name.ends_with(last) && name.contains(&block), "{name}: {missing} {block:?}");
                assert_eq!(missing.contains("frequency"), name.contains("frequency"), "{name}");
            }
            other => panic!("without {name}: {other:?}"),
        }
    }
}

#[test]
fn contradictions_are_refused_by_key() {
    let refused = |key: &'static str, value: &str| {
        let found = plain(Tower::new(&WHOLE).set(key, value)).unwrap_err();
        let full = format!("edgelip.{key}");
        assert!(
            matches!(found, Error::Metadata { key, problem: Problem::Invalid } if key == full),
            "{key} = {value}: {found:?}"
        );
    };
    for widths in
        ["", ",", "7,20", "20,24", "7,20,24,24", "7,20,25", "0,20,24", "7,-1,24", "1,1,1,1,1,24", "7;20;24", "7,20,1e1"]
    {
        refused("stem", widths);
    }
    for (key, wrong) in
        [("stem_sides", "3,3"), ("stem_strides", "2,2,4"), ("stem_borders", "3,1,1"), ("stem_sides", "x")]
    {
        let found = plain(Tower::new(&WHOLE).set(key, wrong));
        assert!(matches!(found, Err(Error::Metadata { problem: Problem::Invalid, .. })), "{key} = {wrong}: {found:?}");
    }
    for blocks in ["", "-1", "two", "1.0", "99999999999999999999999"] {
        refused("frequency_blocks", blocks);
    }
    for strength in ["", "-0.1", "nan", "inf", "-inf", "1e39", "strong"] {
        refused("guide", strength);
    }
    for share in ["", "-0.01", "1.01", "nan", "inf", "half"] {
        refused("guide_semantic", share);
    }
    for readout in ["", "class", "Joint", "spatial,joint"] {
        refused("readout", readout);
    }
    let mut tower = Tower::new(&WHOLE);
    tower.metadata.remove("edgelip.guide_semantic");
    let missing = Error::Metadata { key: "edgelip.guide_semantic", problem: Problem::Missing };
    assert_eq!(plain(&tower), Err(missing));
    let invalid = Error::Metadata { key: "edgelip.readout", problem: Problem::Invalid };
    assert_eq!(plain(Tower::new(&WHOLE).set("frequency_blocks", "0")), Err(invalid));

    for (key, value) in [
        ("stem", "7,65536,24"),
        ("stem", "7,5000,24"),
        ("stem_sides", "3,300,3"),
        ("frequency_blocks", "45"),
        ("image", "40,528"),
    ] {
        assert_eq!(plain(Tower::new(&WHOLE).set(key, value)), Err(Error::TooLarge), "{key} = {value}");
    }
    // What fits the limits but not the tensors.
    for (key, value) in [("stem", "8,20,24"), ("stem", "7,19,24"), ("frequency_blocks", "3"), ("image", "40,64")] {
        let found = plain(Tower::new(&WHOLE).set(key, value));
        assert!(matches!(found, Err(Error::Tensor { .. })), "{key} = {value}: {found:?}");
    }
}

#[test]
fn hostile_numbers_and_damage_are_errors_or_answers() {
    let numbers = [
        "0",
        "1",
        "2",
        "3",
        "7",
        "8",
        "16",
        "63",
        "64",
        "65",
        "256",
        "4096",
        "8192",
        "65536",
        "4294967295",
        "18446744073709551615",
    ];
    let lists = [
        "0",
        "1,1",
        "8,8",
        "64,64",
        "65536,65536",
        "4294967295,1",
        "18446744073709551615,2",
        "1,1,1,1",
        "9,9,9,9",
        "4096,4096,24",
    ];
    for shape in [WHOLE, Shape { frequency_blocks: 0, joint: false, precision: "i8", ..WHOLE }] {
        let tower = Tower::new(&shape);
        for key in tower.metadata.keys() {
            for value in numbers.iter().chain(&lists) {
                let mut hostile = tower.clone();
                hostile.metadata.insert(key.clone(), value.to_string());
                let _ = plain(&hostile);
            }
        }
        let whole = tower.bytes();
        let front = whole.len().min(20_000);
        aligned(&whole, |bytes| {
            let mut state = 1u64;
            for _ in 0..600 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let range = if state >> 63 == 0 { bytes.len() } else { front };
                let (at, bit) = ((state >> 20) as usize % range, state >> 17 & 7);
                bytes[at] ^= 1 << bit;
                let _ = embed(bytes, Kernels::detect(), &Single, 0.0, 0);
                bytes[at] ^= 1 << bit;
            }
            assert!(*bytes == whole[..]);
        });
        for part in 0..64 {
            aligned(&whole[..whole.len() * part / 64], |bytes| {
                assert!(embed(bytes, Kernels::detect(), &Single, 0.0, 0).is_err(), "{part}/64");
            });
        }
    }
}
