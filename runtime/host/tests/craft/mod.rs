//! Tiny model files with meaningless weights, made in the test: no exporter is needed.

use std::path::{Path, PathBuf};

use edgelip::onnx::{Dim, ElementType, Initializer, OnnxModel, Payload, ValueInfo};

/// Width of tokens and of embeddings.
const WIDTH: usize = 16;
const BLOCKS: usize = 2;
const PATCH: usize = 8;
/// Sides of the input.
pub const IMAGE: [usize; 2] = [16, 24];
const TOKENS: usize = 1 + (IMAGE[0] / PATCH) * (IMAGE[1] / PATCH);
const CONTEXT: usize = 8;

/// Words that the tokenizer knows, and its special tokens.
const WORDS: [&str; 8] = ["a", "photo", "of", "cat", "dog", "bird", "<s>", "</s>"];

/// A folder with `vision.onnx`, `mlip.onnx` and `text.onnx`, deleted when dropped.
pub struct Models {
    folder: tempfile::TempDir,
}

impl Models {
    /// Writes the files.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("vision.onnx"), &vision());
        write(&folder.path().join("mlip.onnx"), &mlip());
        write(&folder.path().join("text.onnx"), &text());
        Models { folder }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a PNG of this size.
    #[allow(dead_code)]
    pub fn image(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let path = self.path(name);
        let pixel = |x, y| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + y) * 3 % 256) as u8]);
        image::RgbImage::from_fn(width, height, pixel).save(&path).unwrap();
        path
    }
}

/// Writes a model.
pub fn write(path: &Path, model: &OnnxModel<'_>) {
    let mut bytes = Vec::new();
    model.write(&mut bytes).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// An image tower without labels that merges one token.
pub fn vision() -> OnnxModel<'static> {
    let mut model = common("vision", "class");
    for (key, value) in [
        ("image", "16,24"),
        ("patch", "8"),
        ("compression", "0.1"),
        ("merge", "tome"),
        ("schedule", "1,0"),
        ("preprocess.resize", "exact,16,24"),
        ("preprocess.filter", "bicubic"),
        ("preprocess.crop", "none"),
        ("preprocess.rescale", "0.00392156862745098"),
        ("preprocess.mean", "0.5,0.5,0.5"),
        ("preprocess.std", "0.5,0.5,0.5"),
        ("logit_scale", "10"),
        ("logit_bias", "0"),
        ("score", "softmax"),
    ] {
        model.set_metadata(&format!("edgelip.{key}"), value);
    }
    model.inputs.push(value("pixel_values", &[3, IMAGE[0] as u64, IMAGE[1] as u64]));
    model.outputs.push(value("image_embeds", &[WIDTH as u64]));
    let mut seed = 1;
    let mut add = |name: &str, dims: &[usize]| model.initializers.push(floats(name, dims, &mut seed));
    add("vision.patch.weight", &[1, 3 * PATCH * PATCH, 16]);
    add("vision.position", &[TOKENS - 1, WIDTH]);
    add("vision.class", &[1, WIDTH]);
    add("vision.pre_norm.weight", &[WIDTH]);
    add("vision.pre_norm.bias", &[WIDTH]);
    blocks("vision", &mut add);
    add("vision.projection.weight", &[1, WIDTH, 16]);
    add("vision.projection.bias", &[16]);
    model
}

/// The same with convolutions, a frequency block, a guide and the joint readout.
pub fn mlip() -> OnnxModel<'static> {
    let mut model = vision();
    for (key, value) in [
        ("family", "mlip"),
        ("stem", "16,16,16"),
        ("frequency_blocks", "1"),
        ("readout", "joint"),
        ("guide", "0.3"),
        ("guide_semantic", "0.5"),
    ] {
        model.set_metadata(&format!("edgelip.{key}"), value);
    }
    let mut seed = 3;
    let mut add = |name: &str, dims: &[usize]| model.initializers.push(floats(name, dims, &mut seed));
    add("vision.pixel.offset", &[1, 3, 1, 1]);
    for (layer, window) in [27, 9 * WIDTH, 9 * WIDTH].into_iter().enumerate() {
        add(&format!("vision.stem.{layer}.weight"), &[1, window, 16]);
        add(&format!("vision.stem.{layer}.bias"), &[16]);
    }
    // 2 × 3 patches have 2 · (⌊3/2⌋ + 1) coefficients.
    add("vision.frequency.0.filter", &[1, 4, 2, 16]);
    add("vision.frequency.0.bias", &[WIDTH]);
    add("vision.frequency.0.fc1.weight", &[2, WIDTH, 16]);
    add("vision.frequency.0.fc1.bias", &[32]);
    add("vision.frequency.0.fc2.weight", &[1, 32, 16]);
    add("vision.frequency.0.fc2.bias", &[16]);
    add("vision.frequency.norm.weight", &[WIDTH]);
    add("vision.frequency.norm.bias", &[WIDTH]);
    add("vision.frequency.projection.weight", &[1, WIDTH, 16]);
    model
}

