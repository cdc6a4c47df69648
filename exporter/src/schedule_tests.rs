//! Schedules of towers of the usual sizes.

use edgelip_runtime::plan::Convolution;

use super::*;

fn vit(side: usize, patch: usize, width: usize, blocks: usize, embedding: usize) -> VisionShape {
    VisionShape {
        image: [side; 2],
        patch,
        width,
        heads: width / 64,
        blocks,
        mlp: 4 * width,
        embedding,
        ..VisionShape::default()
    }
}

fn b32() -> VisionShape {
    vit(224, 32, 768, 12, 512)
}

fn b16() -> VisionShape {
    vit(224, 16, 768, 12, 512)
}

fn l14() -> VisionShape {
    vit(224, 14, 1024, 24, 768)
}

const SHAPES: [Shape; 4] = [Shape::Auto, Shape::Geo, Shape::Constant, Shape::Decreasing];

#[test]
fn rates_are_met() {
    for (shape, tolerance) in [(b32(), 0.02), (b16(), 0.005), (l14(), 0.005)] {
        for merge in [Merge::Ward, Merge::Tome] {
            for spread in &SHAPES {
                for percent in [5, 10, 20, 30, 40, 45, 50, 60] {
                    let asked = f64::from(percent) / 100.0;
                    let schedule = plan(&shape, merge, spread, asked).expect("reachable");
                    let error = (schedule.saving - asked).abs();
                    assert!(error <= tolerance, "{spread} {asked}: {} by {:?}", schedule.saving, schedule.merged);
                    let planned = Plan::new(&shape, merge, &schedule.merged).expect("a valid schedule");
                    assert!((planned.saving() - schedule.saving).abs() < 1e-12);
                    assert_eq!(schedule.merged.last(), Some(&0));
                    assert_eq!(schedule, plan(&shape, merge, spread, asked).expect("again"));
                }
            }
        }
    }
}

#[test]
fn auto_grows_towards_the_end_at_small_rates_and_is_geometric_at_large_ones() {
    let small = plan(&b16(), Merge::Ward, &Shape::Auto, 0.2).expect("reachable");
    assert!(matches!(small.shape, Shape::BackLoaded { slope } if (slope - 2.4).abs() < 1e-9));
    assert!(small.merged[..11].is_sorted(), "{:?}", small.merged);
    let large = plan(&b16(), Merge::Ward, &Shape::Auto, 0.5).expect("reachable");
    assert_eq!(large, plan(&b16(), Merge::Ward, &Shape::Geo, 0.5).expect("reachable"));
    assert!(large.merged[..11].is_sorted_by(|a, b| *a + 1 >= *b), "{:?}", large.merged);
}

#[test]
fn nothing_merges_at_rate_zero() {
    let schedule = plan(&b16(), Merge::Ward, &Shape::Auto, 0.0).expect("reachable");
    assert_eq!((schedule.merged, schedule.saving), (vec![0; 12], 0.0));
}

#[test]
fn what_is_out_of_reach_names_the_largest() {
    for spread in &SHAPES {
        let error = plan(&b16(), Merge::Ward, spread, 0.97).expect_err("too much").to_string();
        let largest: f64 = error.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(plan(&b16(), Merge::Ward, spread, largest).is_ok(), "{error}");
        assert!(plan(&b16(), Merge::Ward, spread, largest + 0.01).is_err(), "{error}");
    }
    for wrong in [-0.1, 1.0, f64::NAN] {
        assert!(
            plan(&b16(), Merge::Ward, &Shape::Auto, wrong).expect_err("no rate").to_string().contains("at least 0")
        );
    }
}

#[test]
fn a_merge_pays_for_itself() {
    for percent in 1..60 {
        let schedule = plan(&b32(), Merge::Ward, &Shape::Auto, f64::from(percent) / 100.0).expect("reachable");
        for block in 0..12 {
            if schedule.merged[block] == 0 {
                continue;
            }
            let mut kept = schedule.merged.clone();
            kept[block + 1..].fill(0);
            let with = Plan::new(&b32(), Merge::Ward, &kept).expect("valid").macs();
            kept[block] = 0;
            assert!(
                with < Plan::new(&b32(), Merge::Ward, &kept).expect("valid").macs(),
                "{percent} {:?}",
                schedule.merged
            );
        }
    }
}

