//! Every instruction set of this CPU against the plain twins, on shapes with every kind of edge: bit by bit, but for the filter of a frequency
//! block. The twins are held to exact values.

mod accuracy;
mod attention;
mod fourier;
mod halves;
mod integers;
mod layers;
mod pairing;
mod pool;
mod resample;
mod vectors;

use edgelip_kernels::{Kernels, LANES, Parallel, Pool, Rows, RowsMut, padded};

/// A matrix with its own storage. The columns from `columns` to the stride hold a value that no kernel may read.
struct Matrix {
    data: Vec<f32>,
    rows: usize,
    stride: usize,
}

impl Matrix {
    fn random(random: &mut Random, rows: usize, columns: usize) -> Matrix {
        let stride = padded(columns) + LANES;
        let mut matrix = Matrix { data: vec![f32::NAN; rows * stride], rows, stride };
        for row in matrix.data.chunks_exact_mut(stride) {
            row[..columns].fill_with(|| random.normal());
        }
        matrix
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.data, self.rows, self.stride).unwrap()
    }

    fn rows_mut(&mut self) -> RowsMut<'_> {
        RowsMut::new(&mut self.data, self.rows, self.stride).unwrap()
    }
}

/// A small generator of test values.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Uniform in `0..end`.
    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    /// Roughly normal, with deviation 1.
    fn normal(&mut self) -> f32 {
        let sum: i64 = (0..6).map(|_| i64::from(self.next() >> 11)).sum();
        (sum as f32 / 1_048_576.0 - 3.0) * 1.414
    }

    fn normals(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.normal()).collect()
    }
}

/// All instruction sets but the plain twins.
fn instruction_sets() -> impl Iterator<Item = Kernels> {
    Kernels::available().skip(1)
}

/// The plain twins of an instruction set.
fn twin(kernels: Kernels) -> Kernels {
    let in_half_precision = ["generic-fp16", "neon-fp16", "neon-i8mm"].contains(&kernels.name());
    if in_half_precision { Kernels::generic_fp16() } else { Kernels::generic() }
}

/// Pools that a result must not depend on.
fn pools() -> [Pool; 2] {
    [Pool::new(2), Pool::new(3)]
}

/// Panics unless all of `is` lie within `tolerance · (1 + |ought|)` of `ought`; what is no number must be so in both.
#[track_caller]
fn assert_close(is: &[f32], ought: &[f32], tolerance: f32, what: &str) {
    assert_eq!(is.len(), ought.len(), "{what}");
    for (index, (is, ought)) in is.iter().zip(ought).enumerate() {
        let fits = (is - ought).abs() <= tolerance * (1.0 + ought.abs()) || (is.is_nan() && ought.is_nan());
        assert!(fits, "{what}: element {index} is {is}, ought to be {ought}");
    }
}

/// Panics unless both hold the same bits.
#[track_caller]
fn assert_same(is: &[f32], ought: &[f32], what: &str) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(bits(is) == bits(ought), "{what}: bits differ");
}

#[test]
fn the_best_instruction_set_is_among_the_available() {
    let names: Vec<_> = Kernels::available().map(|kernels| kernels.name()).collect();
    assert_eq!(names[0], "generic");
    assert_eq!(*names.last().unwrap(), Kernels::detect().name());
    assert!(names.contains(&Kernels::compiled().name()));
    assert!(Pool::new(0).workers() == 1);
    println!("{names:?}");
}
