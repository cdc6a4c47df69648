//! Layers of halves: the plain twin in half precision against single precision, and what only rows and weights at the edges show. That vector
//! kernels have the twin's bits is among the tests of all layers.

use edgelip_kernels::{Activation, Kernels, LANES, Linear, Panels, RowsMut, Single, linear_scratch};

use crate::layers::{Layer, Precision, apply};
use crate::{Matrix, Random, assert_same, instruction_sets, twin};

const ONE: u16 = 0x3c00;
const LARGEST: u16 = 0x7bff;

/// All kernels that could compute in half precision, and the twin of those that do.
fn all() -> impl Iterator<Item = Kernels> {
    Kernels::available().chain([Kernels::generic_fp16()])
}

/// A layer of 16 outputs and no bias.
fn layer(weights: &[u16]) -> Linear<'_> {
    Linear { panels: Panels::F16(weights), bias: &[], inputs: weights.len() / LANES, outputs: LANES }
}

fn of(kernels: Kernels, x: &Matrix, layer: &Linear<'_>) -> Vec<f32> {
    apply(kernels, x.rows(), layer, Activation::None, None, &Single)
}

/// Small integers, whose sums are exact in half precision.
#[test]
fn every_product_counts_once_at_every_depth() {
    let mut random = Random(31);
    for inputs in (1..=70).chain([127, 255, 256]) {
        let mut x = Matrix::random(&mut random, 11, inputs);
        x.data.iter_mut().filter(|x| !x.is_nan()).for_each(|x| *x = (*x * 3.0).round());
        // 0, ±1 and ±2.
        let weights: Vec<u16> =
            (0..inputs * LANES).map(|_| [0, ONE, ONE | 0x8000, 0x4000, 0xc000][random.below(5) as usize]).collect();
        let layer = layer(&weights);
        let ought = of(Kernels::generic(), &x, &layer);
        for kernels in all() {
            assert_same(&of(kernels, &x, &layer), &ought, &format!("{} {inputs}", kernels.name()));
        }
    }
}

/// Relative error of whole results, which is what matters for an embedding.
#[test]
fn errors_of_half_precision_do_not_add_up() {
    let mut random = Random(32);
    for (inputs, spread) in [(256, 0), (768, 0), (3072, 0), (768, 30), (768, -30), (768, -90)] {
        let halves = Layer::random(&mut random, inputs, 4);
        let mut x = Matrix::random(&mut random, 8, inputs);
        x.data.iter_mut().for_each(|x| *x *= 2.0_f32.powi(spread));
        let mut layer = halves.linear(Precision::F16);
        layer.bias = &[];
        let ought = of(Kernels::generic(), &x, &layer);
        let columns = |y: &[f32]| -> Vec<f64> {
            y.chunks_exact(layer.outputs + LANES).flat_map(|row| &row[..layer.outputs]).map(|y| f64::from(*y)).collect()
        };
        let ought = columns(&ought);
        for kernels in all() {
            let is = columns(&of(kernels, &x, &layer));
            let errors: f64 = is.iter().zip(&ought).map(|(is, ought)| (is - ought).powi(2)).sum();
            let error = (errors / ought.iter().map(|ought| ought.powi(2)).sum::<f64>()).sqrt();
            println!("{} {inputs} {spread}: {error:.1e}", kernels.name());
            assert!(error <= 2e-3, "{}: {inputs} inputs times 2^{spread}: {error}", kernels.name());
        }
    }
}

/// Where half precision would overflow, results are those of single precision to the bit; and rows beside are what they are alone.
#[test]
fn weights_too_large_for_half_precision() {
    let inputs = 100;
    let mut random = Random(33);
    for weight in [LARGEST, LARGEST | 0x8000] {
        let weights = vec![weight; inputs * LANES];
        let mut x = Matrix::random(&mut random, 9, inputs);
        // Both signs for most rows, one sign for some.
        for row in [0, 4, 8] {
            x.data[row * x.stride..][..inputs].iter_mut().for_each(|x| *x = x.abs() + 1.0);
        }
        let layer = layer(&weights);
        let floats = of(Kernels::generic(), &x, &layer);
        for kernels in all() {
            let y = of(kernels, &x, &layer);
            assert!(y.chunks_exact(2 * LANES).all(|row| row[..LANES].iter().all(|y| y.is_finite())));
            for row in [0, 4, 8] {
                let row = row * 2 * LANES..row * 2 * LANES + LANES;
                assert_same(&y[row.clone()], &floats[row], kernels.name());
            }
            assert_same(&y, &of(twin(kernels), &x, &layer), kernels.name());
        }
    }
}

