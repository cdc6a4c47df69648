use edgelip_kernels::{
    Activation, Kernels, LANES, Linear, Panels, Parallel, Rows, RowsMut, Shape, Single, linear_scratch,
};

use crate::{Matrix, Random, assert_same, instruction_sets, pools, twin};

/// A layer with its own storage, in all precisions.
pub struct Layer {
    floats: Vec<f32>,
    halves: Vec<u16>,
    bytes: Vec<i8>,
    scale: Vec<f32>,
    zero: Vec<i32>,
    bias: Vec<f32>,
    pub inputs: usize,
    pub outputs: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    F32,
    F16,
    I8,
}

pub const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::I8];

impl Layer {
    pub fn random(random: &mut Random, inputs: usize, panels: usize) -> Layer {
        let outputs = panels * LANES;
        let depth = inputs.next_multiple_of(4);
        // [panels, depth / 4, 16, 4]: what lies past the inputs is zero.
        let bytes: Vec<i8> = (0..outputs * depth)
            .map(|index| {
                let input = index / (4 * LANES) % (depth / 4) * 4 + index % 4;
                if input < inputs { random.below(255) as i8 as i32 } else { 0 }.clamp(-127, 127) as i8
            })
            .collect();
        let zero = (0..outputs)
            .map(|output| {
                let panel = &bytes[output / LANES * depth * LANES..][..depth * LANES];
                let steps = panel.chunks_exact(4 * LANES);
                128 * steps.flat_map(|step| &step[output % LANES * 4..][..4]).map(|w| i32::from(*w)).sum::<i32>()
            })
            .collect();
        Layer {
            floats: random.normals(inputs * outputs),
            halves: (0..inputs * outputs).map(|_| half(random)).collect(),
            bytes,
            scale: (0..outputs).map(|_| 0.001 + random.normal().abs() / 127.0).collect(),
            zero,
            bias: random.normals(outputs),
            inputs,
            outputs,
        }
    }

    pub fn linear(&self, precision: Precision) -> Linear<'_> {
        let panels = match precision {
            Precision::F32 => Panels::F32(&self.floats),
            Precision::F16 => Panels::F16(&self.halves),
            Precision::I8 => Panels::I8 { weight: &self.bytes, scale: &self.scale, zero: &self.zero },
        };
        Linear { panels, bias: &self.bias, inputs: self.inputs, outputs: self.outputs }
    }
}

/// Bits of a half of size 1 or less, now and then subnormal or zero.
fn half(random: &mut Random) -> u16 {
    let sign = (random.below(2) << 15) as u16;
    sign | if random.below(16) == 0 { random.below(1 << 10) as u16 } else { random.below(15 << 10) as u16 }
}

pub fn apply(
    kernels: Kernels,
    x: Rows<'_>,
    layer: &Linear<'_>,
    activation: Activation,
    start: Option<&Matrix>,
    parallel: &dyn Parallel,
) -> Vec<f32> {
    let stride = layer.outputs + LANES;
    let mut y = start.map_or_else(|| vec![7.0; x.rows() * stride], |start| start.data[..x.rows() * stride].to_vec());
    let mut scratch = vec![f32::NAN; (2 * linear_scratch(x.rows(), layer.inputs)).max(LANES * layer.inputs)];
    let rows = RowsMut::new(&mut y, x.rows(), stride).unwrap();
    kernels.linear(x, layer, activation, start.is_some(), rows, &mut scratch, parallel).unwrap();
    y
}

/// Compares with the plain twins, and one worker with several.
fn check(kernels: Kernels, random: &mut Random, precision: Precision, [rows, inputs, panels]: [usize; 3]) {
    let layer = Layer::random(random, inputs, panels);
    let x = Matrix::random(random, rows, inputs);
    let what = format!("{} {precision:?} {rows} x {inputs} x {panels} panels", kernels.name());
    let layer = layer.linear(precision);
    let is = apply(kernels, x.rows(), &layer, Activation::None, None, &Single);
    let ought = apply(twin(kernels), x.rows(), &layer, Activation::None, None, &Single);
    assert_same(&is, &ought, &what);
}

