//! Files of random towers: tract on the graph and the runtime in place against the reference.

mod mlip;
mod random;

use edgelip::onnx::OnnxModel;
use edgelip_runtime::{Kernels, Single, Text, Vision};
use ndarray::{Array2, ArrayD, Axis};
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, TValue, TVec, tvec};

use super::*;
use crate::error::Error;
use crate::reference::{self, Merging, Rule};
use crate::source::{
    self, Activation, Head, NormPlace, Padding, Pooling, Readout, TextConfig, TextPooling, VisionConfig,
};
use random::Random;

/// A width of heads that no vector register divides, and an image that is not square.
fn odd() -> Random {
    let vision = VisionConfig {
        image_size: [30, 50],
        patch: 10,
        width: 42,
        heads: 3,
        blocks: 3,
        mlp: 70,
        activation: Activation::Gelu,
        norm_eps: 1e-5,
        stem: vec![],
        frequency_blocks: 0,
        readout: Readout::Spatial,
        merging: source::Merging::default(),
        pre_norm: true,
        head: Head::default(),
    };
    let text = TextConfig {
        context: 9,
        vocabulary: 50,
        width: 24,
        heads: 3,
        blocks: 2,
        mlp: 33,
        activation: Activation::QuickGelu,
        norm_eps: 1e-6,
        norm: NormPlace::Pre,
        eot: 49,
        pooling: TextPooling::EotFirst,
    };
    Random::new(vision, text, 19)
}

fn even() -> Random {
    let vision = VisionConfig {
        image_size: [32, 32],
        patch: 8,
        width: 32,
        heads: 2,
        blocks: 4,
        mlp: 64,
        activation: Activation::QuickGelu,
        norm_eps: 1e-5,
        stem: vec![],
        frequency_blocks: 0,
        readout: Readout::Spatial,
        merging: source::Merging::default(),
        pre_norm: true,
        head: Head::default(),
    };
    let text = TextConfig {
        context: 12,
        vocabulary: 40,
        width: 32,
        heads: 2,
        blocks: 1,
        mlp: 64,
        activation: Activation::Gelu,
        norm_eps: 1e-5,
        norm: NormPlace::Pre,
        eot: 2,
        pooling: TextPooling::EotArgmax,
    };
    Random::new(vision, text, 16)
}

fn bytes(model: &OnnxModel<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    model.write(&mut file).unwrap();
    file
}

fn tract(file: &[u8], inputs: TVec<TValue>) -> Array2<f32> {
    let model = tract_onnx::onnx().model_for_read(&mut &file[..]).unwrap().into_optimized().unwrap();
    let outputs = model.into_runnable().unwrap().run(inputs).unwrap();
    let output: ArrayD<f32> = outputs[0].to_plain_array_view::<f32>().unwrap().to_owned();
    output.into_dimensionality().unwrap()
}

#[track_caller]
fn alike(ours: &Array2<f32>, expected: &Array2<f32>, precision: Precision, what: &str) {
    let tolerance = match precision {
        Precision::F32 => 2e-6,
        Precision::F16 => 1e-4,
        Precision::I8 => 5e-3,
    };
    for (ours, expected) in ours.outer_iter().zip(expected.outer_iter()) {
        assert!(1.0 - ours.dot(&expected) < tolerance, "{what} {precision}: {}", ours.dot(&expected));
        assert!((ours.dot(&ours) - 1.0).abs() < 1e-5, "{what} {precision}: not of length 1");
    }
}

/// The runtime in place; the file is copied to an aligned place first.
fn in_place(file: &[u8], images: &[Vec<u8>]) -> Array2<f32> {
    let mut words = vec![0f32; file.len().div_ceil(4) + 16];
    let skip = words.as_ptr().align_offset(64);
    let place = &mut edgelip_kernels::cast::bytes_mut(&mut words[skip..])[..file.len()];
    place.copy_from_slice(file);
    let tower = Vision::open(place, Kernels::detect()).unwrap();
    let mut scratch = vec![0.0; tower.scratch_len(1).unwrap()];
    let mut embeddings = Array2::zeros((images.len(), tower.shape().embedding));
    for (image, mut row) in images.iter().zip(embeddings.outer_iter_mut()) {
        tower.embed(image, &mut scratch, &Single, row.as_slice_mut().unwrap()).unwrap();
    }
    embeddings
}

