//! What both towers share: metadata values and the layers of a transformer, found in the file by name.

use edgelip_kernels::{Activation, Kernels, Linear, Panels, Part, cast, math, padded};

use crate::image::{Centre, Filter, Preprocess, Resize};
use crate::number::Number;
use crate::onnx::{DataType, File, Finder, Tensor};
use crate::split::{split, split_once};
use crate::{Error, Problem};

/// How a file stores the weights of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, computed in it where the kernels can, else in 32-bit.
    F16,
    /// 8-bit integers with a scale for each output, computed in integers. The few layers of 16-bit floating point beside them are computed in
    /// 32-bit.
    I8,
}

impl Precision {
    /// What computes a file of this precision. Where rounding to integers magnifies the least difference, no bit depends on the CPU.
    pub(crate) fn kernels(self, kernels: Kernels) -> Kernels {
        if self == Precision::F16 { kernels } else { kernels.in_single_precision() }
    }
}

/// How logits become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// One label among all: the scores sum to 1.
    Softmax,
    /// Each label by itself, between 0 and 1.
    Sigmoid,
}

/// What an image's embedding is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readout {
    /// The class token after the last block.
    Spatial,
    /// The sum of that and the frequency feature, both at unit length.
    Joint,
}

/// How strongly informative tokens are kept from merging; docs/token-merging.md has the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guide {
    /// How much farther apart two tokens count at most: twice as far at 1.
    pub strength: f32,
    /// The share, 0 to 1, that likeness to the image's summary has in what is informative; the rest is high-frequency energy's.
    pub semantic: f32,
}

/// Typed access to a file's metadata.
pub(crate) struct Metadata<'f, 'a>(pub &'f File<'a>);

impl<'a> Metadata<'_, 'a> {
    /// The format's version and the tower.
    pub(crate) fn check(&self, tower: &'static str) -> Result<(), Error> {
        let version = self.0.metadata("edgelip.format").ok_or(Error::NotEdgelip)?;
        match version.parse::<u32>() {
            Ok(1) => {}
            Ok(newer @ 2..) => return Err(Error::Version(newer)),
            _ => return Err(invalid("edgelip.format")),
        }
        if self.text("edgelip.tower")? == tower { Ok(()) } else { Err(Error::WrongTower { expected: tower }) }
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<&'a str, Error> {
        self.0.metadata(key).ok_or(Error::Metadata { key, problem: Problem::Missing })
    }

    pub(crate) fn number<T: Number>(&self, key: &'static str) -> Result<T, Error> {
        T::read(self.text(key)?.trim_ascii()).ok_or(invalid(key))
    }

    /// A finite floating-point number.
    pub(crate) fn float(&self, key: &'static str) -> Result<f32, Error> {
        self.number::<f32>(key).and_then(|value| if value.is_finite() { Ok(value) } else { Err(invalid(key)) })
    }

    /// A comma-separated list that fills `out` from the front; its length.
    pub(crate) fn list<T: Number>(&self, key: &'static str, out: &mut [T]) -> Result<usize, Error> {
        let mut length = 0;
        for item in split(self.text(key)?, b',') {
            *out.get_mut(length).ok_or(invalid(key))? = T::read(item.trim_ascii()).ok_or(invalid(key))?;
            length += 1;
        }
        Ok(length)
    }

    /// A list of exactly `N` items.
    pub(crate) fn array<T: Number, const N: usize>(&self, key: &'static str) -> Result<[T; N], Error> {
        let mut items = [T::default(); N];
        if self.list(key, &mut items)? == N { Ok(items) } else { Err(invalid(key)) }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Result<T, Error> {
        let value = self.text(key)?;
        words.iter().find(|word| word.0 == value).map(|word| word.1).ok_or(invalid(key))
    }

    pub(crate) fn precision(&self) -> Result<Precision, Error> {
        let words = [("f32", Precision::F32), ("f16", Precision::F16), ("i8", Precision::I8)];
        self.word("edgelip.precision", &words)
    }

    pub(crate) fn activation(&self) -> Result<Activation, Error> {
        let words =
            [("gelu", Activation::Gelu), ("quick_gelu", Activation::QuickGelu), ("gelu_tanh", Activation::TanhGelu)];
        self.word("edgelip.activation", &words)
    }

    /// What `read` makes of an entry, if there is one.
    pub(crate) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.0.metadata(key).map(|_| read(self, key)).transpose()
    }

    /// The epsilon of the LayerNorms: positive.
    pub(crate) fn norm_eps(&self) -> Result<f32, Error> {
        let key = "edgelip.norm_eps";
        self.float(key).and_then(|eps| if eps > 0.0 { Ok(eps) } else { Err(invalid(key)) })
    }
}

