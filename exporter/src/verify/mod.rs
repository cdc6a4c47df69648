//! Holds a written file against its source: the checkpoint's own arithmetic, tract on the file's graph, and the runtime on the file in
//! place must agree.
//!
//! A whole model is never in memory: the reference reads layer by layer, tract runs piece by piece, and the file is mapped only while the
//! runtime runs.

mod cut;
pub(crate) mod inputs;
mod native;
mod report;
#[cfg(test)]
mod tests;
mod tract;

use std::path::Path;

use edgelip::Mapping;
use edgelip_runtime::onnx;
use ndarray::{Array2, Axis, Ix2};
use tract_onnx::prelude::Tensor;

pub use report::{Comparison, Party, Report, Tolerance};

use crate::Error;
use crate::reference::{self, Merging, Rule};
use crate::source::{Guide, Source, TextPooling};

/// What to verify on, and who hears how far it is.
pub struct Options<'a> {
    /// Random inputs, besides the photos.
    pub random: usize,
    /// Seed of the random inputs.
    pub seed: u64,
    /// Threads of the runtime.
    pub threads: usize,
    /// Called with what is about to run, such as `tract vision/blocks.3`.
    pub progress: &'a dyn Fn(&str),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { random: 2, seed: 1, threads: edgelip::threads::default_threads(), progress: &|_| () }
    }
}

/// What a file says of itself.
struct Described {
    precision: String,
    /// The rule's name, `none` if nothing merges.
    merge: String,
    schedule: Vec<usize>,
    guide: Guide,
}

impl Described {
    /// Whether any block merges.
    fn merges(&self) -> bool {
        self.schedule.iter().any(|&merged| merged > 0)
    }
}

/// Verifies a file with an image tower.
///
/// # Errors
/// A tensor of the source that can't be read; a file that the runtime or tract refuses.
pub fn vision(source: &dyn Source, path: &Path, options: &Options) -> Result<Report, Error> {
    let Options { random, seed, threads, progress } = *options;
    let model = source.model();
    progress("runtime");
    let (described, images, runtime) = {
        let mapping = map(path)?;
        let described = describe(&mapping)?;
        // Fewer images of noise than photos where noise may end up far away, so that the median is a photo's.
        let random = if described.merges() && described.precision == "i8" { random.min(1) } else { random };
        let images = inputs::images(model.vision()?, model.preprocess()?, random, seed)?;
        let runtime = native::images(&mapping, &images, threads)?;
        (described, images, runtime)
    };

    progress("reference");
    let pixels: Vec<_> = images.iter().map(|image| image.pixels.clone()).collect();
    let (schedule, guide) = (described.schedule.as_slice(), described.guide);
    let merging = match described.merge.as_str() {
        "none" => None,
        "ward" => Some(Merging { rule: Rule::Ward, schedule, guide }),
        "tome" => Some(Merging { rule: Rule::Tome, schedule, guide }),
        other => return Err(Error::Verify(format!("{}: merging by `{other}` is not known", path.display()))),
    };
    let reference = reference::vision(source, merging, &pixels)?;

    let views: Vec<_> = pixels.iter().map(|pixels| pixels.view()).collect();
    let batch = ndarray::stack(Axis(0), &views).map_err(|error| Error::Verify(error.to_string()))?;
    let batch = tensor(batch.shape(), batch.as_slice().unwrap_or_default())?;
    let mut outputs =
        tract::run(path, [("pixel_values".to_owned(), batch)].into(), &|piece| progress(&format!("tract {piece}")))?;
    let tract = output(&mut outputs, "image_embeds")?;

    let merges = described.merges();
    let mut comparisons =
        compare("image_embeds", &described.precision, merges, [reference.view(), tract.view(), runtime.view()]);
    comparisons.extend(compare_labels(path, &tract, &mut outputs)?);
    Ok(Report {
        tower: "vision",
        precision: described.precision,
        merges,
        inputs: images.into_iter().map(|image| image.name).collect(),
        passed: comparisons.iter().all(|comparison| comparison.passed),
        comparisons,
    })
}

/// Verifies a file with a text tower.
///
/// # Errors
/// A tensor of the source that can't be read; a file that the runtime or tract refuses.
pub fn text(source: &dyn Source, path: &Path, options: &Options) -> Result<Report, Error> {
    let Options { random, seed, threads, progress } = *options;
    let config = source.model().text()?;
    let texts = inputs::texts(config, random + 2, seed);

    progress("runtime");
    let (described, runtime) = {
        let mapping = map(path)?;
        (describe(&mapping)?, native::texts(&mapping, &texts, source.model().embedding, threads)?)
    };

    progress("reference");
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| text.ids.clone()).collect();
    let reference = reference::text(source, &ids)?;

    // A tower that attends to its padding puts it in by the mask.
    let (longest, padding, before) = match config.pooling {
        TextPooling::EotFirst => (0, config.eot, false),
        TextPooling::EotArgmax | TextPooling::Mean | TextPooling::Pooler => (0, 0, false),
        TextPooling::Last(padding) => (config.context, 0, padding.before),
    };
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0).max(longest);
    let mut padded = Array2::from_elem((ids.len(), longest), i64::from(padding));
    let mut mask = Array2::<i64>::zeros((ids.len(), longest));
    for (row, ids) in ids.iter().enumerate() {
        let first = if before { longest - ids.len() } else { 0 };
        for (column, &id) in (first..).zip(ids) {
            padded[[row, column]] = i64::from(id);
            mask[[row, column]] = 1;
        }
    }
    let shape = [ids.len(), longest];
    let given = [("input_ids", padded), ("attention_mask", mask)];
    let given = given
        .into_iter()
        .map(|(name, values)| Ok((name.to_owned(), tensor(&shape, &values.into_raw_vec_and_offset().0)?)));
    let given = given.collect::<Result<tract::Values, Error>>()?;
    let mut outputs = tract::run(path, given, &|piece| progress(&format!("tract {piece}")))?;
    let tract = output(&mut outputs, "text_embeds")?;

    let comparisons =
        compare("text_embeds", &described.precision, false, [reference.view(), tract.view(), runtime.view()]);
    Ok(Report {
        tower: "text",
        precision: described.precision,
        merges: false,
        inputs: texts.into_iter().map(|text| text.name).collect(),
        passed: comparisons.iter().all(|comparison| comparison.passed),
        comparisons,
    })
}

