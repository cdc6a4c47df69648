//! State dicts of corenet's shapes, accepted and refused.

use std::str::FromStr;

use edgelip_runtime::image::Centre;

use crate::layout::crafted::{Shapes, folder, refused};
use crate::layout::preprocess::Steps;
use crate::layout::{Layout, Options};
use crate::source::{Pooling, Source, Window};

/// A classifier of two blocks, 64 wide, for images of 64 pixels and five classes, its names below `prefix`.
fn classifier(prefix: &str) -> Shapes {
    let mut shapes = Shapes::new();
    let mut add = |name: &str, shape: &[usize]| shapes.insert(format!("{prefix}{name}"), shape.to_vec());
    for (layer, shape) in [[16, 3, 4, 4], [16, 16, 2, 2]].into_iter().enumerate() {
        add(&format!("patch_emb.{layer}.block.conv.weight"), &shape);
        for part in ["weight", "bias", "running_mean", "running_var"] {
            add(&format!("patch_emb.{layer}.block.norm.{part}"), &[16]);
        }
        add(&format!("patch_emb.{layer}.block.norm.num_batches_tracked"), &[]);
    }
    add("patch_emb.2.block.conv.weight", &[64, 16, 2, 2]);
    add("patch_emb.2.block.conv.bias", &[64]);
    add("cls_token", &[1, 1, 64]);
    add("pos_embed.pos_embed.pos_embed", &[1, 1, 16, 64]);
    blocks("", "out_proj_attn", [64, 128], &mut add);
    add("post_transformer_norm.weight", &[64]);
    add("post_transformer_norm.bias", &[64]);
    add("classifier.weight", &[5, 64]);
    add("classifier.bias", &[5]);
    add("neural_augmentor.brightness._low", &[]);
    shapes
}

fn blocks<A>(below: &str, out: &str, [width, mlp]: [usize; 2], add: &mut impl FnMut(&str, &[usize]) -> A) {
    for block in 0..2 {
        let mut pair = |name: &str, shape: &[usize]| {
            add(&format!("{below}transformer.{block}.{name}.weight"), shape);
            add(&format!("{below}transformer.{block}.{name}.bias"), &shape[..1]);
        };
        pair("pre_norm_mha.0", &[width]);
        pair("pre_norm_mha.1.qkv_proj", &[3 * width, width]);
        pair(&format!("pre_norm_mha.1.{out}"), &[width, width]);
        pair("pre_norm_ffn.0", &[width]);
        pair("pre_norm_ffn.1", &[mlp, width]);
        pair("pre_norm_ffn.4", &[width, mlp]);
    }
}

/// A CLIP with that image tower.
fn clip() -> Shapes {
    let mut shapes = classifier("image_encoder.");
    shapes.retain(|name, _| !name.contains("classifier."));
    let mut add = |name: &str, shape: &[usize]| shapes.insert(name.to_owned(), shape.to_vec());
    add("image_encoder.classifier.proj", &[64, 32]);
    add("logit_scale", &[]);
    add("text_encoder.embedding_layer.weight", &[90, 128]);
    add("text_encoder.positional_embedding.pos_embed.pos_embed", &[1, 1, 7, 128]);
    blocks("text_encoder.", "out_proj", [128, 256], &mut add);
    add("text_encoder.final_layer_norm.weight", &[128]);
    add("text_encoder.final_layer_norm.bias", &[128]);
    add("text_encoder.projection_layer", &[128, 32]);
    shapes
}

fn corenets() -> Options {
    Options { preprocess: Some(Steps::from_str("corenet,resize=66").expect("steps")), ..Options::default() }
}

#[test]
fn a_classifier_is_a_tower_and_rows() {
    let folder = folder(None, "model.safetensors", &classifier(""));
    let layout = Layout::open(folder.path(), &corenets()).expect("opens");
    let (model, vision) = (layout.model(), layout.model().vision().expect("a tower"));
    assert_eq!((layout.name(), model.family.as_str(), layout.classes()), ("corenet ViT", "catlip", Some(5)));
    assert_eq!((vision.image_size, vision.heads, vision.blocks, vision.mlp), ([64; 2], 1, 2, 128));
    assert_eq!((vision.pre_norm, vision.head.unit, vision.head.pooling), (false, false, Pooling::Class));
    let windows: Vec<[usize; 3]> = vision
        .stem
        .iter()
        .map(|layer| layer.window)
        .map(|Window { side, stride, border }| [side, stride, border])
        .collect();
    assert_eq!(windows, [[4, 4, 1], [2, 2, 0], [2, 2, 0]]);
    let shape = |name: &str| layout.tensor(name).expect(name).shape;
    assert_eq!((shape("vision.stem.0.bias"), shape("vision.position")), (vec![16], vec![17, 64]));
    assert_eq!((shape("vision.projection.weight"), shape("classifier.weight")), (vec![64, 64], vec![5, 64]));
    let position = layout.tensor("vision.position").expect("there").data;
    assert!(position[..64].iter().all(|&value| value == 0.0) && position[65] == 1.0);
}

