use core::f64::consts::TAU;

use edgelip_kernels::{
    Kernels, LANES, Parallel, RowsMut, Shape, Single, fourier_twiddles, fourier_twiddles_len, global_filter_scratch,
};
use rustfft::num_complex::Complex;
use rustfft::{FftDirection, FftPlanner};

use crate::{Matrix, Random, assert_close, assert_same, instruction_sets, pools};

/// Sides of every kind: a single token, each radix, their products, primes without a radix and products of those.
const GRIDS: [[usize; 2]; 20] = [
    [1, 1],
    [1, 2],
    [2, 1],
    [7, 7],
    [8, 8],
    [12, 12],
    [14, 14],
    [16, 16],
    [24, 24],
    [27, 27],
    [5, 9],
    [11, 13],
    [3, 10],
    [22, 33],
    [26, 34],
    [15, 21],
    [20, 35],
    [49, 25],
    [64, 64],
    [61, 62],
];

/// A filter with its own storage.
struct Filter {
    grid: [usize; 2],
    coefficients: Vec<f32>,
    bias: Vec<f32>,
    twiddles: Vec<f32>,
}

impl Filter {
    fn random(random: &mut Random, grid: [usize; 2], panels: usize) -> Filter {
        let [height, width] = grid;
        let mut twiddles = vec![f32::NAN; fourier_twiddles_len(grid)];
        fourier_twiddles(grid, &mut twiddles).unwrap();
        // So scaled that results are about as large as what goes in.
        let factor = 1.0 / (height * width) as f32;
        let coefficients = random.normals(panels * height * (width / 2 + 1) * 2 * LANES);
        Filter {
            grid,
            coefficients: coefficients.iter().map(|value| value * factor).collect(),
            bias: random.normals(panels * LANES),
            twiddles,
        }
    }

    fn apply(&self, kernels: Kernels, x: &Matrix, start: &Matrix, parallel: &dyn Parallel) -> Vec<f32> {
        let mut y = Matrix { data: start.data.clone(), ..*start };
        let mut scratch = vec![f32::NAN; global_filter_scratch(self.grid, parallel.workers())];
        self.apply_to(kernels, x, y.rows_mut(), &mut scratch, parallel).unwrap();
        y.data
    }

    fn apply_to(
        &self,
        kernels: Kernels,
        x: &Matrix,
        y: RowsMut<'_>,
        scratch: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Shape> {
        let Filter { grid, coefficients, bias, twiddles } = self;
        kernels.global_filter(x.rows(), *grid, coefficients, bias, twiddles, y, scratch, parallel)
    }

    /// Real and imaginary part of coefficient `(u, v)` of a channel.
    fn coefficient(&self, u: usize, v: usize, channel: usize) -> Complex<f64> {
        let [height, width] = self.grid;
        let half = width / 2 + 1;
        let pair = ((channel / LANES * height + u) * half + v) * 2;
        let part = |part: usize| f64::from(self.coefficients[(pair + part) * LANES + channel % LANES]);
        Complex::new(part(0), part(1))
    }
}

/// Complex transforms of `f64` along the rows of a grid.
fn transform_rows(values: &mut [Complex<f64>], width: usize, direction: FftDirection) {
    FftPlanner::new().plan_fft(width, direction).process(values);
}

fn transposed(values: &[Complex<f64>], width: usize) -> Vec<Complex<f64>> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width)).copied().collect()
}

/// `irfft2(filter ∘ rfft2(x)) + bias` of one channel, by rustfft in double precision.
fn yardstick(filter: &Filter, x: &Matrix, channel: usize) -> Vec<f64> {
    let [height, width] = filter.grid;
    let mut values: Vec<_> = (0..height * width).map(|token| f64::from(x.rows().row(token)[channel]).into()).collect();
    transform_rows(&mut values, width, FftDirection::Forward);
    let mut columns = transposed(&values, width);
    transform_rows(&mut columns, height, FftDirection::Forward);
    for (v, column) in columns.chunks_exact_mut(height).take(width / 2 + 1).enumerate() {
        for (u, value) in column.iter_mut().enumerate() {
            *value *= filter.coefficient(u, v, channel);
        }
    }
    transform_rows(&mut columns, height, FftDirection::Inverse);
    let mut rows = transposed(&columns, height);
    for row in rows.chunks_exact_mut(width) {
        // What a real transform back makes of half a spectrum.
        row[0].im = 0.0;
        for v in 1..width.div_ceil(2) {
            row[width - v] = row[v].conj();
        }
        if width % 2 == 0 {
            row[width / 2].im = 0.0;
        }
    }
    transform_rows(&mut rows, width, FftDirection::Inverse);
    rows.iter().map(|value| value.re + f64::from(filter.bias[channel])).collect()
}