fn check_vision(mut random: Random, merge: Merge, schedule: &[usize], guide: Guide) {
    let (images, pixels): (Vec<_>, Vec<_>) = (0..3).map(|_| random.image()).unzip();
    let merging = match merge {
        Merge::None => None,
        Merge::Ward => Some(Merging { rule: Rule::Ward, schedule, guide }),
        Merge::Tome => Some(Merging { rule: Rule::Tome, schedule, guide }),
    };
    let expected = reference::vision(&random, merging, &pixels).unwrap();
    let views: Vec<_> = pixels.iter().map(|pixels| pixels.view()).collect();
    let batch: tract_onnx::prelude::Tensor = ndarray::stack(Axis(0), &views).unwrap().into();
    for precision in [Precision::F32, Precision::F16, Precision::I8] {
        let options = VisionOptions { merge, schedule: schedule.to_vec(), compression: 0.5, guide, precision };
        let file = bytes(&vision(&random, &options).unwrap());
        // Rounding may turn a choice of tokens; whether the choices agree shows in f32.
        if precision == Precision::F32 || merge == Merge::None {
            alike(&tract(&file, tvec!(batch.clone().into())), &expected, precision, "tract");
            alike(&in_place(&file, &images), &expected, precision, "runtime");
        } else {
            let graph = tract(&file, tvec!(batch.clone().into()));
            alike(&in_place(&file, &images), &graph, Precision::F16, "runtime and tract");
        }
    }
}

#[test]
fn without_merging_it_is_the_original_tower() {
    check_vision(odd(), Merge::None, &[], Guide::default());
    check_vision(even(), Merge::None, &[], Guide::default());
}

#[test]
fn ward_merges_as_written() {
    check_vision(odd(), Merge::Ward, &[5, 3, 0], Guide::default());
    check_vision(even(), Merge::Ward, &[0, 8, 1, 0], Guide::default());
}

#[test]
fn tome_merges_as_written() {
    check_vision(odd(), Merge::Tome, &[7, 1, 0], Guide::default());
    check_vision(even(), Merge::Tome, &[2, 0, 3, 0], Guide::default());
}

/// Towers that read something else than their class token; the odd one keeps its norm in front of the blocks.
fn pooled(pooling: Pooling, projected: bool) -> [Random; 2] {
    [odd(), even()].map(|random| {
        let (mut vision, text) = (random.model.vision.unwrap(), random.model.text.unwrap());
        vision.head = Head { pooling, projected, ..Head::default() };
        vision.pre_norm = vision.blocks == 3;
        vision.activation = Activation::TanhGelu;
        let embedding = if projected { 19 } else { vision.width };
        Random::new(vision, text, embedding)
    })
}

#[test]
fn towers_pool_and_merge_as_written() {
    for (pooling, projected) in [
        (Pooling::Mean, true),
        (Pooling::NormedMean, true),
        (Pooling::Attention, true),
        (Pooling::Attention, false),
        (Pooling::Pooler, true),
        (Pooling::Pooler, false),
    ] {
        let merges = [
            (Merge::None, [&[][..], &[]]),
            (Merge::Ward, [&[6, 1, 0], &[0, 8, 1, 0]]),
            (Merge::Tome, [&[7, 0, 0], &[2, 0, 3, 0]]),
        ];
        for (merge, schedules) in merges {
            for (random, schedule) in pooled(pooling, projected).into_iter().zip(schedules) {
                check_vision(random, merge, schedule, Guide::default());
            }
        }
    }
}

#[test]
fn padded_texts_see_their_padding() {
    for before in [false, true] {
        let (vision, mut text_config) = (odd().model.vision.unwrap(), odd().model.text.unwrap());
        text_config.pooling = TextPooling::Last(Padding { id: 1, before });
        let mut random = Random::new(vision, text_config, 19);
        random.put("text.projection.bias", &[19], 0.4);
        let texts = [vec![7, 8, 9, 49], vec![5; 9]];
        let expected = reference::text(&random, &texts).unwrap();
        let place = |text: usize, i: usize| i.checked_sub(if before { 9 - texts[text].len() } else { 0 });
        let at = |text: usize, i: usize| place(text, i).and_then(|i| texts[text].get(i).copied());
        // Whatever the caller fills up with.
        let ids = Array2::from_shape_fn((2, 9), |(text, i)| i64::from(at(text, i).unwrap_or(33)));
        let mask = Array2::from_shape_fn((2, 9), |(text, i)| i64::from(at(text, i).is_some()));
        for precision in [Precision::F32, Precision::F16, Precision::I8] {
            let file = bytes(&text(&random, &TextOptions { precision, tokenizer: "{}".into() }).unwrap());
            alike(&tract(&file, tvec!(prelude(ids.clone()), prelude(mask.clone()))), &expected, precision, "tract");
            let found = texts_in_place(&file, &texts);
            alike(&found, &expected, precision, "runtime");
        }
    }
}