fn map(path: &Path) -> Result<Mapping, Error> {
    Mapping::open(path).map_err(|error| Error::Verify(error.to_string()))
}

fn describe(bytes: &[u8]) -> Result<Described, Error> {
    let file = onnx::File::parse(bytes)?;
    let entry = |key: &str| file.metadata(key).unwrap_or_default().to_owned();
    Ok(Described {
        precision: entry("edgelip.precision"),
        merge: entry("edgelip.merge"),
        schedule: entry("edgelip.schedule").split(',').filter_map(|count| count.trim().parse().ok()).collect(),
        guide: Guide {
            strength: entry("edgelip.guide").parse().unwrap_or_default(),
            semantic: entry("edgelip.guide_semantic").parse().unwrap_or_default(),
        },
    })
}

/// Each pair of reference, tract and runtime.
fn compare(
    output: &'static str,
    precision: &str,
    merges: bool,
    parties: [ndarray::ArrayView2<f32>; 3],
) -> Vec<Comparison> {
    let [reference, tract, runtime] = parties;
    let (to_source, to_each_other) = tolerances(precision, merges);
    vec![
        Comparison::new(output, [Party::Reference, Party::Tract], reference, tract, to_source),
        Comparison::new(output, [Party::Reference, Party::Runtime], reference, runtime, to_source),
        Comparison::new(output, [Party::Tract, Party::Runtime], tract, runtime, to_each_other),
    ]
}

/// How near the file must be to its source, and the two engines to each other.
fn tolerances(precision: &str, merges: bool) -> (Tolerance, Tolerance) {
    // Under another rounding, two tokens of nearly equal score may change places in a merge: that shows in single inputs, not in the
    // median. Integers round in every layer, so that even one engine with and without its optimisations is 1e-4 from itself.
    let near = |median, worst| if merges { Tolerance { median, worst } } else { Tolerance::all(median) };
    match precision {
        "f32" if !merges => (Tolerance::all(0.99999), Tolerance::all(0.99999)),
        "f32" => (near(0.9999, 0.999), near(0.9999, 0.999)),
        "f16" => (near(0.9999, 0.95), near(0.9999, 0.999)),
        // Integers and merging together let an image of noise, whose tokens are all equally unlike, end up far away: the median must do.
        _ if merges => (near(0.98, 0.5), near(0.999, 0.5)),
        _ => (Tolerance::all(0.995), Tolerance::all(0.999)),
    }
}

/// The graph's logits against the runtime's for the same embeddings; none without labels.
fn compare_labels(
    path: &Path,
    embeddings: &Array2<f32>,
    outputs: &mut tract::Values,
) -> Result<Option<Comparison>, Error> {
    if !outputs.contains_key("logits_per_image") {
        return Ok(None);
    }
    let tract = output(outputs, "logits_per_image")?;
    let mapping = map(path)?;
    let mut runtime = Array2::zeros(tract.raw_dim());
    for (embedding, mut row) in embeddings.outer_iter().zip(runtime.axis_iter_mut(Axis(0))) {
        match native::logits(&mapping, embedding)? {
            Some(logits) if logits.len() == row.len() => row.assign(&ndarray::aview1(&logits)),
            other => {
                let found = other.map_or(0, |logits| logits.len());
                return Err(Error::Verify(format!("the graph has {} labels, the label bank {found}", row.len())));
            }
        }
    }
    let parties = [Party::Tract, Party::Runtime];
    Ok(Some(Comparison::new("logits_per_image", parties, tract.view(), runtime.view(), Tolerance::all(0.99999))))
}

fn tensor<T: tract_onnx::prelude::Datum + Copy>(shape: &[usize], values: &[T]) -> Result<Tensor, Error> {
    Tensor::from_shape(shape, values).map_err(|error| Error::Verify(format!("{error:#}")))
}

fn output(outputs: &mut tract::Values, name: &str) -> Result<Array2<f32>, Error> {
    let missing = || Error::Verify(format!("the graph has no output `{name}` of two axes"));
    let tensor = outputs.remove(name).ok_or_else(missing)?;
    let view = tensor.to_plain_array_view::<f32>().map_err(|error| Error::Verify(format!("{error:#}")))?;
    let shape =
        (view.shape().first().copied().unwrap_or(0), view.len() / view.shape().first().copied().unwrap_or(1).max(1));
    let values: Vec<f32> = view.iter().copied().collect();
    if view.ndim() != 2 {
        return Err(missing());
    }
    Array2::from_shape_vec(Ix2(shape.0, shape.1), values).map_err(|error| Error::Verify(error.to_string()))
}