#[test]
fn towers_too_small_to_merge_say_so() {
    let single = VisionShape {
        image: [16; 2],
        patch: 16,
        width: 8,
        heads: 1,
        blocks: 2,
        mlp: 16,
        embedding: 4,
        ..VisionShape::default()
    };
    assert!(plan(&single, Merge::Ward, &Shape::Auto, 0.3).is_err());
    let shallow = VisionShape { blocks: 1, image: [64; 2], ..single };
    assert!(plan(&shallow, Merge::Tome, &Shape::Geo, 0.3).is_err());
}

#[test]
fn lists_are_checked() {
    let parse = |text: &str| text.parse::<Shape>();
    let with = |text: &str| plan(&b16(), Merge::Tome, &parse(text).expect("a list"), 0.0);
    let eight = with("list:8,8,8,8,8,8,8,8,8,8,8,8").expect("fits");
    assert_eq!(eight.merged, [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 0]);
    assert!(eight.saving > 0.15);
    assert!(with("list:8,8").expect_err("short").to_string().contains("2 entries, the image tower 12 blocks"));
    let error = with("list:98,99,0,0,0,0,0,0,0,0,0,0").expect_err("too many").to_string();
    assert_eq!(error, "block 1 has 99 tokens and can merge 49 of them at most, not 99");
    assert!(parse("list:8,x").is_err() && parse("list:").is_err() && parse("geometric").is_err());
}

/// A tower of the trainer's configurations.
fn mlip(stem: &[usize], patch: usize, frequency_blocks: usize, blocks: usize) -> VisionShape {
    let layers: Vec<_> = stem.iter().copied().map(Convolution::halving).collect();
    let stem = Stem::new(&layers).expect("few layers");
    let (image, width, heads, mlp, embedding) = ([64; 2], 192, 3, 768, 384);
    VisionShape { image, patch, stem, frequency_blocks, width, heads, blocks, mlp, embedding, ..VisionShape::default() }
}

#[test]
fn counts_are_those_of_the_trainer() {
    // What `plan` of models/src/merging/schedule.rs gives: a tower is exported as it was trained.
    let tiny = mlip(&[], 8, 2, 10);
    let stem = mlip(&[48, 96, 192], 8, 2, 10);
    let fine = mlip(&[64, 192], 4, 3, 9);
    for (shape, macs) in [(tiny, 322_748_160), (stem, 342_949_632), (fine, 1_473_740_160)] {
        assert_eq!(Plan::new(&shape, Merge::None, &[]).expect("no merging").macs(), macs);
    }
    let large = VisionShape { image: [96; 2], ..tiny };
    for (shape, merge, spread, rate, merged) in [
        (tiny, Merge::Ward, "auto", 0.2, &[1, 2, 2, 3, 3, 6, 7, 10, 13, 0][..]),
        (tiny, Merge::Ward, "auto", 0.4, &[6, 6, 6, 7, 7, 7, 6, 7, 5, 0]),
        (tiny, Merge::Ward, "auto", 0.5, &[13, 10, 8, 6, 6, 4, 4, 2, 3, 0]),
        (tiny, Merge::Ward, "auto", 0.6, &[18, 13, 10, 6, 5, 4, 2, 2, 2, 0]),
        (tiny, Merge::Ward, "auto", 0.7, &[28, 16, 9, 5, 3, 1, 1, 0, 0, 0]),
        (stem, Merge::Ward, "auto", 0.3, &[3, 4, 4, 6, 6, 7, 8, 9, 8, 0]),
        (stem, Merge::Ward, "auto", 0.6, &[21, 14, 9, 7, 4, 4, 2, 1, 1, 0]),
        (fine, Merge::Tome, "geo", 0.3, &[29, 26, 22, 20, 18, 16, 14, 13, 0]),
        (fine, Merge::Tome, "constant", 0.4, &[31, 31, 31, 32, 31, 31, 31, 19, 0]),
        (large, Merge::Ward, "auto", 0.7, &[62, 36, 20, 12, 6, 4, 2, 1, 0, 0]),
    ] {
        let spread: Shape = spread.parse().expect("a shape");
        for guided in [false, true] {
            let shape = VisionShape { guided, ..shape };
            assert_eq!(
                plan(&shape, merge, &spread, rate).expect("reachable").merged,
                merged,
                "{spread} {rate} {guided}"
            );
        }
    }
    let error = plan(&stem, Merge::Ward, &Shape::Auto, 0.7).expect_err("too much").to_string();
    assert!(error.ends_with("the largest is 0.678"), "{error}");
}
