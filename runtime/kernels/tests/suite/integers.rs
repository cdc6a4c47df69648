use edgelip_kernels::{Activation, Kernels, Single};

use crate::layers::{Layer, Precision, apply};
use crate::{Matrix, Random, assert_same, instruction_sets};

/// Integer sums are exact and the steps around them rounded alike, so that without an activation all bits are equal.
#[test]
fn integer_layers_have_the_same_bits_on_every_instruction_set() {
    let mut random = Random(11);
    for (rows, inputs, panels) in [(13, 40, 3), (1, 1021, 2), (30, 7, 1), (5, 64, 5)] {
        let layer = Layer::random(&mut random, inputs, panels);
        let x = Matrix::random(&mut random, rows, inputs);
        let layer = layer.linear(Precision::I8);
        let ought = apply(Kernels::generic(), x.rows(), &layer, Activation::None, None, &Single);
        for kernels in instruction_sets() {
            let is = apply(kernels, x.rows(), &layer, Activation::None, None, &Single);
            assert_same(&is, &ought, kernels.name());
        }
    }
}

/// The largest sums that the format allows, and rows that have no largest element.
#[test]
fn extreme_rows_and_weights() {
    use edgelip_kernels::{LANES, Linear, Panels};
    let inputs = 4096;
    for weight in [127i8, -127] {
        let weights = vec![weight; inputs * LANES];
        let zero = [128 * i32::from(weight) * inputs as i32; LANES];
        let panels = Panels::I8 { weight: &weights, scale: &[1.0; LANES], zero: &zero };
        let layer = Linear { panels, bias: &[], inputs, outputs: LANES };
        for value in [3.0, -3.0, 0.0, 1e-30] {
            let x = Matrix { data: vec![value; inputs], rows: 1, stride: inputs };
            let ought = apply(Kernels::generic(), x.rows(), &layer, Activation::None, None, &Single);
            let product = value * f32::from(weight) * inputs as f32;
            assert!((ought[0] - product).abs() <= 1e-6 * product.abs() + 1e-15, "{} is not {product}", ought[0]);
            for kernels in instruction_sets() {
                assert_same(&apply(kernels, x.rows(), &layer, Activation::None, None, &Single), &ought, kernels.name());
            }
        }
    }
}