pub(crate) fn invalid(key: &'static str) -> Error {
    Error::Metadata { key, problem: Problem::Invalid }
}

/// The names of a linear layer's initializers, without the prefix of its block.
#[derive(Clone, Copy)]
pub(crate) struct LinearName {
    pub weight: &'static str,
    pub bias: &'static str,
    pub scale: &'static str,
    pub zero: &'static str,
}

/// The [`LinearName`] of a layer.
macro_rules! linear_name {
    ($layer:literal) => {
        &crate::model::LinearName {
            weight: concat!($layer, ".weight"),
            bias: concat!($layer, ".bias"),
            scale: concat!($layer, ".scale"),
            zero: concat!($layer, ".zero"),
        }
    };
}
pub(crate) use linear_name;

/// The shape of a linear layer as the metadata implies it.
#[derive(Clone, Copy)]
pub(crate) struct LinearShape {
    pub inputs: usize,
    /// Outputs of each group, not padded.
    pub outputs: usize,
    /// Independent groups of panels with a leading axis of their own: 3 for `qkv`, else 1.
    pub groups: usize,
    pub precision: Precision,
    pub bias: bool,
}

/// Finds initializers and checks that they are what the metadata says.
pub(crate) struct Loader<'a> {
    finder: Finder<'a>,
    /// Prefix of all names of the blocks, as in `vision.`.
    tower: &'static str,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(file: &File<'a>, tower: &'static str) -> Self {
        Loader { finder: file.finder(), tower }
    }

    /// In block 3 `qkv.weight` stands for `vision.blocks.3.qkv.weight`, and `frequency.filter` for `vision.frequency.3.filter`.
    fn find(&mut self, block: Option<u16>, name: &'static str) -> Option<Tensor<'a>> {
        let tower = self.tower;
        let (stage, layer) = name.strip_prefix("frequency.").map_or(("blocks.", name), |layer| ("frequency.", layer));
        self.finder.find(|full| match block {
            None => full == name,
            Some(block) => full
                .strip_prefix(tower)
                .and_then(|rest| split_once(rest.strip_prefix(stage)?, b'.'))
                .is_some_and(|(index, rest)| rest == layer && index.parse() == Ok(block)),
        })
    }

    /// The bytes of an initializer of this type and shape.
    pub(crate) fn bytes(
        &mut self,
        block: Option<u16>,
        name: &'static str,
        data_type: DataType,
        dims: &[usize],
    ) -> Result<&'a [u8], Error> {
        let problem = |problem| Error::Tensor { name, block, problem };
        let tensor = self.find(block, name).ok_or(problem(Problem::Missing))?;
        if tensor.data_type != data_type as i32 {
            return Err(problem(Problem::Type));
        }
        if !tensor.has_dims(dims) {
            return Err(problem(Problem::Shape));
        }
        let element = match data_type {
            DataType::I8 => 1,
            DataType::F16 => 2,
            DataType::F32 | DataType::I32 => 4,
            DataType::I64 => 8,
        };
        let size = dims.iter().try_fold(element, |product: usize, &dim| product.checked_mul(dim));
        if size != Some(tensor.raw.len()) { Err(problem(Problem::Size)) } else { Ok(tensor.raw) }
    }

    /// An f32 initializer.
    pub(crate) fn floats(
        &mut self,
        block: Option<u16>,
        name: &'static str,
        dims: &[usize],
    ) -> Result<&'a [f32], Error> {
        let bytes = self.bytes(block, name, DataType::F32, dims)?;
        cast::f32s(bytes).ok_or(Error::Tensor { name, block, problem: Problem::Alignment })
    }

    /// A table of `[rows, width]`; one of bytes has a scale for each row, under the other name.
    pub(crate) fn table(
        &mut self,
        [name, scale]: [&'static str; 2],
        precision: Precision,
        dims: [usize; 2],
    ) -> Result<Table<'a>, Error> {
        match precision {
            Precision::F32 => self.floats(None, name, &dims).map(Table::F32),
            Precision::F16 => {
                let bytes = self.bytes(None, name, DataType::F16, &dims)?;
                let misaligned = Error::Tensor { name, block: None, problem: Problem::Alignment };
                cast::u16s(bytes).map(Table::F16).ok_or(misaligned)
            }
            Precision::I8 => {
                let rows = cast::i8s(self.bytes(None, name, DataType::I8, &dims)?);
                Ok(Table::I8 { rows, scale: self.floats(None, scale, dims.part(..1))? })
            }
        }
    }

    /// A linear layer's panels, bias and scales.
    pub(crate) fn linear(
        &mut self,
        block: Option<u16>,
        name: &'static LinearName,
        shape: LinearShape,
    ) -> Result<Linear<'a>, Error> {
        let LinearShape { inputs, outputs, groups, precision, bias } = shape;
        let panels = padded(outputs) / edgelip_kernels::LANES;
        let grouped = usize::from(groups == 1);
        let floats = [groups, panels, inputs, 16];
        let bytes = [groups, panels, inputs.div_ceil(4), 16, 4];
        let outputs = groups * padded(outputs);
        let misaligned = |name| Error::Tensor { name, block, problem: Problem::Alignment };
        let bias = if bias { self.floats(block, name.bias, &[outputs])? } else { &[] };
        let panels = match precision {
            Precision::F32 => Panels::F32(self.floats(block, name.weight, floats.part(grouped..))?),
            Precision::F16 => {
                let raw = self.bytes(block, name.weight, DataType::F16, floats.part(grouped..))?;
                Panels::F16(cast::u16s(raw).ok_or(misaligned(name.weight))?)
            }
            Precision::I8 => {
                let scale = self.floats(block, name.scale, &[outputs])?;
                let zero = self.bytes(block, name.zero, DataType::I32, &[outputs])?;
                let weight = self.bytes(block, name.weight, DataType::I8, bytes.part(grouped..))?;
                Panels::I8 { weight: cast::i8s(weight), scale, zero: cast::i32s(zero).ok_or(misaligned(name.zero))? }
            }
        };
        Ok(Linear { panels, bias, inputs, outputs })
    }
}