fn texts_in_place(file: &[u8], texts: &[Vec<u32>]) -> Array2<f32> {
    let mut words = vec![0f32; file.len().div_ceil(4) + 16];
    let skip = words.as_ptr().align_offset(64);
    let place = &mut edgelip_kernels::cast::bytes_mut(&mut words[skip..])[..file.len()];
    place.copy_from_slice(file);
    let tower = Text::open(place, Kernels::detect()).unwrap();
    let mut embeddings = Array2::zeros((texts.len(), tower.embedding()));
    for (ids, mut row) in texts.iter().zip(embeddings.outer_iter_mut()) {
        let mut scratch = vec![f32::NAN; tower.scratch_len(ids.len(), 1).unwrap()];
        tower.embed(ids, &mut scratch, &Single, row.as_slice_mut().unwrap()).unwrap();
    }
    embeddings
}

#[test]
fn texts_of_any_length() {
    for mut random in [odd(), even()] {
        let config = random.model.text.clone().unwrap();
        let end = if config.pooling == TextPooling::EotFirst { config.eot } else { config.vocabulary as u32 - 1 };
        for length in [2, config.context] {
            let texts: Vec<Vec<u32>> = (0..2)
                .map(|text| {
                    let mut ids: Vec<u32> = (0..length).map(|_| (20.0 * random.next()) as u32 + 3).collect();
                    ids[(length - 1) >> text] = end;
                    ids
                })
                .collect();
            let expected = reference::text(&random, &texts).unwrap();
            let ids = Array2::from_shape_fn((2, length), |(text, i)| i64::from(texts[text][i]));
            let mask = Array2::from_elem((2, length), 1i64);
            for precision in [Precision::F32, Precision::F16, Precision::I8] {
                let options = TextOptions { precision, tokenizer: "{}".into() };
                let file = bytes(&text(&random, &options).unwrap());
                let inputs = tvec!(prelude(ids.clone()), prelude(mask.clone()));
                alike(&tract(&file, inputs), &expected, precision, "tract");
                Text::open(&file, Kernels::generic()).unwrap();
            }
        }
    }
}

fn prelude(values: Array2<i64>) -> TValue {
    tract_onnx::prelude::Tensor::from(values).into()
}

#[test]
fn names_are_unique() {
    let random = odd();
    for precision in [Precision::F32, Precision::I8] {
        let options = VisionOptions {
            merge: Merge::Ward,
            schedule: vec![5, 3, 0],
            compression: 0.5,
            guide: Guide::default(),
            precision,
        };
        let files = [
            bytes(&vision(&random, &options).unwrap()),
            bytes(&text(&random, &TextOptions { precision, tokenizer: String::new() }).unwrap()),
        ];
        files.iter().for_each(|file| assert_unique_names(file));
    }
}

/// No two nodes or values have one name.
fn assert_unique_names(file: &[u8]) {
    let proto = tract_onnx::onnx().proto_model_for_read(&mut &file[..]).unwrap().graph.unwrap();
    let values = proto.node.iter().flat_map(|node| &node.output).chain(proto.initializer.iter().map(|it| &it.name));
    let mut names: Vec<_> = proto.node.iter().map(|node| &node.name).chain(values).collect();
    let length = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), length);
}

#[test]
fn the_order_of_patches_is_a_snake_for_ward_only() {
    assert_eq!(super::embed::patch_order(Merge::Ward, [3, 3]), [0, 1, 2, 5, 4, 3, 6, 7, 8]);
    assert_eq!(super::embed::patch_order(Merge::Tome, [2, 2]), [0, 1, 2, 3]);
}

#[test]
fn an_impossible_schedule_is_refused() {
    let random = odd();
    for schedule in [vec![8, 0, 0], vec![1, 0], vec![0, 0, 1]] {
        let options = VisionOptions {
            merge: Merge::Ward,
            schedule,
            compression: 0.5,
            guide: Guide::default(),
            precision: Precision::F32,
        };
        assert!(matches!(vision(&random, &options), Err(Error::Runtime(_))));
    }
}
