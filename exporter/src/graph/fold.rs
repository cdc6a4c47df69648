//! Folding: arithmetic on weights that the model would otherwise do on every image. Sums are taken in f64.

use edgelip_kernels::padded;

use crate::error::Error;
use crate::source::{PreprocessConfig, Source};

use super::Precision;
use super::pack::round_f16;

/// A linear layer `y = x Wᵀ + b` after folding.
pub(super) struct Folded {
    /// `[outputs, inputs]`.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// A linear layer as the checkpoint has it, and what to fold into it. Names are canonical ones without `.weight` and
/// `.bias`.
pub(super) struct Affine {
    /// The layer.
    pub layer: String,
    /// A LayerNorm just before it, whose gain and bias move into it.
    pub norm: Option<String>,
    /// A factor of the result.
    pub scale: f64,
}

impl Affine {
    /// Reads and folds: `W' = scale · W diag(gain)`, `b' = scale · (b + W bias)`.
    pub fn load(&self, source: &dyn Source) -> Result<Folded, Error> {
        let weight = source.tensor(&format!("{}.weight", self.layer))?;
        let &[outputs, inputs] = &weight.shape[..] else {
            return Err(Error::Graph(format!("`{}.weight` has shape {:?}, not two axes", self.layer, weight.shape)));
        };
        let bias = format!("{}.bias", self.layer);
        let mut bias = if source.has(&bias) { floats(source, &bias, outputs)? } else { vec![0.0; outputs] };
        let mut weight = weight.data;
        let norm = match &self.norm {
            Some(norm) => {
                let gain = floats(source, &format!("{norm}.weight"), inputs)?;
                Some((gain, floats(source, &format!("{norm}.bias"), inputs)?))
            }
            None => None,
        };
        for (row, sum) in weight.chunks_exact_mut(inputs.max(1)).zip(&mut bias) {
            if let Some((_, shift)) = &norm {
                *sum += row.iter().zip(shift).map(|(&w, &s)| f64::from(w) * s).sum::<f64>();
            }
            *sum *= self.scale;
            for (k, w) in row.iter_mut().enumerate() {
                let gain = norm.as_ref().map_or(1.0, |(gain, _)| gain[k]);
                *w = (f64::from(*w) * gain * self.scale) as f32;
            }
        }
        Ok(Folded { weight, bias: bias.into_iter().map(|value| value as f32).collect() })
    }
}

/// The layer that takes pixels, with their normalisation folded in: the patch embedding, or a stem's first convolution.
pub(super) struct PixelFold<'a> {
    pub source: &'a dyn Source,
    /// Its canonical name without `.weight` and `.bias`.
    pub layer: &'static str,
    pub preprocess: PreprocessConfig,
    /// Pixels along a side of what it sees.
    pub side: usize,
    pub outputs: usize,
    pub precision: Precision,
}

impl PixelFold<'_> {
    /// The weight `[outputs, 3 · side²]` that takes `u8 / 256`, inputs ordered (row, column, channel). Its bias is
    /// [`PixelFold::bias`].
    pub fn weight(&self) -> Result<Vec<f32>, Error> {
        let factor = self.preprocess.std.map(|std| 256.0 * self.preprocess.rescale / f64::from(std));
        let weight = channels_last(self.source, &format!("{}.weight", self.layer), self.outputs, 3)?;
        expect(self.layer, weight.len(), self.outputs * 3 * self.side * self.side)?;
        Ok(weight.iter().enumerate().map(|(i, &w)| (f64::from(w) * factor[i % 3]) as f32).collect())
    }

    /// The bias `[outputs]`: the layer's own, less what the mean pixel gives. The weights enter as they are stored, so
    /// that their rounding does nothing to a mean pixel.
    pub fn bias(&self) -> Result<Vec<f64>, Error> {
        let name = format!("{}.bias", self.layer);
        let mut bias = match self.source.has(&name) {
            true => floats(self.source, &name, self.outputs)?,
            false => vec![0.0; self.outputs],
        };
        let mean = self.means();
        for (row, sum) in self.weight()?.chunks_exact(3 * self.side * self.side).zip(&mut bias) {
            let stored = |w: f32| if self.precision == Precision::F32 { w } else { round_f16(w) };
            *sum -= row.iter().enumerate().map(|(k, &w)| f64::from(stored(w)) * mean[k % 3]).sum::<f64>();
        }
        Ok(bias)
    }

    /// The mean pixel in units of `u8 / 256`.
    fn means(&self) -> [f64; 3] {
        self.preprocess.mean.map(|mean| f64::from(mean) / (256.0 * self.preprocess.rescale))
    }

    /// What brings normalised pixels to `u8 / 256`: scale and offset for each channel.
    pub fn pixel(&self) -> [[f32; 3]; 2] {
        let scale = self.preprocess.std.map(|std| (f64::from(std) / (256.0 * self.preprocess.rescale)) as f32);
        [scale, self.means().map(|mean| mean as f32)]
    }
}

