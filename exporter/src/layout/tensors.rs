//! The tensors that a configuration asks for, held against those that the checkpoint has.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::{Convolution, Tensor};

/// A tensor that must be there.
pub(super) struct Expected {
    pub(super) canonical: String,
    /// The checkpoint's name.
    pub(super) name: String,
    /// The shape it has in the checkpoint.
    pub(super) shape: Vec<usize>,
    /// What makes it the canonical one.
    pub(super) view: View,
}

impl Expected {
    /// Puts `prefix` before the checkpoint's name, and those of what else the tensor is made of.
    pub(super) fn put_below(&mut self, prefix: &str) {
        self.name.insert_str(0, prefix);
        self.view.put_below(prefix);
    }

    /// Takes `prefix` from the checkpoint's name.
    pub(super) fn lift(&mut self, prefix: &str) {
        if let Some(rest) = self.name.strip_prefix(prefix) {
            self.name = rest.into();
        }
    }
}

/// Where a canonical tensor lies.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) view: View,
}

/// What is to be done to a tensor of the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum View {
    /// Nothing.
    Whole,
    /// One of several equal parts along the first axis: queries, keys or values of a fused projection.
    Part {
        /// Counted from 0.
        index: usize,
        /// How many there are.
        of: usize,
    },
    /// The axes of a matrix are swapped.
    Transposed,
    /// The first row by itself.
    FirstRow,
    /// Zeros of the same shape, for what a layout does without.
    Zeros,
    /// The same values in another shape.
    Shaped(Vec<usize>),
    /// A table `[1, …, rows, width]` as `[1 + rows, width]`, zeros in front: places without one for the class token.
    BehindZeros,
    /// The identity matrix as wide as a vector: a projection that changes nothing.
    Identity,
    /// Each row times a value of another tensor: a layer and the scale behind it.
    Scaled(String),
    /// A convolution's weight times what the BatchNorm of this name behind it multiplies with.
    BatchScaled(String),
    /// What the BatchNorm of this name, whose bias is taken, adds to a convolution without bias.
    BatchShift(String),
}

/// What BatchNorms add to the variance in every library that has one here.
const BATCH_NORM_EPS: f64 = 1e-5;

impl View {
    /// The canonical tensor; one whose shape was not checked before comes back as it is. `other` reads what else it is made of.
    ///
    /// # Errors
    /// Those of `other`.
    pub(super) fn of(
        &self,
        mut tensor: Tensor,
        other: impl Fn(&str) -> Result<Tensor, Error>,
    ) -> Result<Tensor, Error> {
        match self {
            View::Whole => {}
            View::Part { index, of } => {
                let rows = tensor.shape.first().map_or(0, |rows| rows / of);
                let length = tensor.data.len() / of;
                tensor.data = tensor.data[index * length..][..length].to_vec();
                tensor.shape[0] = rows;
            }
            View::Transposed => {
                if let [rows, columns] = tensor.shape[..] {
                    let data = &tensor.data;
                    let swapped =
                        (0..columns).flat_map(|column| (0..rows).map(move |row| data[row * columns + column]));
                    tensor = Tensor { data: swapped.collect(), shape: vec![columns, rows] };
                }
            }
            View::FirstRow => {
                tensor.truncate(1);
                tensor.shape.remove(0);
            }
            View::Zeros => tensor.data.fill(0.0),
            View::Shaped(shape) => tensor.shape.clone_from(shape),
            View::BehindZeros => {
                if let [.., rows, width] = tensor.shape[..] {
                    tensor.data.splice(..0, std::iter::repeat_n(0.0, width));
                    tensor.shape = vec![1 + rows, width];
                }
            }
            View::Identity => {
                let width = tensor.data.len();
                let data = (0..width * width).map(|i| f32::from(i / width == i % width)).collect();
                tensor = Tensor { shape: vec![width; 2], data };
            }
            View::Scaled(name) => {
                let by = other(name)?.data.into_iter().map(f64::from);
                scale_rows(&mut tensor, by);
            }
            View::BatchScaled(norm) => {
                let [gain, variance] = [other(&format!("{norm}.weight"))?, other(&format!("{norm}.running_var"))?];
                scale_rows(&mut tensor, batch_factors(&gain, &variance));
            }
            View::BatchShift(norm) => {
                let [gain, variance] = [other(&format!("{norm}.weight"))?, other(&format!("{norm}.running_var"))?];
                let mean = other(&format!("{norm}.running_mean"))?;
                let shifts =
                    batch_factors(&gain, &variance).zip(&mean.data).map(|(factor, &mean)| factor * f64::from(mean));
                for (value, shift) in tensor.data.iter_mut().zip(shifts) {
                    *value = (f64::from(*value) - shift) as f32;
                }
            }
        }
        Ok(tensor)
    }

