//! The bounds that the documentation states, on dense sweeps, against double precision.

use edgelip_kernels::{
    Activation, Attention, Kernels, LANES, Linear, Panels, RowsMut, Single, attention_scratch, padded,
};

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
                    let bound = 1e-6 + 6e-8 * below;
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
                        let bound = 1e-6 * (1.0 + exact.abs() + mean.abs() / deviation);
                        let error = (f64::from(*y) - exact).abs();
                        assert!(error <= bound, "{}: {y}, not {exact}, of {width} around {mean}", kernels.name());
                    }
                }
            }
        }
    }
}

/// Sums of `n` products of normal numbers, each rounded once.
fn bound_of_sum(n: usize) -> f64 {
    4e-7 * (n as f64).sqrt().max(4.0)
}

#[test]
fn layers_are_sums_of_products() {
    let mut random = Random(83);
    for inputs in [1, 4, 37, 200, 768] {
        let (x, weights, bias) =
            (Matrix::random(&mut random, 3, inputs), random.normals(2 * inputs * LANES), random.normals(2 * LANES));
        let layer = Linear { panels: Panels::F32(&weights), bias: &bias, inputs, outputs: 2 * LANES };
        for kernels in Kernels::available() {
            let y = crate::layers::apply(kernels, x.rows(), &layer, Activation::None, None, &Single);
            for (row, y) in y.chunks_exact(3 * LANES).enumerate() {
                for (output, y) in y[..2 * LANES].iter().enumerate() {
                    let panel = &weights[output / LANES * inputs * LANES..];
                    let products =
                        x.rows().row(row)[..inputs].iter().zip(panel.iter().skip(output % LANES).step_by(LANES));
                    let exact =
                        products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>() + f64::from(bias[output]);
                    let error = (f64::from(*y) - exact).abs();
                    assert!(
                        error <= bound_of_sum(inputs) * (1.0 + exact.abs()),
                        "{}: {y}, not {exact}",
                        kernels.name()
                    );
                }
            }
        }
    }
}

#[test]
fn attention_is_softmax_of_products_times_values() {
    let mut random = Random(84);
    for (queries, keys, dim) in [(1, 9, 24), (4, 33, 5), (20, 20, 64), (7, 65, 16)] {
        let [q, k, v] = [queries, keys, keys].map(|rows| Matrix::random(&mut random, rows, dim));
        let log_sizes: Vec<f32> = (0..keys).map(|_| (1.0 + random.below(9) as f32).ln()).collect();
        let attention = Attention {
            q: q.rows(),
            q_column: 0,
            k: k.rows(),
            k_column: 0,
            v: v.rows(),
            v_column: 0,
            heads: 1,
            head_dim: dim,
            log_sizes: Some(&log_sizes),
            causal_from: None,
        };
        let wide = |matrix: &Matrix, row: usize, column: usize| f64::from(matrix.data[row * matrix.stride + column]);
        for kernels in Kernels::available() {
            let mut y = vec![0.0; queries * padded(dim)];
            let rows = RowsMut::new(&mut y, queries, padded(dim)).unwrap();
            let mut scratch = vec![f32::NAN; attention_scratch(queries, keys, dim, 1)];
            kernels.attention(&attention, rows, &mut scratch, &Single).unwrap();
            for (query, y) in y.chunks_exact(padded(dim)).enumerate() {
                let logit = |key: usize| (0..dim).map(|i| wide(&q, query, i) * wide(&k, key, i)).sum::<f64>();
                let shares: Vec<f64> = (0..keys).map(|key| (logit(key) + f64::from(log_sizes[key])).exp()).collect();
                for (column, y) in y[..dim].iter().enumerate() {
                    let sum: f64 = shares.iter().enumerate().map(|(key, share)| share * wide(&v, key, column)).sum();
                    let exact = sum / shares.iter().sum::<f64>();
                    let error = (f64::from(*y) - exact).abs();
                    assert!(error <= 1e-5 * (1.0 + exact.abs()), "{}: {y}, not {exact}", kernels.name());
                }
            }
        }
    }
}