/// A convolution's weight `[outputs, channels, side, side]` as `[outputs, side · side · channels]`, inputs ordered (row, column, channel).
pub(super) fn channels_last(
    source: &dyn Source,
    name: &str,
    outputs: usize,
    channels: usize,
) -> Result<Vec<f32>, Error> {
    let unfolded = source.tensor(name)?.data;
    let area = unfolded.len() / (outputs * channels).max(1);
    expect(name, unfolded.len(), outputs * channels * area)?;
    let mut weight = vec![0.0; unfolded.len()];
    for (row, unfolded) in weight.chunks_exact_mut(channels * area).zip(unfolded.chunks_exact(channels * area)) {
        for (i, value) in row.iter_mut().enumerate() {
            *value = unfolded[area * (i % channels) + i / channels];
        }
    }
    Ok(weight)
}

/// Position embedding of the patches plus a `bias` that all share, `[order.len(), padded(width)]`; row `t` belongs to the patch with raster index
/// `order[t]`.
pub(super) fn positions(source: &dyn Source, width: usize, order: &[usize], bias: &[f64]) -> Result<Vec<f32>, Error> {
    let position = source.tensor("vision.position")?.data;
    let class_tokens = source.model().vision()?.class_tokens();
    expect("vision.position", position.len(), (class_tokens + order.len()) * width)?;
    let mut rows = vec![0.0; order.len() * padded(width)];
    for (row, &index) in rows.chunks_exact_mut(padded(width)).zip(order) {
        let values = &position[(class_tokens + index) * width..][..width];
        for (out, (&value, &shift)) in row.iter_mut().zip(values.iter().zip(bias)) {
            *out = (f64::from(value) + shift) as f32;
        }
    }
    Ok(rows)
}

/// The class token with its position, after the pre-norm if there is one: `[padded(width)]`.
pub(super) fn class_row(source: &dyn Source, width: usize, eps: f32) -> Result<Vec<f32>, Error> {
    let class = floats(source, "vision.class", width)?;
    let position = source.tensor("vision.position")?.data;
    if !source.model().vision()?.pre_norm {
        let sum = class.iter().zip(&position).map(|(&class, &position)| (class + f64::from(position)) as f32);
        return Ok(sum.chain(std::iter::repeat(0.0)).take(padded(width)).collect());
    }
    let gain = floats(source, "vision.pre_norm.weight", width)?;
    let bias = floats(source, "vision.pre_norm.bias", width)?;
    let sum: Vec<f64> = class.iter().zip(&position).map(|(&class, &position)| class + f64::from(position)).collect();
    let mean = sum.iter().sum::<f64>() / width as f64;
    let variance = sum.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / width as f64;
    let deviation = (variance + f64::from(eps)).sqrt();
    let mut row: Vec<f32> = (0..width).map(|i| ((sum[i] - mean) / deviation * gain[i] + bias[i]) as f32).collect();
    row.resize(padded(width), 0.0);
    Ok(row)
}

/// A vector of a known length, in f64.
pub(super) fn floats(source: &dyn Source, name: &str, length: usize) -> Result<Vec<f64>, Error> {
    let tensor = source.tensor(name)?;
    expect(name, tensor.data.len(), length)?;
    Ok(tensor.data.into_iter().map(f64::from).collect())
}

pub(super) fn expect(name: &str, values: usize, expected: usize) -> Result<(), Error> {
    match values == expected {
        true => Ok(()),
        false => Err(Error::Graph(format!("`{name}` has {values} values where the configuration needs {expected}"))),
    }
}
