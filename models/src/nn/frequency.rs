//! The global filter (Rao et al., "Global Filter Networks for Image Classification", NeurIPS 2021): tokens mixed in the frequency domain.
//!
//! `X' = irfft2(rfft2(X) ∘ K)` over the token grid, per channel, with a learned complex filter `K`. The transforms are products with
//! constant real bases, so that the graph needs nothing but matrix products, on any engine.

use std::f64::consts::TAU;

use tch::{Device, Kind, Tensor};

use crate::parameters::{Parameters, Start};

/// The orthonormal real Fourier transform of a grid `H × W` and its inverse, as matrices.
///
/// Row `u (W/2+1) + v` of `forward` gives the real part of the coefficient `(u, v)`, row `F + u (W/2+1) + v` the imaginary part, with
/// `F = H (W/2+1)`.
#[derive(Debug)]
pub struct Bases {
    /// `[2F, HW]`.
    pub forward: Tensor,
    /// `[HW, 2F]`.
    pub inverse: Tensor,
}

impl Bases {
    /// The matrices of a grid.
    pub fn new([height, width]: [i64; 2], device: Device) -> Self {
        let half = width / 2 + 1;
        let (cells, coefficients) = ((height * width) as usize, (height * half) as usize);
        let norm = 1.0 / (cells as f64).sqrt();
        let mut forward = vec![0f32; 2 * coefficients * cells];
        let mut inverse = vec![0f32; cells * 2 * coefficients];
        for u in 0..height {
            for v in 0..half {
                let k = (u * half + v) as usize;
                // A real signal's other half is the conjugate: its share comes from this half. The columns 0 and W/2 are their own mirror.
                let share = if v == 0 || 2 * v == width { 1.0 } else { 2.0 };
                for y in 0..height {
                    for x in 0..width {
                        let cell = (y * width + x) as usize;
                        // The phase is reduced as whole numbers: no cancellation on large grids.
                        let turns = (u * y % height) as f64 / height as f64 + (v * x % width) as f64 / width as f64;
                        let (sin, cos) = (TAU * turns).sin_cos();
                        forward[k * cells + cell] = (norm * cos) as f32;
                        forward[(coefficients + k) * cells + cell] = (-norm * sin) as f32;
                        inverse[cell * 2 * coefficients + k] = (norm * share * cos) as f32;
                        inverse[cell * 2 * coefficients + coefficients + k] = (-norm * share * sin) as f32;
                    }
                }
            }
        }
        let matrix = |values: &[f32], rows: usize| Tensor::from_slice(values).view([rows as i64, -1]).to_device(device);
        Bases { forward: matrix(&forward, 2 * coefficients), inverse: matrix(&inverse, cells) }
    }

    /// `irfft2(rfft2(x) ∘ filter)` of `x [B, HW, D]` with `filter [F, D, 2]`.
    pub fn filter(&self, x: &Tensor, filter: &Tensor) -> Tensor {
        let spectrum = self.forward.matmul(x);
        let parts = spectrum.chunk(2, 1);
        let (real, imaginary) = (&parts[0], &parts[1]);
        let (a, b) = (filter.select(-1, 0), filter.select(-1, 1));
        let product = Tensor::cat(&[real * &a - imaginary * &b, real * &b + imaginary * &a], 1);
        self.inverse.matmul(&product)
    }
}

/// The learned filter of one frequency block, one complex number for each coefficient and channel.
#[derive(Debug)]
pub struct FrequencyFilter {
    filter: Tensor,
}

impl FrequencyFilter {
    /// Parameter `{name}.filter [H (W/2+1), D, 2]`.
    pub fn new(parameters: &Parameters, name: &str, [height, width]: [i64; 2], channels: i64) -> Self {
        let shape = [height * (width / 2 + 1), channels, 2];
        FrequencyFilter { filter: parameters.vector(&format!("{name}.filter"), &shape, Start::Normal(0.02)) }
    }

    /// The filtered tokens `[B, HW, D]`, in f32.
    pub fn forward(&self, bases: &Bases, x: &Tensor) -> Tensor {
        bases.filter(&x.to_kind(Kind::Float), &self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn the_identity_filter_gives_the_input_back() {
        for (height, width) in [(8, 8), (7, 7), (4, 6), (5, 4), (16, 16), (1, 3)] {
            let bases = Bases::new([height, width], Device::Cpu);
            let x = random(&[2, height * width, 5]);
            let coefficients = height * (width / 2 + 1);
            let one = Tensor::from_slice(&[1f32, 0.0]).expand([coefficients, 5, 2], false);
            assert!(distance(&bases.filter(&x, &one), &x) < 2e-5, "{height} × {width}");
        }
    }

    #[test]
    fn any_filter_does_what_the_fast_transform_does() {
        for (height, width) in [(8, 8), (7, 7), (4, 6), (3, 5)] {
            let bases = Bases::new([height, width], Device::Cpu);
            let (x, half) = (random(&[2, height * width, 3]), width / 2 + 1);
            let filter = random(&[height * half, 3, 2]);
            let spectrum = x.view([2, height, width, 3]).fft_rfft2(None::<&[i64]>, [1, 2], "ortho");
            let product = spectrum * filter.view_as_complex().view([height, half, 3]);
            let wanted = product.fft_irfft2([height, width].as_slice(), [1, 2], "ortho").view([2, height * width, 3]);
            assert!(distance(&bases.filter(&x, &filter), &wanted) < 2e-5, "{height} × {width}");
        }
    }

    #[test]
    fn gradients_are_finite_differences() {
        let bases = Bases::new([4, 6], Device::Cpu);
        let bases =
            Bases { forward: bases.forward.to_kind(Kind::Double), inverse: bases.inverse.to_kind(Kind::Double) };
        let (x, weights) = (random(&[1, 24, 2]).to_kind(Kind::Double), random(&[1, 24, 2]).to_kind(Kind::Double));
        let filter = random(&[16, 2, 2]).to_kind(Kind::Double).set_requires_grad(true);
        let loss = |filter: &Tensor| (bases.filter(&x, filter).tanh() * &weights).sum(Kind::Double);
        loss(&filter).backward();
        let gradient = filter.grad();
        for index in 0..filter.numel() as i64 {
            let nudge = Tensor::zeros([64], (Kind::Double, Device::Cpu));
            let _ = nudge.get(index).fill_(1e-5);
            let nudge = nudge.view([16, 2, 2]);
            let filter = filter.detach();
            let slope = (loss(&(&filter + &nudge)) - loss(&(&filter - &nudge))).double_value(&[]) / 2e-5;
            let found = gradient.view([-1]).double_value(&[index]);
            assert!((slope - found).abs() < 1e-6 * (1.0 + slope.abs()), "{index}: {slope} {found}");
        }
    }
}