/// A table of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table<'a> {
    F32(&'a [f32]),
    F16(&'a [u16]),
    /// To be multiplied with the scale of their row.
    I8 {
        rows: &'a [i8],
        scale: &'a [f32],
    },
}

impl Table<'_> {
    /// Adds row `index` to `sum`, which is as long as a row.
    pub(crate) fn add_row(&self, index: usize, sum: &mut [f32]) {
        let range = index * sum.len()..(index + 1) * sum.len();
        match self {
            Table::F32(rows) => sum.iter_mut().zip(rows.part(range)).for_each(|(sum, value)| *sum += value),
            Table::F16(rows) => {
                sum.iter_mut().zip(rows.part(range)).for_each(|(sum, &bits)| *sum += math::f16_to_f32(bits));
            }
            Table::I8 { rows, scale } => {
                let scale = scale.at(index);
                sum.iter_mut().zip(rows.part(range)).for_each(|(sum, &value)| *sum += f32::from(value) * scale);
            }
        }
    }
}

/// How an image becomes the input of a tower that takes `image` (height, width).
pub(crate) fn preprocess(metadata: &Metadata<'_, '_>, image: [usize; 2]) -> Result<Preprocess, Error> {
    let key = "edgelip.preprocess.resize";
    let number = |text: &str| Number::read(text.trim_ascii()).ok_or(invalid(key));
    let resize = match split_once(metadata.text(key)?, b',') {
        None if metadata.text(key)? == "none" => Resize::None,
        Some(("shortest", side)) => Resize::Shortest(number(side)?),
        Some(("exact", sides)) => {
            let (height, width) = split_once(sides, b',').ok_or(invalid(key))?;
            Resize::Exact(number(height)?, number(width)?)
        }
        _ => return Err(invalid(key)),
    };
    let crop = match metadata.text("edgelip.preprocess.crop")? {
        "none" => None,
        _ => Some(metadata.array("edgelip.preprocess.crop")?),
    };
    let fits = match (crop, resize) {
        (Some(crop), _) => crop == image,
        (None, Resize::Exact(height, width)) => [height, width] == image,
        (None, _) => true,
    };
    if !fits {
        return Err(invalid("edgelip.preprocess.crop"));
    }
    let filters = [("bicubic", Filter::Bicubic), ("bilinear", Filter::Bilinear)];
    let mean = metadata.array("edgelip.preprocess.mean")?;
    let std: [f32; 3] = metadata.array("edgelip.preprocess.std")?;
    let rescale: f64 = metadata.number("edgelip.preprocess.rescale")?;
    if !rescale.is_finite() || rescale <= 0.0 {
        return Err(invalid("edgelip.preprocess.rescale"));
    }
    if !mean.iter().chain(&std).all(|value: &f32| value.is_finite()) || std.contains(&0.0) {
        return Err(invalid("edgelip.preprocess.std"));
    }
    let filter = metadata.word("edgelip.preprocess.filter", &filters)?;
    let centres = [("floor", Centre::Floor), ("even", Centre::Even)];
    let centre = metadata
        .optional("edgelip.preprocess.centre", |metadata, key| metadata.word(key, &centres))?
        .unwrap_or_default();
    Ok(Preprocess { resize, filter, crop, centre, rescale, mean, std })
}
