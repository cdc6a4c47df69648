//! The frequency stage: a learned filter on the spectrum of each channel over the grid of patches, straight from the definition.

use std::f64::consts::TAU;

use ndarray::{Array1, Array2, ArrayD};

use super::block::{Mlp, Shape};
use super::layer::{Norm, read};
use crate::Error;
use crate::source::{Source, VisionConfig};

/// One frequency block.
pub struct Block {
    grid: [usize; 2],
    norm: Norm,
    /// `[coefficients, width, 2]`.
    filter: ArrayD<f32>,
    mlp: Mlp,
}

impl Block {
    /// Reads the block `name`, such as `vision.frequency.1`.
    pub fn read(source: &dyn Source, name: &str, config: &VisionConfig, shape: Shape) -> Result<Self, Error> {
        let filter = read(source, &format!("{name}.filter"), &[config.coefficients(), config.width, 2])?;
        Ok(Self {
            grid: config.grid(),
            norm: Norm::read(source, &format!("{name}.norm1"), config.width, config.norm_eps)?,
            filter,
            mlp: Mlp::read(source, name, shape)?,
        })
    }

    /// Patches `[patches, width]` in raster order.
    pub fn apply(&self, x: &Array2<f32>) -> Array2<f32> {
        let mut mixed = x.clone();
        for (channel, column) in self.norm.apply(x).columns().into_iter().enumerate() {
            let signal: Vec<f64> = column.iter().map(|&value| f64::from(value)).collect();
            let mut spectrum = rfft2(&signal, self.grid);
            for (coefficient, value) in spectrum.iter_mut().enumerate() {
                let part = |part: usize| f64::from(self.filter[[coefficient, channel, part]]);
                *value = value.times(Complex(part(0), part(1)));
            }
            let filtered: Array1<f32> = irfft2(&spectrum, self.grid).into_iter().map(|value| value as f32).collect();
            let mut sum = mixed.column_mut(channel);
            sum += &filtered;
        }
        self.mlp.apply(&mixed)
    }
}

/// A real and an imaginary part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Complex(f64, f64);

impl Complex {
    /// `e^(2πi · turns)`.
    fn turn(turns: f64) -> Self {
        let (sin, cos) = (TAU * turns).sin_cos();
        Complex(cos, sin)
    }

    fn plus(self, other: Self) -> Self {
        Complex(self.0 + other.0, self.1 + other.1)
    }

    fn times(self, other: Self) -> Self {
        Complex(self.0 * other.0 - self.1 * other.1, self.0 * other.1 + self.1 * other.0)
    }
}

/// The orthonormal transform of a real signal on a grid; of the columns, those up to the middle.
fn rfft2(signal: &[f64], [rows, columns]: [usize; 2]) -> Vec<Complex> {
    let half = columns / 2 + 1;
    let scale = 1.0 / ((rows * columns) as f64).sqrt();
    let mut along = vec![Complex::default(); rows * half];
    for (index, value) in along.iter_mut().enumerate() {
        let (y, v) = (index / half, index % half);
        for x in 0..columns {
            let turn = Complex::turn(-((v * x % columns) as f64) / columns as f64);
            *value = value.plus(turn.times(Complex(scale * signal[y * columns + x], 0.0)));
        }
    }
    down(&along, [rows, half], -1.0)
}

/// The orthonormal inverse of [`rfft2`].
fn irfft2(spectrum: &[Complex], [rows, columns]: [usize; 2]) -> Vec<f64> {
    let half = columns / 2 + 1;
    let scale = 1.0 / ((rows * columns) as f64).sqrt();
    let along = down(spectrum, [rows, half], 1.0);
    let value = |y: usize, x: usize| -> f64 {
        let wave = |v: usize| along[y * half + v].times(Complex::turn((v * x % columns) as f64 / columns as f64)).0;
        // The columns past the middle are conjugates of those before it.
        (0..half).map(|v| if v == 0 || 2 * v == columns { wave(v) } else { 2.0 * wave(v) }).sum()
    };
    (0..rows * columns).map(|cell| scale * value(cell / columns, cell % columns)).collect()
}

/// The unscaled transform of each column; `sign` is that of the exponent.
fn down(values: &[Complex], [rows, columns]: [usize; 2], sign: f64) -> Vec<Complex> {
    let mut out = vec![Complex::default(); values.len()];
    for (index, sum) in out.iter_mut().enumerate() {
        let (u, column) = (index / columns, index % columns);
        for y in 0..rows {
            let turn = Complex::turn(sign * (u * y % rows) as f64 / rows as f64);
            *sum = sum.plus(turn.times(values[y * columns + column]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_gives_the_signal_back() {
        for grid in [[8, 8], [7, 7], [1, 3], [5, 4], [9, 6]] {
            let signal: Vec<f64> = (0..grid[0] * grid[1]).map(|i| ((i * i * 7 + 3) % 11) as f64).collect();
            let back = irfft2(&rfft2(&signal, grid), grid);
            assert!(signal.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-9), "{grid:?}");
        }
    }

    #[test]
    fn a_wave_has_one_coefficient() {
        // cos(2π (y/4 + 2x/6)) on 4 × 6: half of it at (1, 2), the other half at its mirror, which is not kept.
        let signal: Vec<f64> =
            (0..24).map(|i| (TAU * ((i / 6) as f64 / 4.0 + 2.0 * (i % 6) as f64 / 6.0)).cos()).collect();
        for (index, Complex(real, imaginary)) in rfft2(&signal, [4, 6]).into_iter().enumerate() {
            let wanted = if index == 4 + 2 { 24f64.sqrt() / 2.0 } else { 0.0 };
            assert!((real - wanted).abs() < 1e-9 && imaginary.abs() < 1e-9, "{index}: {real} {imaginary}");
        }
    }
}
