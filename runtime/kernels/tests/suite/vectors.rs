use edgelip_kernels::{Kernels, Single};

use crate::{Matrix, Random, assert_same, instruction_sets, pools};

const GENERIC: Kernels = Kernels::generic();

#[test]
fn norms_of_every_length() {
    let mut random = Random(31);
    for width in 1..=70 {
        let x = Matrix::random(&mut random, 3, width);
        let (gain, bias) = (random.normals(width), random.normals(width));
        let norm = |kernels: Kernels| {
            let mut y = Matrix { data: vec![7.0; x.data.len()], ..x };
            kernels.layer_norm(x.rows(), width, 1e-5, y.rows_mut(), &Single).unwrap();
            y.data
        };
        let affine = |kernels: Kernels| {
            let mut y = Matrix { data: x.data.clone(), ..x };
            kernels.layer_norm_affine(y.rows_mut(), width, 1e-5, &gain, &bias).unwrap();
            y.data
        };
        for row in norm(GENERIC).chunks_exact(x.stride) {
            assert!(row[width..].iter().all(|padding| *padding == 0.0));
        }
        for kernels in instruction_sets() {
            let what = format!("{} of {width}", kernels.name());
            assert_same(&norm(kernels), &norm(GENERIC), &what);
            assert_same(&affine(kernels), &affine(GENERIC), &what);
        }
    }
}

#[test]
fn norms_have_the_same_bits_for_any_number_of_workers() {
    let mut random = Random(32);
    let x = Matrix::random(&mut random, 90, 768);
    let pools = pools();
    for kernels in Kernels::available() {
        let norm = |parallel| {
            let mut y = Matrix { data: vec![7.0; x.data.len()], ..x };
            kernels.layer_norm(x.rows(), 768, 1e-5, y.rows_mut(), parallel).unwrap();
            y.data
        };
        for pool in &pools {
            assert_same(&norm(pool), &norm(&Single), kernels.name());
        }
    }
}

#[test]
fn vector_operations_of_every_length() {
    let mut random = Random(33);
    for len in (0..=70).chain([128, 200]) {
        let (a, b) = (random.normals(len), random.normals(len));
        let all = |kernels: Kernels| {
            let mut sum = b.clone();
            kernels.scaled_add(&mut sum, -0.7, &a);
            let mut sums = b.clone();
            kernels.scaled_add_all(&mut sums, -0.7, &[&a, &b, &a]);
            let mut product = b.clone();
            kernels.scaled(&mut product, 1.3, &a);
            let mut unit = b.clone();
            let norm = kernels.normalize(&a, &mut unit);
            let mut shares = a.clone();
            kernels.softmax(&mut shares);
            [sum, sums, product, unit, shares, vec![kernels.dot(&a, &b), norm]]
        };
        for kernels in instruction_sets() {
            for (is, ought) in all(kernels).iter().zip(&all(GENERIC)) {
                assert_same(is, ought, &format!("{} of {len}", kernels.name()));
            }
        }
    }
}

#[test]
fn lengths_that_differ_count_as_the_shorter() {
    for kernels in Kernels::available() {
        let mut y = [1.0; 3];
        kernels.scaled_add(&mut y, 2.0, &[1.0; 2]);
        assert_eq!(y, [3.0, 3.0, 1.0]);
        kernels.scaled_add_all(&mut y, 1.0, &[&[1.0; 4], &[-3.0; 1]]);
        assert_eq!(y, [1.0, 3.0, 1.0]);
        assert_eq!(kernels.dot(&[1.0; 20], &[1.0; 18]), 18.0);
        assert_eq!(kernels.normalize(&[0.0; 3], &mut y), 0.0);
        assert_eq!(y, [0.0; 3]);
    }
}

/// A row of two: the share of the second over that of the first is the exponential of their difference.
#[test]
fn the_exponential_is_within_two_ulp() {
    for kernels in Kernels::available() {
        let mut worst: f64 = 0.0;
        for step in 0..35_000 {
            let x = -(step as f32) / 400.0;
            let mut row = [0.0, x];
            kernels.softmax(&mut row);
            let exact = f64::from(x).exp();
            let is = f64::from(row[1]) / f64::from(row[0]);
            worst = worst.max((is / exact - 1.0).abs());
        }
        // 2 ulp of the exponential and the roundings of two products.
        assert!(worst < 4e-7, "{}: {worst}", kernels.name());
        let mut row = [0.0, -200.0, f32::NEG_INFINITY, -1e30];
        kernels.softmax(&mut row);
        assert_eq!(row, [1.0, 0.0, 0.0, 0.0]);
        let mut row = [1e30, 1e30];
        kernels.softmax(&mut row);
        assert_eq!(row, [0.5, 0.5]);
    }
}

#[test]
fn halves_widen_exactly() {
    use edgelip_kernels::math::f16_to_f32;
    for (half, float) in
        [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 2f32.powi(-24)), (0x0400, 2f32.powi(-14)), (0x7bff, 65504.0)]
    {
        assert_eq!(f16_to_f32(half), float);
    }
    assert_eq!(f16_to_f32(0x8000).to_bits(), 0x8000_0000);
    assert_eq!(f16_to_f32(0x7c00), f32::INFINITY);
    assert!(f16_to_f32(0x7e01).is_nan());
}

#[test]
fn views_refuse_what_is_misaligned() {
    use edgelip_kernels::cast;
    let floats = [1.0f32, -2.0];
    let bytes = cast::bytes(&floats);
    assert_eq!(cast::f32s(bytes), Some(&floats[..]));
    assert_eq!(cast::f32s(&bytes[..7]), None);
    assert_eq!(cast::f32s(&bytes[1..5]), None);
    assert_eq!(cast::u16s(&bytes[2..4]), Some(&[0x3f80][..]));
    assert_eq!(cast::i8s(&bytes[3..4]), [0x3f]);
    assert_eq!(cast::i64s(&[]), Some(&[][..]));
}
