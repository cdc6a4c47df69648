//! The reference against what transformers gives for the tiny CLIP, and PyTorch for the tiny MLIP.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, Axis};
use serde::Deserialize;

use super::{Merging, Rule, text, vision};
use crate::layout::{Layout, Options};
use crate::source::Guide;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

fn tiny() -> Layout {
    Layout::open(&fixture("tiny-clip"), &Options::default()).unwrap()
}

fn json<T: for<'a> Deserialize<'a>>(path: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(fixture(path)).unwrap()).unwrap()
}

fn near(ours: &Array2<f32>, golden: &Array2<f32>) {
    assert_eq!(ours.dim(), golden.dim());
    let worst = ours.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn images_are_those_of_transformers() {
    let pixels: Array4<f32> = ndarray_npy::read_npy(fixture("golden/pixel_values.npy")).unwrap();
    let golden: Array2<f32> = ndarray_npy::read_npy(fixture("golden/image_embeds.npy")).unwrap();
    let images: Vec<_> = pixels.outer_iter().map(|image| image.to_owned()).collect();
    near(&vision(&tiny(), None, &images).unwrap(), &golden);
}

#[test]
fn texts_are_those_of_transformers() {
    #[derive(Deserialize)]
    struct Tokens {
        text: String,
        ids: Vec<u32>,
    }
    let tokens: Vec<Tokens> = json("golden/tokens.json");
    let captions: Vec<String> = json("golden/captions.json");
    let ids_of = |caption: &String| tokens.iter().find(|tokens| tokens.text == *caption).unwrap().ids.clone();
    let ids: Vec<Vec<u32>> = captions.iter().map(ids_of).collect();
    let golden: Array2<f32> = ndarray_npy::read_npy(fixture("golden/text_embeds.npy")).unwrap();
    near(&text(&tiny(), &ids).unwrap(), &golden);
}

#[test]
fn texts_of_bert_are_those_of_transformers() {
    #[derive(Deserialize)]
    struct Tokens {
        ids: Vec<u32>,
    }
    let tokens: Vec<Tokens> = json("golden/bert/tokens.json");
    let golden: Array2<f32> = ndarray_npy::read_npy(fixture("golden/bert/text_embeds.npy")).unwrap();
    let ids: Vec<Vec<u32>> = tokens.into_iter().map(|tokens| tokens.ids).collect();
    near(&text(&Layout::open(&fixture("tiny-bert"), &Options::default()).unwrap(), &ids).unwrap(), &golden);
}

#[test]
fn siglip_is_that_of_transformers() {
    #[derive(Deserialize)]
    struct Tokens {
        ids: Vec<u32>,
    }
    let siglip = Layout::open(&fixture("tiny-siglip"), &Options::default()).unwrap();
    let pixels: Array4<f32> = ndarray_npy::read_npy(fixture("golden/siglip/pixel_values.npy")).unwrap();
    let golden: Array2<f32> = ndarray_npy::read_npy(fixture("golden/siglip/image_embeds.npy")).unwrap();
    let images: Vec<_> = pixels.outer_iter().map(|image| image.to_owned()).collect();
    near(&vision(&siglip, None, &images).unwrap(), &golden);
    let tokens: Vec<Tokens> = json("golden/siglip/tokens.json");
    let golden: Array2<f32> = ndarray_npy::read_npy(fixture("golden/siglip/text_embeds.npy")).unwrap();
    let ids: Vec<Vec<u32>> = tokens.into_iter().map(|tokens| tokens.ids).collect();
    near(&text(&siglip, &ids).unwrap(), &golden);
}

#[test]
fn both_domains_and_their_merging_are_those_of_pytorch() {
    #[derive(Deserialize)]
    struct Case {
        rule: String,
        merged: Vec<usize>,
        guide: f32,
        semantic: f32,
    }
    let cases: Vec<Case> = json("golden/mlip/cases.json");
    let pixels: Array4<f32> = ndarray_npy::read_npy(fixture("golden/mlip/pixel_values.npy")).unwrap();
    let golden: Array3<f32> = ndarray_npy::read_npy(fixture("golden/mlip/image_embeds.npy")).unwrap();
    let images: Vec<_> = pixels.outer_iter().map(|image| image.to_owned()).collect();
    let mlip = Layout::open(&fixture("tiny-mlip"), &Options::default()).unwrap();
    for (case, golden) in cases.iter().zip(golden.outer_iter()) {
        let guide = Guide { strength: case.guide, semantic: case.semantic };
        let rule = match case.rule.as_str() {
            "none" => None,
            "ward" => Some(Rule::Ward),
            _ => Some(Rule::Tome),
        };
        let merging = rule.map(|rule| Merging { rule, schedule: &case.merged, guide });
        near(&vision(&mlip, merging, &images).unwrap(), &golden.to_owned());
    }
}

#[test]
fn merging_nothing_changes_nothing() {
    let pixels: Array4<f32> = ndarray_npy::read_npy(fixture("golden/pixel_values.npy")).unwrap();
    let golden: Array2<f32> = ndarray_npy::read_npy(fixture("golden/image_embeds.npy")).unwrap();
    let image = [pixels.index_axis(Axis(0), 0).to_owned()];
    for rule in [Rule::Ward, Rule::Tome] {
        let ours = vision(&tiny(), Some(Merging { rule, schedule: &[0; 6], guide: Guide::default() }), &image).unwrap();
        near(&ours, &golden.select(Axis(0), &[0]));
    }
}

#[test]
fn schedules_that_do_not_fit_are_refused() {
    let pixels: Array4<f32> = ndarray_npy::read_npy(fixture("golden/pixel_values.npy")).unwrap();
    let image = [pixels.index_axis(Axis(0), 0).to_owned()];
    let merge = |schedule: &[usize]| {
        vision(&tiny(), Some(Merging { rule: Rule::Ward, schedule, guide: Guide::default() }), &image)
    };
    assert!(merge(&[32, 16, 8, 4, 2, 0]).is_ok());
    assert!(merge(&[33, 0, 0, 0, 0, 0]).unwrap_err().to_string().contains("block 0 can't merge 33 of 65"));
    assert!(merge(&[0, 0, 0, 0, 0, 1]).unwrap_err().to_string().contains("block 5"));
    assert!(merge(&[1, 1]).is_err());
    assert!(vision(&tiny(), None, &[ndarray::Array3::zeros((3, 32, 64))]).is_err());
    assert!(text(&tiny(), &[vec![1, 2, 3]]).unwrap_err().to_string().contains("end token"));
    assert!(text(&tiny(), &[vec![1_000_000]]).is_err());
}
