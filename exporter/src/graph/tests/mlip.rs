//! Towers with a stem, a frequency stage and a guide.

use super::*;
use crate::source::{Convolution, Window};

/// Both domains, a grid of odd sides, and widths that no vector register divides.
fn odd_mlip() -> Random {
    let mut random = odd();
    let vision = random.model.vision.take().unwrap();
    let vision = VisionConfig {
        image_size: [36, 20],
        patch: 4,
        activation: Activation::Gelu,
        stem: vec![Convolution::halving(18), Convolution::halving(42)],
        frequency_blocks: 2,
        readout: Readout::Joint,
        ..vision
    };
    Random::new(vision, random.model.text.unwrap(), 19)
}

/// Windows beside each other, the first ones beyond the image's edge: CatLIP's stem.
fn catlip() -> Random {
    let mut random = odd();
    let vision = random.model.vision.take().unwrap();
    let window = |side, border| Window { side, stride: side, border };
    let vision = VisionConfig {
        image_size: [48, 32],
        patch: 16,
        stem: [(10, window(4, 1)), (11, window(2, 0)), (42, window(2, 0))]
            .map(|(outputs, window)| Convolution { outputs, window })
            .into(),
        pre_norm: false,
        ..vision
    };
    Random::new(vision, random.model.text.unwrap(), 19)
}

/// The trainer's usual tower: a patch embedding, an even grid, the class token read.
fn even_mlip() -> Random {
    let mut random = even();
    let vision = random.model.vision.take().unwrap();
    let vision = VisionConfig { activation: Activation::Gelu, frequency_blocks: 1, ..vision };
    Random::new(vision, random.model.text.unwrap(), 16)
}

const GUIDE: Guide = Guide { strength: 0.7, semantic: 0.4 };

#[test]
fn without_merging_both_domains_are_the_checkpoints() {
    check_vision(odd_mlip(), Merge::None, &[], GUIDE);
    check_vision(even_mlip(), Merge::None, &[], Guide::default());
    check_vision(catlip(), Merge::None, &[], Guide::default());
    check_vision(catlip(), Merge::Ward, &[1, 1, 0], Guide::default());
}

#[test]
fn unguided_merging_behind_a_frequency_stage() {
    check_vision(odd_mlip(), Merge::Ward, &[9, 5, 0], Guide::default());
    check_vision(even_mlip(), Merge::Tome, &[3, 2, 0, 0], Guide::default());
}

#[test]
fn guided_merging_behind_a_frequency_stage() {
    check_vision(odd_mlip(), Merge::Tome, &[9, 5, 0], GUIDE);
    check_vision(even_mlip(), Merge::Ward, &[3, 0, 4, 0], GUIDE);
}

#[test]
fn guided_merging_of_a_tower_that_knows_nothing_of_it() {
    check_vision(odd(), Merge::Ward, &[4, 3, 0], GUIDE);
    check_vision(even(), Merge::Tome, &[2, 5, 1, 0], GUIDE);
}

#[test]
fn a_guide_without_merging_leaves_the_file_as_it_is() {
    let random = even();
    let file = |guide| {
        let options =
            VisionOptions { merge: Merge::Ward, schedule: vec![], compression: 0.0, guide, precision: Precision::F32 };
        bytes(&vision(&random, &options).unwrap())
    };
    assert_eq!(file(GUIDE), file(Guide::default()));
}

#[test]
fn names_are_unique_in_every_stage() {
    let (odd, even) = (odd_mlip(), even_mlip());
    for precision in [Precision::F32, Precision::I8] {
        for (random, merge, schedule) in [(&odd, Merge::Tome, vec![9, 5, 0]), (&even, Merge::Ward, vec![3, 0, 4, 0])] {
            let options = VisionOptions { merge, schedule, compression: 0.5, guide: GUIDE, precision };
            assert_unique_names(&bytes(&vision(random, &options).unwrap()));
        }
    }
}