#[test]
fn twiddles_are_roots_of_unity_rounded_once() {
    for side in 1..=64 {
        let mut twiddles = vec![f32::NAN; fourier_twiddles_len([1, side])];
        fourier_twiddles([1, side], &mut twiddles).unwrap();
        for (k, root) in twiddles[..2 * side].as_chunks::<2>().0.iter().enumerate() {
            let angle = -TAU * k as f64 / side as f64;
            assert!((f64::from(root[0]) - angle.cos()).abs() < 3.1e-8, "{k} of {side}: {root:?}");
            assert!((f64::from(root[1]) - angle.sin()).abs() < 3.1e-8, "{k} of {side}: {root:?}");
        }
        assert_eq!(twiddles[2 * side..], [1.0, 0.0]);
        if side % 4 == 0 {
            assert_eq!(twiddles[side / 2..][..2], [0.0, -1.0]);
            assert_eq!(twiddles[side..][..2], [-1.0, 0.0]);
        }
    }
}

/// Whether a side has a prime factor above 7.
fn has_large_prime(side: usize) -> bool {
    let rest = [2, 3, 5, 7].into_iter().fold(side, |mut rest, prime| {
        while rest % prime == 0 {
            rest /= prime;
        }
        rest
    });
    rest > 1
}

#[test]
fn filters_agree_with_rustfft() {
    let mut random = Random(71);
    for grid in GRIDS {
        let filter = Filter::random(&mut random, grid, 1);
        let tokens = grid[0] * grid[1];
        let x = Matrix::random(&mut random, tokens, LANES);
        let start = Matrix { data: vec![0.0; x.data.len()], ..x };
        let oughts: Vec<_> = (0..LANES).map(|channel| yardstick(&filter, &x, channel)).collect();
        for kernels in Kernels::available() {
            let is = filter.apply(kernels, &x, &start, &Single);
            let mut worst: f64 = 0.0;
            for (token, row) in is.chunks_exact(x.stride).enumerate() {
                for (is, ought) in row.iter().zip(&oughts) {
                    worst = worst.max((f64::from(*is) - ought[token]).abs());
                }
            }
            // Plain sums are less exact than fast transforms: up to sixty-four terms instead of six.
            let plain = kernels.name() == "generic" || grid.iter().any(|side| has_large_prime(*side));
            let bound = if plain { 4e-6 } else { 2e-6 };
            assert!(worst < bound, "{} on {grid:?}: off by {worst}", kernels.name());
        }
    }
}

#[test]
fn filters_agree_with_the_plain_twin_on_every_side() {
    let mut random = Random(72);
    for side in 1..=64 {
        for grid in [[side, 1], [1, side], [side, 3], [3, side]] {
            let filter = Filter::random(&mut random, grid, 1);
            let tokens = grid[0] * grid[1];
            let (x, start) = (Matrix::random(&mut random, tokens, LANES), Matrix::random(&mut random, tokens, LANES));
            let ought = filter.apply(Kernels::generic(), &x, &start, &Single);
            for kernels in instruction_sets() {
                let what = format!("{} on {grid:?}", kernels.name());
                assert_close(&filter.apply(kernels, &x, &start, &Single), &ought, 4e-6, &what);
            }
        }
    }
}

#[test]
fn a_filter_touches_its_own_channels_only_and_adds_to_what_is_there() {
    let mut random = Random(73);
    for grid in GRIDS {
        let tokens = grid[0] * grid[1];
        let filter = Filter::random(&mut random, grid, 3);
        let (x, start) = (Matrix::random(&mut random, tokens, 48), Matrix::random(&mut random, tokens, 48));
        let zero = Matrix { data: vec![0.0; x.data.len()], ..x };
        for kernels in Kernels::available() {
            let alone = filter.apply(kernels, &x, &zero, &Single);
            let added = filter.apply(kernels, &x, &start, &Single);
            for ((alone, added), start) in
                alone.chunks_exact(64).zip(added.chunks_exact(64)).zip(start.data.chunks_exact(64))
            {
                let sums: Vec<f32> = alone[..48].iter().zip(start).map(|(alone, start)| alone + start).collect();
                assert_close(&added[..48], &sums, 1e-6, kernels.name());
                assert!(alone[48..].iter().all(|padding| *padding == 0.0));
                assert!(added[48..].iter().all(|padding| padding.is_nan()));
            }
        }
    }
}

#[test]
fn a_filter_of_ones_gives_back_what_goes_in() {
    let mut random = Random(74);
    for grid in GRIDS {
        let tokens = grid[0] * grid[1];
        let mut filter = Filter::random(&mut random, grid, 2);
        filter.bias.fill(0.0);
        for (index, part) in filter.coefficients.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            part.fill(if index % 2 == 0 { 1.0 / tokens as f32 } else { 0.0 });
        }
        let x = Matrix::random(&mut random, tokens, 2 * LANES);
        let zero = Matrix { data: vec![0.0; x.data.len()], ..x };
        for kernels in Kernels::available() {
            let y = filter.apply(kernels, &x, &zero, &Single);
            for (y, x) in y.chunks_exact(x.stride).zip(x.data.chunks_exact(x.stride)) {
                assert_close(&y[..2 * LANES], &x[..2 * LANES], 3e-6, &format!("{} on {grid:?}", kernels.name()));
            }
        }
    }
}

