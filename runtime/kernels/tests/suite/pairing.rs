use edgelip_kernels::{
    Activation, IntegerPanels, Kernels, LANES, Linear, Pairing, Panels, Parallel, RowsMut, Single, for_each_chunk,
    linear_scales, linear_scratch, padded,
};

use crate::{Matrix, Random, assert_close, assert_same, instruction_sets, pools};

const GENERIC: Kernels = Kernels::generic();

#[test]
fn scores_for_every_number_of_targets() {
    let mut random = Random(71);
    for targets in 0..=70 {
        let mut list = |scale: f32| -> Vec<f32> { (0..targets).map(|_| random.normal().abs() * scale).collect() };
        let (keys, tokens, sizes, phi) = (list(0.3), list(0.2), list(3.0), list(0.5));
        let both = [(0.7, &keys[..]), (-1.1, &tokens[..])];
        for terms in [&both[..1], &both] {
            for sizes in [None, Some((1.5, &sizes[..]))] {
                for guide in [None, Some((0.8, 0.4, &phi[..]))] {
                    let pairing = Pairing { terms, sizes, guide };
                    let scores = |kernels: Kernels| {
                        let mut scores = vec![f32::NAN; targets];
                        let best = kernels.pair_scores(&pairing, &mut scores).unwrap();
                        assert_eq!(best, scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                        scores
                    };
                    for kernels in instruction_sets() {
                        let what = format!("{} with {targets} targets", kernels.name());
                        assert_same(&scores(kernels), &scores(GENERIC), &what);
                    }
                }
            }
        }
    }
}

#[test]
fn the_score_is_the_formula() {
    let pairing = |sizes, guide| Pairing { terms: &[(0.5, &[0.4]), (2.0, &[0.1])], sizes, guide };
    for kernels in Kernels::available() {
        let score = |pairing| kernels.pair_scores(&pairing, &mut [f32::NAN]).unwrap();
        let close = |is: f32, ought: f32| assert!((is - ought).abs() < 1e-6, "{}: {is}, not {ought}", kernels.name());
        close(score(pairing(None, None)), 0.4);
        close(score(pairing(Some((2.0, &[6.0])), None)), -0.6 * 1.5);
        close(score(pairing(None, Some((3.0, 0.5, &[0.25])))), -0.6 * 2.5);
        close(score(pairing(Some((2.0, &[6.0])), Some((3.0, 0.5, &[0.75])))), -0.6 * 1.5 * 3.25);
    }
}

#[test]
fn short_lists_are_errors() {
    let (short, long) = (&[0.0; 16][..], &[0.0; 17][..]);
    let mut scores = [0.0; 17];
    let mut fails = |pairing: Pairing| Kernels::detect().pair_scores(&pairing, &mut scores).is_err();
    assert!(!fails(Pairing { terms: &[(1.0, long)], sizes: Some((1.0, long)), guide: Some((1.0, 0.0, long)) }));
    assert!(fails(Pairing { terms: &[(1.0, long), (1.0, short)], sizes: None, guide: None }));
    assert!(fails(Pairing { terms: &[(1.0, long)], sizes: Some((1.0, short)), guide: None }));
    assert!(fails(Pairing { terms: &[(1.0, long)], sizes: None, guide: Some((1.0, 0.0, short)) }));
}

fn pack(kernels: Kernels, rows: &Matrix, width: usize, factors: &[f32], parallel: &dyn Parallel) -> Vec<f32> {
    let mut panels = vec![f32::NAN; padded(rows.rows) * width];
    kernels.pack_panels(rows.rows(), width, factors, &mut panels, parallel).unwrap();
    panels
}

#[test]
fn packed_rows_are_a_layer() {
    let mut random = Random(6);
    let (a, b) = (Matrix::random(&mut random, 5, 21), Matrix::random(&mut random, 19, 21));
    let factors = random.normals(19);
    for kernels in Kernels::available() {
        let panels = pack(kernels, &b, 21, &factors, &Single);
        let layer = Linear { panels: Panels::F32(&panels), bias: &[], inputs: 21, outputs: 32 };
        let mut products = [f32::NAN; 5 * 48];
        let y = RowsMut::new(&mut products, 5, 48).unwrap();
        kernels.linear(a.rows(), &layer, Activation::None, false, y, &mut [], &Single).unwrap();
        for (i, row) in products.chunks_exact(48).enumerate() {
            for (j, product) in row[..19].iter().enumerate() {
                let ought = factors[j] * kernels.dot(&a.rows().row(i)[..21], &b.rows().row(j)[..21]);
                assert_close(&[*product], &[ought], 4e-6, kernels.name());
            }
            assert_eq!(row[19..32], [0.0; 13]);
        }
    }
}

#[test]
fn rows_of_every_shape_are_packed() {
    let mut random = Random(72);
    let pools = pools();
    for rows in [0, 1, 7, 15, 16, 17, 33] {
        for width in [1, 2, 15, 16, 17, 31, 32, 40] {
            let matrix = Matrix::random(&mut random, rows, width);
            let factors = random.normals(rows);
            let ought = pack(GENERIC, &matrix, width, &factors, &Single);
            for kernels in Kernels::available() {
                let what = format!("{}: {rows} rows of {width}", kernels.name());
                assert_same(&pack(kernels, &matrix, width, &factors, &Single), &ought, &what);
                for pool in &pools {
                    assert_same(&pack(kernels, &matrix, width, &factors, pool), &ought, &what);
                }
            }
        }
    }
    let matrix = Matrix::random(&mut random, 3, 8);
    let pack = |width, factors: &[f32], panels: &mut [f32]| {
        GENERIC.pack_panels(matrix.rows(), width, factors, panels, &Single).is_err()
    };
    assert!(pack(8, &[1.0; 3], &mut [0.0; 8 * LANES + 1]));
    assert!(pack(8, &[1.0; 2], &mut [0.0; 8 * LANES]));
    assert!(pack(matrix.stride + 1, &[1.0; 3], &mut vec![0.0; (matrix.stride + 1) * LANES]));
}

#[test]
fn each_chunk_is_visited_once() {
    for pool in &pools() {
        for len in [0, 1, 3, 10, 100] {
            let mut data = [0.0; 32];
            for_each_chunk(&mut data, len, pool, &|index, chunk| {
                assert!(chunk.len() == len || index == 32 / len);
                chunk.iter_mut().enumerate().for_each(|(i, value)| *value += (index * len + i) as f32);
            });
            let ought: Vec<f32> = (0..32).map(|i| if len == 0 { 0.0 } else { i as f32 }).collect();
            assert_eq!(data[..], ought);
        }
    }
}

#[test]
fn rows_packed_as_integers_are_a_layer() {
    let mut random = Random(8);
    for (width, count) in [(16, 1), (48, 16), (64, 19), (192, 33)] {
        let (a, b) = (Matrix::random(&mut random, 5, width), Matrix::random(&mut random, count, width));
        let factors = random.normals(count);
        let outputs = padded(count);
        for kernels in Kernels::available() {
            let (mut weight, mut scale, mut zero) = (vec![9; outputs * width], vec![9.0; outputs], vec![9; outputs]);
            let mut panels = IntegerPanels { weight: &mut weight, scale: &mut scale, zero: &mut zero };
            let packed = kernels.pack_integers(b.rows(), width, &factors, &mut panels);
            assert_eq!(packed.is_ok(), kernels.packs_integers());
            if packed.is_err() {
                continue;
            }
            let layer = Linear { panels: panels.panels(), bias: &[], inputs: width, outputs };
            let (mut products, mut scratch) = (vec![f32::NAN; 5 * outputs], vec![0.0; linear_scratch(5, width)]);
            let y = RowsMut::new(&mut products, 5, outputs).unwrap();
            kernels.linear(a.rows(), &layer, Activation::None, false, y, &mut scratch, &Single).unwrap();
            let steps = linear_scales(&scratch, 5, width);
            for (i, (row, step)) in products.chunks_exact(outputs).zip(steps).enumerate() {
                for (j, product) in row[..count].iter().enumerate() {
                    let (a, b) = (&a.rows().row(i)[..width], &b.rows().row(j)[..width]);
                    let sum = |x: &[f32]| x.iter().map(|v| v.abs()).sum::<f32>();
                    // Each factor is off by half a step at most.
                    let off =
                        factors[j].abs() * step / 2.0 * sum(b) + scale[j].abs() / 2.0 * (sum(a) + width as f32 * step);
                    let ought = factors[j] * kernels.dot(a, b);
                    assert!((product - ought).abs() <= off, "{} {width}: {product}, not {ought}", kernels.name());
                }
            }
        }
    }
}

#[test]
fn lists_that_go_on_count_as_far_as_scores() {
    let mut random = Random(72);
    let list = random.normals(96);
    for targets in 0..=70 {
        for kernels in Kernels::available() {
            let scores = |end: usize| {
                let list = &list[..end];
                let pairing =
                    Pairing { terms: &[(0.7, list)], sizes: Some((1.5, list)), guide: Some((0.8, 0.4, list)) };
                let mut scores = vec![f32::NAN; targets];
                let best = kernels.pair_scores(&pairing, &mut scores).unwrap();
                scores.push(best);
                scores
            };
            assert_same(&scores(96), &scores(targets), kernels.name());
        }
    }
}
