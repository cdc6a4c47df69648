//! The layers that everything is made of, each read from the checkpoint by its canonical name.

use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis, IxDyn};

use crate::Error;
use crate::source::{Activation, Source};

/// The tensor `name`, which must be of `shape`.
pub fn read(source: &dyn Source, name: &str, shape: &[usize]) -> Result<ArrayD<f32>, Error> {
    let tensor = source.tensor(name)?;
    if tensor.shape != shape {
        let found = tensor.shape;
        return Err(Error::Reference(format!("tensor {name} is {found:?} where the configuration asks for {shape:?}")));
    }
    ArrayD::from_shape_vec(IxDyn(shape), tensor.data)
        .map_err(|error| Error::Reference(format!("tensor {name}: {error}")))
}

/// The vector `name` of `length` values.
pub fn read1(source: &dyn Source, name: &str, length: usize) -> Result<Array1<f32>, Error> {
    Ok(read(source, name, &[length])?.into_shape_with_order(length).expect("one axis"))
}

/// The matrix `name` of `[rows, columns]`.
pub fn read2(source: &dyn Source, name: &str, shape: [usize; 2]) -> Result<Array2<f32>, Error> {
    Ok(read(source, name, &shape)?.into_shape_with_order(shape).expect("two axes"))
}

/// `y = x Wᵀ + b`, `b` zero if the checkpoint has none.
pub struct Linear {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Linear {
    /// Reads `{name}.weight` of `[outputs, inputs]` and `{name}.bias` of `[outputs]`.
    pub fn read(source: &dyn Source, name: &str, outputs: usize, inputs: usize) -> Result<Self, Error> {
        let weight = read2(source, &format!("{name}.weight"), [outputs, inputs])?;
        let bias = format!("{name}.bias");
        let bias = if source.has(&bias) { read1(source, &bias, outputs)? } else { Array1::zeros(outputs) };
        Ok(Self { weight, bias })
    }

    /// `[tokens, inputs]` to `[tokens, outputs]`.
    pub fn apply(&self, x: &Array2<f32>) -> Array2<f32> {
        x.dot(&self.weight.t()) + &self.bias
    }
}

/// LayerNorm with gain and bias.
pub struct Norm {
    gain: Array1<f32>,
    bias: Array1<f32>,
    eps: f32,
}

impl Norm {
    /// Reads `{name}.weight` and `{name}.bias`, both of `[width]`.
    pub fn read(source: &dyn Source, name: &str, width: usize, eps: f32) -> Result<Self, Error> {
        Ok(Self {
            gain: read1(source, &format!("{name}.weight"), width)?,
            bias: read1(source, &format!("{name}.bias"), width)?,
            eps,
        })
    }

    /// Each row `[width]` on its own.
    pub fn apply(&self, x: &Array2<f32>) -> Array2<f32> {
        let mut y = x.clone();
        for mut row in y.axis_iter_mut(Axis(0)) {
            let width = row.len() as f32;
            let mean = row.sum() / width;
            row -= mean;
            let variance = row.dot(&row) / width;
            row /= (variance + self.eps).sqrt();
            row *= &self.gain;
            row += &self.bias;
        }
        y
    }
}

/// The value of an activation at `x`.
pub fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::TanhGelu => {
            let root = std::f32::consts::FRAC_2_PI.sqrt();
            0.5 * x * (1.0 + (root * (x + 0.044_715 * x * x * x)).tanh())
        }
    }
}

/// `x / ‖x‖`.
pub fn normalized(x: ArrayView1<f32>) -> Array1<f32> {
    let norm = x.dot(&x).sqrt().max(1e-12);
    x.mapv(|value| value / norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_at_known_points() {
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} {b}");
        close(activate(Activation::Gelu, 1.0), 0.841_344_8);
        close(activate(Activation::Gelu, -2.0), -0.045_500_26);
        close(activate(Activation::QuickGelu, 1.0), 0.845_795_8);
        close(activate(Activation::TanhGelu, 1.0), 0.841_192);
        close(activate(Activation::TanhGelu, -2.0), -0.045_402_3);
        close(activate(Activation::QuickGelu, -100.0), 0.0);
    }
}