#[test]
fn the_last_rows_may_end_with_their_channels() {
    let mut random = Random(75);
    let filter = Filter::random(&mut random, [5, 6], 1);
    let (x, start) = (Matrix::random(&mut random, 30, LANES), Matrix::random(&mut random, 30, LANES));
    for kernels in Kernels::available() {
        let ought = filter.apply(kernels, &x, &start, &Single);
        let end = 29 * x.stride + LANES;
        let short = Matrix { data: x.data[..end].to_vec(), ..x };
        let mut y = start.data[..end].to_vec();
        let mut scratch = vec![f32::NAN; global_filter_scratch([5, 6], 1)];
        let rows = RowsMut::new(&mut y, 30, start.stride).unwrap();
        filter.apply_to(kernels, &short, rows, &mut scratch, &Single).unwrap();
        assert_same(&y, &ought[..end], kernels.name());
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_workers_nor_on_alignment() {
    let mut random = Random(76);
    let pools = pools();
    for grid in [[7, 7], [14, 14], [11, 13]] {
        let tokens = grid[0] * grid[1];
        let filter = Filter::random(&mut random, grid, 7);
        let (x, start) =
            (Matrix::random(&mut random, tokens, 7 * LANES), Matrix::random(&mut random, tokens, 7 * LANES));
        for kernels in Kernels::available() {
            let alone = filter.apply(kernels, &x, &start, &Single);
            for pool in &pools {
                assert_same(&filter.apply(kernels, &x, &start, pool), &alone, kernels.name());
                let mut y = Matrix { data: start.data.clone(), ..start };
                let mut scratch = vec![f32::NAN; global_filter_scratch(grid, 2) + 3];
                filter.apply_to(kernels, &x, y.rows_mut(), &mut scratch[3..], pool).unwrap();
                assert_same(&y.data, &alone, kernels.name());
            }
        }
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let mut random = Random(77);
    let grid = [4, 6];
    let filter = Filter::random(&mut random, grid, 2);
    let x = Matrix::random(&mut random, 24, 32);
    let enough = global_filter_scratch(grid, 1);
    let apply = |grid, [filter_len, bias_len, twiddles_len, scratch_len]: [usize; 4], [x_rows, y_rows]: [usize; 2]| {
        let mut y = vec![0.0; x.data.len() + 64];
        let (coefficients, bias) = (filter.coefficients.repeat(2), [0.0; 64]);
        let twiddles = [0.0; 256];
        let x = edgelip_kernels::Rows::new(&x.data, x_rows, x.stride)?;
        let y = RowsMut::new(&mut y, y_rows, 48)?;
        Kernels::detect().global_filter(
            x,
            grid,
            &coefficients[..filter_len],
            &bias[..bias_len],
            &twiddles[..twiddles_len],
            y,
            &mut vec![0.0; scratch_len],
            &Single,
        )
    };
    let len = filter.coefficients.len();
    assert_eq!(apply(grid, [len, 32, 20, enough], [24, 24]), Ok(()));
    assert!(apply(grid, [len - 1, 32, 20, enough], [24, 24]).is_err());
    assert!(apply(grid, [len + 1, 32, 20, enough], [24, 24]).is_err());
    assert!(apply(grid, [len, 31, 20, enough], [24, 24]).is_err());
    assert!(apply(grid, [len, 16, 20, enough], [24, 24]).is_err());
    assert!(apply(grid, [2 * len, 64, 20, enough], [24, 24]).is_err());
    assert!(apply(grid, [len, 32, 19, enough], [24, 24]).is_err());
    assert!(apply(grid, [len, 32, 21, enough], [24, 24]).is_err());
    assert!(apply(grid, [len, 32, 20, enough - 1], [24, 24]).is_err());
    assert!(apply(grid, [len, 32, 20, enough], [23, 24]).is_err());
    assert!(apply(grid, [len, 32, 20, enough], [24, 23]).is_err());
    assert!(apply([6, 5], [len, 32, 22, enough], [24, 24]).is_err());
    for grid in [[0, 4], [4, 0], [65, 1], [1, 65], [usize::MAX, 2], [2, usize::MAX], [usize::MAX, usize::MAX]] {
        assert!(apply(grid, [0, 32, 20, enough], [24, 24]).is_err());
        assert!(fourier_twiddles(grid, &mut [0.0; 20]).is_err());
        assert!(global_filter_scratch(grid, usize::MAX) > 0 && fourier_twiddles_len(grid) > 0);
    }
    assert!(fourier_twiddles(grid, &mut [0.0; 19]).is_err());
    assert!(fourier_twiddles(grid, &mut [0.0; 21]).is_err());
}
