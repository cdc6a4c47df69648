//! The bounds that the documentation states, on dense sweeps, against double precision.

use edgelip_kernels::{Kernels, RowsMut, Single};

use crate::{Matrix, Random};

#[test]
fn softmax_is_as_exact_as_it_says() {
    let mut random = Random(81);
    for len in (1..=66).chain([197, 577, 1000]) {
        for spread in [0.1, 1.0, 5.0, 15.0] {
            let logits: Vec<f32> = (0..len).map(|_| random.normal() * spread).collect();
            let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = logits.iter().map(|x| (f64::from(*x) - largest).exp()).sum();
            for kernels in Kernels::available() {
                let mut row = logits.clone();
                kernels.softmax(&mut row);
                for (is, x) in row.iter().zip(&logits) {
                    let below = largest - f64::from(*x);
                    let exact = (-below).exp() / sum;
                    let error = (f64::from(*is) / exact - 1.0).abs();
                    let factor = if kernels.name() == "generic" { 1e-5 } else { 1e-6 };
                    let bound = factor + 6e-8 * below;
                    assert!(
                        error <= bound || below > 87.0,
                        "{}: {is}, not {exact}, {below} below of {len}",
                        kernels.name()
                    );
                }
            }
        }
    }
}

#[test]
fn norms_are_as_exact_as_they_say() {
    let mut random = Random(82);
    for width in [1, 5, 16, 50, 192, 384, 768, 1024] {
        for offset in [0.0, 1.0, -10.0, 100.0] {
            let mut x = Matrix::random(&mut random, 4, width);
            x.data.iter_mut().for_each(|x| *x += offset);
            for kernels in Kernels::available() {
                let mut y = vec![0.0; x.data.len()];
                let rows = RowsMut::new(&mut y, 4, x.stride).unwrap();
                kernels.layer_norm(x.rows(), width, 1e-5, rows, &Single).unwrap();
                for (x, y) in x.data.chunks_exact(x.stride).zip(y.chunks_exact(x.stride)) {
                    let wide: Vec<f64> = x[..width].iter().map(|x| f64::from(*x)).collect();
                    let mean = wide.iter().sum::<f64>() / width as f64;
                    let variance = wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                    let deviation = (variance + 1e-5).sqrt();
                    for (x, y) in wide.iter().zip(y) {
                        let exact = (x - mean) / deviation;
                        let factor = if kernels.name() == "generic" { 1e-5 } else { 1e-6 };
                        let bound = factor * (1.0 + exact.abs() + mean.abs() / deviation);
                        let error = (f64::from(*y) - exact).abs();
                        assert!(error <= bound, "{}: {y}, not {exact}, of {width} around {mean}", kernels.name());
                    }
                }
            }
        }
    }
}