#[test]
fn positions_of_other_sizes_are_linear_along_the_sequence() {
    let folder = folder(None, "model.safetensors", &classifier(""));
    let mut layout = Layout::open(folder.path(), &corenets()).expect("opens");
    layout.set_image_size(128).expect("a multiple of 16");
    let position = layout.tensor("vision.position").expect("there");
    assert_eq!(position.shape, [65, 64]);
    // Values count up along the sequence, so that what lies between two places lies between their values: of 64 places the third is at 0.125.
    assert_eq!((position.data[64], position.data[2 * 64 + 64]), (0.0, 8.0));
}

#[test]
fn without_a_class_token_the_normed_patches_are_averaged() {
    let mut shapes = classifier("");
    shapes.remove("cls_token");
    let folder = folder(None, "model.safetensors", &shapes);
    let layout = Layout::open(folder.path(), &corenets()).expect("opens");
    assert_eq!(layout.model().vision().expect("a tower").head.pooling, Pooling::NormedMean);
    assert_eq!(layout.tensor("vision.position").expect("there").shape, [16, 64]);
}

#[test]
fn a_clip_has_two_towers_and_its_own_preprocessing() {
    let folder = folder(None, "clip.pt.safetensors", &clip());
    let path = folder.path().join("clip.pt.safetensors");
    let layout = Layout::open(&path, &Options::default()).expect("opens");
    let (model, text) = (layout.model(), layout.model().text().expect("a tower"));
    assert_eq!((model.embedding, model.logit_scale, layout.classes()), (32, 1.0, None));
    assert_eq!((text.context, text.vocabulary, text.heads, text.mlp), (7, 90, 2, 256));
    assert!(model.vision().expect("a tower").head.unit);
    let preprocess = model.preprocess().expect("steps");
    assert_eq!((preprocess.mean, preprocess.std, preprocess.crop), ([0.0; 3], [1.0; 3], Some([64; 2])));
    let projection = layout.tensor("text.projection.weight").expect("there");
    assert_eq!((projection.shape, projection.data[1]), (vec![32, 128], 32.0));
}

#[test]
fn mobileclips_names_norms_and_preprocessing_are_its_own() {
    let renamed = |(name, shape): (String, Vec<usize>)| (name.replace("image_encoder.", "image_encoder.model."), shape);
    let shapes = clip().into_iter().map(renamed).collect();
    let folder = folder(None, "mobileclip_b.safetensors", &shapes);
    let layout = Layout::open(folder.path(), &Options::default()).expect("opens");
    let vision = layout.model().vision().expect("a tower");
    assert_eq!((layout.name(), vision.norm_eps, vision.stem[0].window.border), ("MobileCLIP-B", 1e-5, 1));
    assert_eq!(layout.model().text().expect("a tower").norm_eps, 1e-5);
    let steps = layout.model().preprocess().expect("steps");
    assert_eq!((steps.centre, steps.std), (Centre::Even, [1.0; 3]));
}

#[test]
fn what_is_missing_left_over_or_unlikely_is_told_in_a_line() {
    let whole = folder(None, "model.safetensors", &classifier(""));
    refused(&whole, &Options::default(), "give --preprocess corenet,resize=232");
    let with = |change: &dyn Fn(&mut Shapes), reason: &str| {
        let mut shapes = classifier("");
        change(&mut shapes);
        refused(&folder(None, "model.safetensors", &shapes), &corenets(), reason);
    };
    let set = |name: &'static str, shape: &'static [usize]| {
        move |shapes: &mut Shapes| {
            shapes.insert(name.into(), shape.into());
        }
    };
    let remove = |name: &'static str| {
        move |shapes: &mut Shapes| {
            shapes.remove(name);
        }
    };
    with(&set("pos_embed.pos_embed.pos_embed", &[1, 1, 15, 64]), "is [1, 1, 15, 64], not [1, 1, a square, width]");
    with(&set("patch_emb.0.block.norm.running_var", &[15]), "`patch_emb.0.block.norm.running_var` is [15]");
    with(&set("patch_emb.1.block.conv.weight", &[16, 16, 3, 3]), "`patch_emb.1.block.conv.weight` is [16, 16, 3, 3]");
    with(&set("patch_emb.2.block.conv.weight", &[65, 16, 2, 2]), "makes 65 wide tokens, not a multiple of 64");
    with(&set("simple_fpn.out_l2.0.weight", &[1]), "`simple_fpn.out_l2.0.weight` is not part of a ViT of corenet");
    with(&remove("patch_emb.1.block.norm.running_mean"), "`patch_emb.1.block.norm.running_mean` is missing");
    with(&remove("classifier.weight"), "`classifier.weight` is missing");
    with(&remove("transformer.0.pre_norm_mha.0.weight"), "`transformer` has no blocks");
    let mut shapes = clip();
    shapes.remove("logit_scale");
    refused(&folder(None, "model.safetensors", &shapes), &Options::default(), "`logit_scale` is missing");
}
