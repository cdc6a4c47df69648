//! Preprocessing configurations, accepted and refused.

use std::fs;

use super::*;

fn parse(config: &str) -> Result<Preprocess, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("preprocessor_config.json"), config).expect("written");
    read(folder.path(), [224, 224])
}

fn complaint(config: &str) -> String {
    parse(config).map(drop).expect_err("refused").to_string()
}

#[test]
fn absent_keys_have_transformers_defaults() {
    let preprocess = parse(r#"{"image_processor_type": "CLIPImageProcessor"}"#).expect("accepted");
    assert!(matches!(preprocess.resize, Resize::Shortest(224)));
    assert!(matches!(preprocess.filter, Filter::Bicubic));
    assert_eq!(preprocess.crop, Some([224, 224]));
    assert_eq!(preprocess.rescale, 1.0 / 255.0);
    assert_eq!((preprocess.mean, preprocess.std), (MEAN, STD));
}

#[test]
fn old_and_new_spellings_mean_the_same() {
    let old = parse(r#"{"size": 256, "crop_size": 224, "resample": 2}"#).expect("accepted");
    assert!(matches!((&old.resize, &old.filter), (Resize::Shortest(256), Filter::Bilinear)));
    let new =
        parse(r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}"#).expect("accepted");
    assert!(matches!(new.resize, Resize::Shortest(256)));
    let squash = parse(
        r#"{"size": {"height": 224, "width": 224}, "do_center_crop": false, "do_rescale": false, "do_normalize": false}"#,
    );
    let squash = squash.expect("accepted");
    assert!(matches!(squash.resize, Resize::Exact(224, 224)));
    assert_eq!((squash.crop, squash.rescale, squash.mean, squash.std), (None, 1.0, [0.0; 3], [1.0; 3]));
}

#[test]
fn a_vit_squashes_whatever_its_processor_is_called() {
    let new = parse(r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}}"#);
    let old = parse(r#"{"feature_extractor_type": "ViTFeatureExtractor", "size": 224}"#);
    for preprocess in [new, old] {
        let preprocess = preprocess.expect("accepted");
        assert_eq!((preprocess.resize, preprocess.crop), (Resize::Exact(224, 224), None));
        assert_eq!((preprocess.filter, preprocess.mean, preprocess.std), (Filter::Bilinear, [0.5; 3], [0.5; 3]));
    }
}

#[test]
fn contradictions_are_named() {
    assert!(
        complaint(r#"{"crop_size": 336, "size": 336}"#)
            .contains("crop_size: 336×336, but image_size in config.json is 224×224")
    );
    assert!(complaint(r#"{"do_center_crop": false}"#).contains("do_center_crop"));
    assert!(complaint(r#"{"size": {"height": 99, "width": 224}, "do_center_crop": false}"#).contains("size: 99×224"));
    assert!(complaint(r#"{"size": {"longest_edge": 224}}"#).contains("longest_edge"));
    assert!(complaint(r#"{"resample": 1}"#).contains("resample: only 2"));
    assert!(complaint(r#"{"image_mean": [0.5, 0.5]}"#).contains("image_mean: [0.5,0.5] is not"));
    assert!(complaint(r#"{"image_std": [0.5, 0, 1]}"#).contains("image_std"));
    assert!(complaint(r#"{"size": 0}"#).contains("size: 0 is not a whole number"));
    assert!(complaint(r#"{"image_processor_type": "ViTImageProcessor"}"#).contains("ViTImageProcessor"));
    assert!(complaint("nonsense").contains("preprocessor_config.json: not JSON"));
}

#[test]
fn a_missing_file_is_not_guessed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = read(folder.path(), [224, 224]).map(drop).expect_err("missing").to_string();
    assert!(error.contains("preprocessor_config.json: is missing: copy it"), "{error}");
    fs::write(folder.path().join("processor_config.json"), r#"{"image_processor": {"size": 240}}"#).expect("written");
    assert!(matches!(read(folder.path(), [224, 224]).expect("nested").resize, Resize::Shortest(240)));
}

#[test]
fn another_image_size_keeps_proportions() {
    let mut preprocess = parse(r#"{"size": 256}"#).expect("accepted");
    rescale(&mut preprocess, [224, 224], 160);
    assert!(matches!(preprocess.resize, Resize::Shortest(183)));
    assert_eq!(preprocess.crop, Some([160, 160]));
    let mut exact = parse(r#"{"size": 224}"#).expect("accepted");
    rescale(&mut exact, [224, 224], 336);
    assert!(matches!(exact.resize, Resize::Shortest(336)));
}

#[test]
fn users_name_a_family_and_what_is_different() {
    let steps = |text: &str| text.parse::<Steps>().map(|steps| steps.of([224, 224]));
    let clip = steps("openai").expect("known");
    assert_eq!(clip, steps("clip").expect("known"));
    assert_eq!((clip.resize, clip.crop, clip.centre), (Resize::Shortest(224), Some([224, 224]), Centre::Even));
    let squashed = steps("clip,squash,bilinear").expect("known");
    assert_eq!((squashed.resize, squashed.crop), (Resize::Exact(224, 224), None));
    assert_eq!((squashed.filter, squashed.mean), (Filter::Bilinear, clip.mean));
    let cut = steps("siglip,shortest").expect("known");
    assert_eq!((cut.resize, cut.crop, cut.mean), (Resize::Shortest(224), Some([224, 224]), [0.5; 3]));
    assert_eq!(steps("siglip,resize=248").expect("known").resize, Resize::Shortest(248));
    for (text, reason) in [
        ("resnet", "no preprocessing is called `resnet`; there are clip, siglip"),
        ("", "no preprocessing is called ``"),
        ("clip,lanczos", "`lanczos` is none of"),
        ("clip,resize=0", "resize=0 is not from 1"),
        ("clip,squash,resize=256", "either squashed or"),
    ] {
        assert!(text.parse::<Steps>().expect_err(text).contains(reason), "{text}");
    }
}