#[test]
fn layers_agree_with_the_plain_twins_for_every_row_count() {
    let mut random = Random(1);
    for kernels in instruction_sets() {
        for precision in PRECISIONS {
            for rows in (1..=33).chain([50]) {
                check(kernels, &mut random, precision, [rows, 37, 3]);
            }
        }
    }
}

#[test]
fn layers_agree_with_the_plain_twins_for_every_depth_and_panel_count() {
    let mut random = Random(2);
    for kernels in instruction_sets() {
        for precision in PRECISIONS {
            for inputs in (1..=40).chain([255, 1021]) {
                for rows in [1, 2, 3, 5, 6] {
                    check(kernels, &mut random, precision, [rows, inputs, 1]);
                }
                check(kernels, &mut random, precision, [14, inputs, 2]);
            }
            for panels in 1..=5 {
                check(kernels, &mut random, precision, [7, 19, panels]);
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_workers() {
    let mut random = Random(3);
    let pools = pools();
    for kernels in Kernels::available() {
        for precision in PRECISIONS {
            for [rows, inputs, panels] in [[101, 96, 3], [3, 515, 17], [64, 64, 8]] {
                let layer = Layer::random(&mut random, inputs, panels);
                let x = Matrix::random(&mut random, rows, inputs);
                let layer = layer.linear(precision);
                let alone = apply(kernels, x.rows(), &layer, Activation::QuickGelu, None, &Single);
                for pool in &pools {
                    let shared = apply(kernels, x.rows(), &layer, Activation::QuickGelu, None, pool);
                    assert_same(&shared, &alone, kernels.name());
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_whatever_rows_are_beside_it() {
    let mut random = Random(4);
    let layer = Layer::random(&mut random, 45, 3);
    let x = Matrix::random(&mut random, 31, 45);
    for kernels in Kernels::available() {
        for precision in PRECISIONS {
            let layer = layer.linear(precision);
            let together = apply(kernels, x.rows(), &layer, Activation::Gelu, None, &Single);
            for (row, ought) in together.chunks_exact(layer.outputs + LANES).enumerate() {
                let one = Rows::new(&x.data[row * x.stride..], 1, x.stride).unwrap();
                assert_same(&apply(kernels, one, &layer, Activation::Gelu, None, &Single), ought, kernels.name());
            }
        }
    }
}

#[test]
fn activations_bias_and_accumulation() {
    let mut random = Random(5);
    let layer = Layer::random(&mut random, 24, 2);
    let x = Matrix::random(&mut random, 9, 24);
    let start = Matrix::random(&mut random, 9, layer.outputs);
    for kernels in instruction_sets() {
        for precision in PRECISIONS {
            for activation in [Activation::None, Activation::Gelu, Activation::QuickGelu, Activation::TanhGelu] {
                for start in [None, Some(&start)] {
                    for biased in [true, false] {
                        let mut layer = layer.linear(precision);
                        layer.bias = if biased { layer.bias } else { &[] };
                        let is = apply(kernels, x.rows(), &layer, activation, start, &Single);
                        let ought = apply(twin(kernels), x.rows(), &layer, activation, start, &Single);
                        assert_same(&is, &ought, kernels.name());
                    }
                }
            }
        }
    }
}

/// What the activation makes of single numbers, through a layer that is the identity.
fn activated(kernels: Kernels, activation: Activation, values: &[f32]) -> Vec<f32> {
    let mut identity = vec![0.0; LANES * LANES];
    identity.iter_mut().step_by(LANES + 1).for_each(|one| *one = 1.0);
    let layer = Linear { panels: Panels::F32(&identity), bias: &[], inputs: LANES, outputs: LANES };
    let x = Rows::new(values, values.len() / LANES, LANES).unwrap();
    let mut y = vec![0.0; values.len()];
    let rows = RowsMut::new(&mut y, values.len() / LANES, LANES).unwrap();
    kernels.linear(x, &layer, activation, false, rows, &mut [], &Single).unwrap();
    y
}

#[test]
fn activations_are_within_three_halves_of_an_ulp_of_their_argument() {
    let values: Vec<f32> = (0..40_000).map(|i| (i - 20_000) as f32 / 1000.0 + 1.7e-5).collect();
    // 32-bit Arm rounds each multiply-add twice.
    let (rounding, far_off) = if cfg!(target_arch = "arm") { (1.5, f32::EPSILON) } else { (1.0, 1e-14) };
    for kernels in Kernels::available() {
        let gelu = activated(kernels, Activation::Gelu, &values);
        let quick = activated(kernels, Activation::QuickGelu, &values);
        let tanh = activated(kernels, Activation::TanhGelu, &values);
        for (((x, gelu), quick), tanh) in values.iter().zip(gelu).zip(quick).zip(tanh) {
            let wide = f64::from(*x);
            let bound = rounding * 1.8e-7 * wide.abs();
            let exact = 0.5 * wide * libm::erfc(-wide * core::f64::consts::FRAC_1_SQRT_2);
            assert!((f64::from(gelu) - exact).abs() <= bound, "{}: gelu({x}) = {gelu}, not {exact}", kernels.name());
            let exact = wide / (1.0 + (-1.702 * wide).exp());
            // The rounding of 1.702 x is magnified by the exponential, where that is steep.
            let bound = rounding * 3e-7 * wide.abs();
            assert!(
                (f64::from(quick) - exact).abs() <= bound,
                "{}: quick_gelu({x}) = {quick}, not {exact}",
                kernels.name()
            );
            let root = core::f64::consts::FRAC_2_PI.sqrt();
            let exact = 0.5 * wide * (1.0 + (root * (wide + 0.044715 * wide.powi(3))).tanh());
            assert!(
                (f64::from(tanh) - exact).abs() <= bound,
                "{}: tanh_gelu({x}) = {tanh}, not {exact}",
                kernels.name()
            );
        }
        for activation in [Activation::Gelu, Activation::QuickGelu, Activation::TanhGelu] {
            let mut values = [0.0; LANES];
            values[..4].copy_from_slice(&[1e30, -1e20, 300.0, -300.0]);
            for (x, far) in values.iter().zip(activated(kernels, activation, &values)) {
                assert!((far - x.max(0.0)).abs() <= far_off * x.abs(), "{}: {x} becomes {far}", kernels.name());
            }
        }
    }
}

#[test]
fn every_other_row_is_a_matrix_too() {
    let data: Vec<f32> = (0..5 * 16).map(|i| i as f32).collect();
    let odd = Rows::new(&data[16..], 2, 32).unwrap();
    assert_eq!((odd.columns(), odd.row(1)[0]), (32, 48.0));
    let even = Rows::new(&data, 3, 32).unwrap();
    assert_eq!((even.columns(), even.row(2)[0]), (16, 64.0));
}

#[test]
fn wrong_shapes_are_errors() {
    let data = [0.0; 64];
    let mut out = [0.0; 64];
    let x = Rows::new(&data, 2, 32).unwrap();
    let mut apply = |weights: &[f32], bias: &[f32], inputs, outputs| -> Result<(), Shape> {
        let layer = Linear { panels: Panels::F32(weights), bias, inputs, outputs };
        let y = RowsMut::new(&mut out, 2, 32)?;
        Kernels::detect().linear(x, &layer, Activation::None, false, y, &mut [], &Single)
    };
    let weights = [0.0; 33 * 48];
    assert!(apply(&weights[..32 * 16], &[], 32, 16).is_ok());
    assert!(apply(&weights[..32 * 15], &[], 32, 15).is_err());
    assert!(apply(&weights[..32 * 16 - 1], &[], 32, 16).is_err());
    assert!(apply(&weights[..32 * 16], &data[..15], 32, 16).is_err());
    assert!(apply(&weights[..33 * 16], &[], 33, 16).is_err());
    assert!(apply(&weights[..16 * 48], &[], 16, 48).is_err());
    assert!(apply(&weights[..16], &[], usize::MAX, 16).is_err());
    assert!(Rows::new(&data, 2, 31).is_err());
    assert!(Rows::new(&data, 4, 32).is_err());
    assert!(Rows::new(&data, usize::MAX, 32).is_err());
    let integers = Panels::I8 { weight: &[0; 256], scale: &[0.0; 16], zero: &[0; 16] };
    let layer = Linear { panels: integers, bias: &[], inputs: 16, outputs: 16 };
    let y = RowsMut::new(&mut out, 2, 32).unwrap();
    assert!(Kernels::detect().linear(x, &layer, Activation::None, false, y, &mut [0.0; 8], &Single).is_err());
}