    /// Puts `prefix` before the names of other tensors.
    fn put_below(&mut self, prefix: &str) {
        if let View::Scaled(name) | View::BatchScaled(name) | View::BatchShift(name) = self {
            name.insert_str(0, prefix);
        }
    }

    /// The names of the other tensors that it is made of.
    pub(super) fn others(&self) -> Vec<String> {
        match self {
            View::Scaled(name) => vec![name.clone()],
            View::BatchScaled(norm) | View::BatchShift(norm) => {
                ["weight", "running_mean", "running_var"].map(|part| format!("{norm}.{part}")).into()
            }
            _ => Vec::new(),
        }
    }
}

/// Multiplies each row of a tensor.
fn scale_rows(tensor: &mut Tensor, factors: impl ExactSizeIterator<Item = f64>) {
    let length = tensor.data.len() / factors.len().max(1);
    for (row, factor) in tensor.data.chunks_mut(length.max(1)).zip(factors) {
        row.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
}

/// What a BatchNorm multiplies each channel with.
fn batch_factors<'t>(gain: &'t Tensor, variance: &'t Tensor) -> impl ExactSizeIterator<Item = f64> + 't {
    let pairs = gain.data.iter().zip(&variance.data);
    pairs.map(|(&gain, &variance)| f64::from(gain) / (f64::from(variance) + BATCH_NORM_EPS).sqrt())
}

/// Adds a tensor.
pub(super) fn push(expected: &mut Vec<Expected>, canonical: String, name: String, shape: &[usize]) {
    push_view(expected, canonical, name, shape, View::Whole);
}

/// Adds a tensor that is stored otherwise.
pub(super) fn push_view(expected: &mut Vec<Expected>, canonical: String, name: String, shape: &[usize], view: View) {
    expected.push(Expected { canonical, name, shape: shape.to_vec(), view });
}

/// Adds a weight and its bias.
pub(super) fn push_pair(expected: &mut Vec<Expected>, canonical: &str, name: &str, weight: &[usize]) {
    push(expected, format!("{canonical}.weight"), format!("{name}.weight"), weight);
    push(expected, format!("{canonical}.bias"), format!("{name}.bias"), &weight[..1]);
}

/// Adds layers from `width` values to as many, which the checkpoint has as one, one below the other in the order of `parts`.
pub(super) fn push_fused(
    expected: &mut Vec<Expected>,
    [canonical, name]: [&str; 2],
    parts: &[&str],
    width: usize,
    has_bias: bool,
) {
    let of = parts.len();
    for (index, part) in parts.iter().enumerate() {
        let view = View::Part { index, of };
        let ours = format!("{canonical}.{part}");
        push_view(expected, format!("{ours}.weight"), format!("{name}.weight"), &[of * width, width], view.clone());
        if has_bias {
            push_view(expected, format!("{ours}.bias"), format!("{name}.bias"), &[of * width], view);
        }
    }
}

/// Adds the convolutions of a stem, whose names begin with what `layer` makes of their numbers; each but the last has a BatchNorm called
/// `norm` instead of a bias.
pub(super) fn push_stem(
    expected: &mut Vec<Expected>,
    stem: &[Convolution],
    layer: impl Fn(usize) -> String,
    norm: &str,
) {
    let mut inputs = 3;
    for (index, &Convolution { outputs, window }) in stem.iter().enumerate() {
        let (ours, theirs) = (format!("vision.stem.{index}"), layer(index));
        let shape = [outputs, inputs, window.side, window.side];
        if index + 1 == stem.len() {
            push_pair(expected, &ours, &format!("{theirs}.conv"), &shape);
        } else {
            let norm = format!("{theirs}.{norm}");
            let scaled = View::BatchScaled(norm.clone());
            push_view(expected, format!("{ours}.weight"), format!("{theirs}.conv.weight"), &shape, scaled);
            push_view(expected, format!("{ours}.bias"), format!("{norm}.bias"), &[outputs], View::BatchShift(norm));
        }
        inputs = outputs;
    }
}

/// Whether a tensor counts a BatchNorm's batches, which only served training.
pub(super) fn is_batch_count(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// The only value of a tensor.
///
/// # Errors
/// [`Error::Tensors`] if it is not a number, [`Error::Io`] if the file can't be read.
pub(super) fn scalar(checkpoint: &Checkpoint, name: &str) -> Result<f32, Error> {
    let stored = checkpoint.tensor(name)?;
    match stored.data[..] {
        [value] if value.is_finite() => Ok(value),
        _ => Err(Error::tensors(checkpoint.path(), format!("`{name}` is {:?}", stored.data))),
    }
}

/// Rows and columns of a matrix.
///
/// # Errors
/// [`Error::Tensors`] if there is none of this name, or it is empty.
pub(super) fn matrix(checkpoint: &Checkpoint, name: &str) -> Result<[usize; 2], Error> {
    let problem = match checkpoint.shape(name) {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => return Ok([rows, columns]),
        Some(other) => format!("`{name}` is {other:?}, not a matrix"),
        None => format!("`{name}` is missing"),
    };
    Err(Error::tensors(checkpoint.path(), problem))
}

/// Canonical names to the checkpoint's, which begin with `prefix`, if exactly the expected tensors are there. `family` is what the
/// checkpoint should be, `says` what asks for the shapes; a tensor that `ignored` knows, by its name without the prefix, may be there as well.
///
/// # Errors
/// [`Error::Tensors`] listing all that is missing, not known or of another shape.
pub(super) fn match_tensors(
    checkpoint: &Checkpoint,
    prefix: &str,
    expected: Vec<Expected>,
    [family, says]: [&str; 2],
    ignored: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Stored>, Error> {
    let mut problems = Vec::new();
    let mut tensors = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut check = |name: &str, shape: &[usize], known: &mut BTreeSet<String>| {
        if known.insert(name.into()) {
            match checkpoint.shape(name) {
                None => problems.push(format!("`{name}` is missing")),
                Some(found) if found != shape && !(shape.is_empty() && found == [1]) => {
                    problems.push(format!("`{name}` is {found:?}, but {says} makes it {shape:?}"));
                }
                Some(_) => {}
            }
        }
    };
    for mut tensor in expected {
        tensor.put_below(prefix);
        let Expected { canonical, name, shape, view } = tensor;
        check(&name, &shape, &mut known);
        // What a tensor is scaled with or shifted by has one value for each row.
        view.others().iter().for_each(|other| check(other, shape.get(..1).unwrap_or(&[]), &mut known));
        tensors.insert(canonical, Stored { name, view });
    }
    for name in checkpoint.names() {
        if !known.contains(name) && !ignored(name.strip_prefix(prefix).unwrap_or(name)) {
            problems.push(format!("`{name}` is not part of a {family} of this configuration"));
        }
    }
    if problems.is_empty() {
        return Ok(tensors);
    }
    Err(Error::Tensors { path: checkpoint.path().into(), problems })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], data: &[f32]) -> Tensor {
        Tensor { shape: shape.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn batch_norms_move_into_convolutions() {
        let (gain, bias, mean, variance) = ([2.0, -1.0], [0.5, 0.25], [1.0, -4.0], [4.0, 0.25]);
        let other = |name: &str| {
            let data = match name {
                "bn.weight" => gain,
                "bn.running_mean" => mean,
                "bn.running_var" => variance,
                _ => return Err(Error::MissingTensor(name.into())),
            };
            Ok(tensor(&[2], &data))
        };
        let weight = [3.0, 5.0, 7.0, 11.0];
        let scaled = View::BatchScaled("bn".into()).of(tensor(&[2, 2, 1, 1], &weight), other).expect("there");
        let shift = View::BatchShift("bn".into()).of(tensor(&[2], &bias), other).expect("there");
        for (row, input) in [[1.0, -2.0], [0.5, 3.0]].into_iter().enumerate() {
            let dot =
                |weight: &[f32]| f64::from(weight[2 * row]) * input[0] + f64::from(weight[2 * row + 1]) * input[1];
            let normed = (dot(&weight) - f64::from(mean[row])) / (f64::from(variance[row]) + 1e-5).sqrt();
            let expected = normed * f64::from(gain[row]) + f64::from(bias[row]);
            assert!((dot(&scaled.data) + f64::from(shift.data[row]) - expected).abs() < 1e-5);
        }
        assert!(View::BatchScaled("norm".into()).of(tensor(&[2, 1], &[1.0; 2]), other).is_err());
    }

    #[test]
    fn rows_are_scaled_prepended_and_made() {
        let none = |name: &str| Err(Error::MissingTensor(name.into()));
        let by = |_: &str| Ok(tensor(&[2], &[2.0, -1.0]));
        let scaled = View::Scaled("by".into()).of(tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), by).expect("there");
        assert_eq!(scaled.data, [2.0, 4.0, -3.0, -4.0]);
        let places = View::BehindZeros.of(tensor(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]), none).expect("there");
        assert_eq!(places, tensor(&[3, 2], &[0.0, 0.0, 1.0, 2.0, 3.0, 4.0]));
        let identity = View::Identity.of(tensor(&[2], &[5.0, 6.0]), none).expect("there");
        assert_eq!(identity, tensor(&[2, 2], &[1.0, 0.0, 0.0, 1.0]));
    }
}