/// A text tower.
pub fn text() -> OnnxModel<'static> {
    let mut model = common("text", "eot_first");
    model.set_metadata("edgelip.context", CONTEXT.to_string());
    model.set_metadata("edgelip.vocabulary", WORDS.len().to_string());
    model.set_metadata("edgelip.eot", "7");
    model.set_metadata("edgelip.tokenizer", tokenizer());
    model.inputs.push(value("input_ids", &[CONTEXT as u64]));
    model.outputs.push(value("text_embeds", &[WIDTH as u64]));
    let mut seed = 2;
    let mut add = |name: &str, dims: &[usize]| model.initializers.push(floats(name, dims, &mut seed));
    add("text.token.weight", &[WORDS.len(), WIDTH]);
    add("text.position", &[CONTEXT, WIDTH]);
    blocks("text", &mut add);
    add("text.projection.weight", &[1, WIDTH, 16]);
    add("text.projection.bias", &[16]);
    model
}

fn common(tower: &str, pooling: &str) -> OnnxModel<'static> {
    let mut model = OnnxModel { name: tower.into(), ..OnnxModel::default() };
    for (key, value) in [
        ("format", "1"),
        ("tower", tower),
        ("family", "clip"),
        ("precision", "f32"),
        ("width", "16"),
        ("heads", "2"),
        ("blocks", "2"),
        ("mlp", "32"),
        ("embedding", "16"),
        ("activation", "gelu"),
        ("norm_eps", "1e-5"),
        ("pooling", pooling),
    ] {
        model.set_metadata(&format!("edgelip.{key}"), value);
    }
    model
}

fn blocks(tower: &str, add: &mut dyn FnMut(&str, &[usize])) {
    for block in 0..BLOCKS {
        let mut layer = |name: &str, weight: &[usize], outputs: usize| {
            add(&format!("{tower}.blocks.{block}.{name}.weight"), weight);
            add(&format!("{tower}.blocks.{block}.{name}.bias"), &[outputs]);
        };
        layer("qkv", &[3, 1, WIDTH, 16], 48);
        layer("out", &[1, WIDTH, 16], 16);
        layer("fc1", &[2, WIDTH, 16], 32);
        layer("fc2", &[1, 32, 16], 16);
    }
}

fn value(name: &str, dims: &[u64]) -> ValueInfo {
    let shape = [Dim::Symbol("N".into())].into_iter().chain(dims.iter().map(|&dim| Dim::Fixed(dim)));
    ValueInfo { name: name.into(), element: ElementType::F32, shape: shape.collect() }
}

fn floats(name: &str, dims: &[usize], seed: &mut u32) -> Initializer<'static> {
    let mut next = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values = (0..dims.iter().product()).flat_map(|_| (0.5 * next()).to_le_bytes()).collect();
    Initializer {
        name: name.into(),
        element: ElementType::F32,
        dims: dims.iter().map(|&dim| dim as u64).collect(),
        payload: Payload::Owned(values),
    }
}

/// A tokenizer that splits at spaces; unknown words become the end token.
fn tokenizer() -> String {
    let vocabulary: Vec<_> = WORDS.iter().enumerate().map(|(id, word)| format!("{word:?}: {id}")).collect();
    format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": {{"type": "Lowercase"}},
        "pre_tokenizer": {{"type": "Whitespace"}}, "decoder": null,
        "post_processor": {{"type": "RobertaProcessing", "sep": ["</s>", 7], "cls": ["<s>", 6], "trim_offsets": false, "add_prefix_space": false}},
        "model": {{"type": "WordLevel", "vocab": {{{}}}, "unk_token": "</s>"}}}}"#,
        vocabulary.join(", ")
    )
}