/// Weights that are infinite or no number, and rows that hold such elements, give what they give in single precision.
#[test]
fn what_is_not_finite() {
    let inputs = 45;
    let mut random = Random(34);
    let halves = Layer::random(&mut random, inputs, 1);
    let layer = halves.linear(Precision::F16);
    for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut x = Matrix::random(&mut random, 5, inputs);
        let stride = x.stride;
        x.data[2 * stride + 40] = value;
        let floats = of(Kernels::generic(), &x, &layer);
        for kernels in all() {
            let y = of(kernels, &x, &layer);
            for (row, (is, ought)) in y.chunks_exact(2 * LANES).zip(floats.chunks_exact(2 * LANES)).enumerate() {
                for (is, ought) in is.iter().zip(ought) {
                    assert_eq!(is.is_finite(), row != 2 || ought.is_finite(), "{}: row {row}", kernels.name());
                    assert!(is.is_finite() || is == ought || (is.is_nan() && ought.is_nan()), "{}", kernels.name());
                }
            }
        }
    }
    let weights = vec![0x7c00; LANES];
    let x = Matrix { data: vec![1.0; LANES], rows: 1, stride: LANES };
    for kernels in all() {
        assert!(of(kernels, &x, &self::layer(&weights))[..LANES].iter().all(|y| *y == f32::INFINITY));
    }
}

/// Rows of zeros, tiny and huge ones, and those whose elements differ by more than half precision holds.
#[test]
fn rows_of_every_size() {
    let inputs = 40;
    let weights = vec![ONE; inputs * LANES];
    let layer = layer(&weights);
    for value in [0.0, -0.0, 1e-45, 1e-38, 3e-36, 1e-20, 1.0, 1e20, 5e36, -5e36] {
        let x = Matrix { data: vec![value; 2 * 48], rows: 2, stride: 48 };
        for kernels in all() {
            let y = of(kernels, &x, &layer);
            let ought = value * inputs as f32;
            let bound = 5e-3 * ought.abs();
            assert!((y[0] - ought).abs() <= bound, "{}: {} is not {ought}", kernels.name(), y[0]);
            assert_same(&y, &of(twin(kernels), &x, &layer), kernels.name());
        }
    }
    let mut x = Matrix { data: vec![1e-9; 48], rows: 1, stride: 48 };
    x.data[7] = 3e9;
    for kernels in all() {
        assert!((of(kernels, &x, &layer)[0] / 3e9 - 1.0).abs() < 1e-3, "{}", kernels.name());
    }
}

/// Halves take more scratch than integers, so that a tower's may suffice for some of the rows at a time only.
#[test]
fn scratch_for_some_of_the_rows_is_enough() {
    let mut random = Random(35);
    let halves = Layer::random(&mut random, 70, 2);
    let x = Matrix::random(&mut random, 37, 70);
    let layer = halves.linear(Precision::F16);
    for kernels in all() {
        let with = |scratch: usize| {
            let mut y = vec![7.0; 37 * 48];
            let rows = RowsMut::new(&mut y, 37, 48).unwrap();
            let mut scratch = vec![f32::NAN; scratch];
            kernels.linear(x.rows(), &layer, Activation::Gelu, false, rows, &mut scratch, &Single).unwrap();
            y
        };
        let ought = with(1 << 14);
        for scratch in [2 * linear_scratch(37, 70), linear_scratch(37, 70), linear_scratch(37, 70) / 2] {
            assert_same(&with(scratch), &ought, kernels.name());
        }
        // Without any there is single precision, which can be asked for too.
        let single = apply(Kernels::generic(), x.rows(), &layer, Activation::Gelu, None, &Single);
        assert_same(&with(0), &single, kernels.name());
        let asked = apply(kernels.in_single_precision(), x.rows(), &layer, Activation::Gelu, None, &Single);
        assert_same(&asked, &single, kernels.name());
    }
    assert_eq!(instruction_sets().count() + 2, all().count());
}
