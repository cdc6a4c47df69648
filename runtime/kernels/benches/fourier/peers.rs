//! The work of a global filter, by our kernels and by the libraries that one would take instead.

use std::sync::Arc;

use edgelip_kernels::{
    Kernels, LANES, Rows, RowsMut, Single, fourier_twiddles, fourier_twiddles_len, global_filter_scratch,
};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// Token grids of image encoders.
pub const GRIDS: [usize; 6] = [7, 12, 14, 16, 24, 27];

/// Channels of image encoders.
pub const WIDTHS: [usize; 3] = [192, 384, 768];

/// A filter of every channel of a square grid, with what it is applied to and added to.
pub struct Problem {
    pub side: usize,
    pub width: usize,
    /// `[tokens, width]`
    x: Vec<f32>,
    /// `[width / 16, F, 2, 16]`
    filter: Vec<f32>,
    bias: Vec<f32>,
}

impl Problem {
    pub fn new(side: usize, width: usize) -> Problem {
        let mut state = 1u32;
        let mut values = |len: usize, factor: f32| {
            let mut value = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * factor
            };
            (0..len).map(|_| value()).collect::<Vec<_>>()
        };
        let tokens = side * side;
        Problem {
            side,
            width,
            x: values(tokens * width, 1.0),
            filter: values(side * (side / 2 + 1) * 2 * width, 1.0 / tokens as f32),
            bias: values(width, 0.1),
        }
    }

    /// `[channels, F]`
    fn filter_by_channel(&self) -> Vec<Complex32> {
        let coefficients = self.side * (self.side / 2 + 1);
        let at = |channel: usize, index: usize, part: usize| {
            self.filter[((channel / LANES * coefficients + index) * 2 + part) * LANES + channel % LANES]
        };
        let of =
            |channel| (0..coefficients).map(move |index| Complex32::new(at(channel, index, 0), at(channel, index, 1)));
        (0..self.width).flat_map(of).collect()
    }

    /// `[width, tokens]`: the layout that serves transforms of single channels best.
    fn x_by_channel(&self) -> Vec<f32> {
        (0..self.width).flat_map(|channel| self.x.iter().skip(channel).step_by(self.width)).copied().collect()
    }
}

/// Adds a filtered input to a result, once for each call.
pub trait Peer {
    fn name(&self) -> String;
    fn run(&mut self);
    /// The result `[tokens, width]`.
    fn result(&self) -> Vec<f32>;
}

/// Panics unless all compute the same.
pub fn check(peers: &mut [Box<dyn Peer>]) {
    peers.iter_mut().for_each(|peer| peer.run());
    let ought = peers[0].result();
    for peer in &peers[1..] {
        let worst = peer.result().iter().zip(&ought).map(|(is, ought)| (is - ought).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{} is off by {worst}", peer.name());
    }
}

/// Our kernels, over rows of tokens.
pub struct Ours {
    kernels: Kernels,
    problem: Problem,
    twiddles: Vec<f32>,
    scratch: Vec<f32>,
    y: Vec<f32>,
}

impl Ours {
    pub fn new(kernels: Kernels, problem: Problem) -> Ours {
        let grid = [problem.side; 2];
        let mut twiddles = vec![0.0; fourier_twiddles_len(grid)];
        fourier_twiddles(grid, &mut twiddles).unwrap();
        let scratch = vec![0.0; global_filter_scratch(grid, 1)];
        let y = vec![0.0; problem.x.len()];
        Ours { kernels, problem, twiddles, scratch, y }
    }
}

impl Peer for Ours {
    fn name(&self) -> String {
        self.kernels.name().into()
    }

    fn run(&mut self) {
        let Problem { side, width, x, filter, bias } = &self.problem;
        let tokens = side * side;
        let x = Rows::new(x, tokens, *width).unwrap();
        let y = RowsMut::new(&mut self.y, tokens, *width).unwrap();
        let (twiddles, scratch) = (&self.twiddles, &mut self.scratch);
        self.kernels.global_filter(x, [*side; 2], filter, bias, twiddles, y, scratch, &Single).unwrap();
    }

    fn result(&self) -> Vec<f32> {
        self.y.clone()
    }
}

/// Results `[width, tokens]` as `[tokens, width]`.
fn by_token(y: &[f32], tokens: usize) -> Vec<f32> {
    (0..tokens).flat_map(|token| y.iter().skip(token).step_by(tokens)).copied().collect()
}

fn transpose<T: Copy>(from: &[T], width: usize, to: &mut [T]) {
    let height = from.len() / width;
    for (h, row) in from.chunks_exact(width).enumerate() {
        for (w, value) in row.iter().enumerate() {
            to[w * height + h] = *value;
        }
    }
}

/// rustfft: two channels as the real and the imaginary part of one grid, so that nothing of its complex transforms is wasted.
pub struct RustFft {
    problem: Problem,
    x: Vec<f32>,
    filter: Vec<Complex32>,
    y: Vec<f32>,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    scratch: Vec<Complex32>,
    rows: Vec<Complex32>,
    columns: Vec<Complex32>,
}

impl RustFft {
    pub fn new(problem: Problem) -> RustFft {
        let mut planner = FftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(problem.side), planner.plan_fft_inverse(problem.side));
        let scratch = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        let zeros = |len| vec![Complex32::default(); len];
        let tokens = problem.side * problem.side;
        RustFft {
            x: problem.x_by_channel(),
            filter: problem.filter_by_channel(),
            y: vec![0.0; problem.x.len()],
            forward,
            inverse,
            scratch: zeros(scratch),
            rows: zeros(tokens),
            columns: zeros(tokens),
            problem,
        }
    }
}

impl Peer for RustFft {
    fn name(&self) -> String {
        "rustfft".into()
    }

    fn run(&mut self) {
        let side = self.problem.side;
        let (tokens, half) = (side * side, side / 2 + 1);
        let pairs = self.x.chunks_exact(2 * tokens).zip(self.y.chunks_exact_mut(2 * tokens));
        let parameters = self.filter.chunks_exact(2 * side * half).zip(self.problem.bias.chunks_exact(2));
        for ((x, y), (filter, bias)) in pairs.zip(parameters) {
            let (first, second) = x.split_at(tokens);
            for ((z, a), b) in self.rows.iter_mut().zip(first).zip(second) {
                *z = Complex32::new(*a, *b);
            }
            self.forward.process_with_scratch(&mut self.rows, &mut self.scratch);
            transpose(&self.rows, side, &mut self.columns);
            self.forward.process_with_scratch(&mut self.columns, &mut self.scratch);
            // Columns v and -v hold the spectra of both channels, each in its symmetric or antisymmetric part.
            let (first, second) = filter.split_at(side * half);
            for v in 0..half {
                let mirror = (side - v) % side;
                let us = if mirror == v { side / 2 + 1 } else { side };
                for u in 0..us {
                    let (here, there) = (v * side + u, mirror * side + (side - u) % side);
                    let (z, m) = (self.columns[here], self.columns[there].conj());
                    let (twice, difference) = (z + m, z - m);
                    let index = u * half + v;
                    let [a, b] = [twice * 0.5, Complex32::new(difference.im, -difference.re) * 0.5];
                    let (mut f, mut g) = (first[index], second[index]);
                    if mirror == v {
                        // What a real inverse transform makes of a spectrum that is not symmetric there.
                        let other = (side - u) % side * half + v;
                        (f, g) = ((f + first[other].conj()) * 0.5, (g + second[other].conj()) * 0.5);
                    }
                    let [a, b] = [a * f, b * g];
                    self.columns[here] = Complex32::new(a.re - b.im, a.im + b.re);
                    self.columns[there] = Complex32::new(a.re + b.im, b.re - a.im);
                }
            }
            self.inverse.process_with_scratch(&mut self.columns, &mut self.scratch);
            transpose(&self.columns, side, &mut self.rows);
            self.inverse.process_with_scratch(&mut self.rows, &mut self.scratch);
            let (first, second) = y.split_at_mut(tokens);
            for ((z, a), b) in self.rows.iter().zip(first).zip(second) {
                *a += z.re + bias[0];
                *b += z.im + bias[1];
            }
        }
    }

    fn result(&self) -> Vec<f32> {
        by_token(&self.y, self.problem.side * self.problem.side)
    }
}

/// realfft along the rows, rustfft along the columns.
pub struct RealFft {
    problem: Problem,
    x: Vec<f32>,
    filter: Vec<Complex32>,
    y: Vec<f32>,
    real: Arc<dyn RealToComplex<f32>>,
    back: Arc<dyn ComplexToReal<f32>>,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    scratch: Vec<Complex32>,
    grid: Vec<f32>,
    rows: Vec<Complex32>,
    columns: Vec<Complex32>,
}

impl RealFft {
    pub fn new(problem: Problem) -> RealFft {
        let (mut real_planner, mut planner) = (RealFftPlanner::new(), FftPlanner::new());
        let side = problem.side;
        let (real, back) = (real_planner.plan_fft_forward(side), real_planner.plan_fft_inverse(side));
        let (forward, inverse) = (planner.plan_fft_forward(side), planner.plan_fft_inverse(side));
        let scratch = [
            real.get_scratch_len(),
            back.get_scratch_len(),
            forward.get_inplace_scratch_len(),
            inverse.get_inplace_scratch_len(),
        ];
        let zeros = |len| vec![Complex32::default(); len];
        let half = side / 2 + 1;
        // The product is over transposed columns.
        let mut filter = zeros(problem.width * side * half);
        for (from, to) in
            problem.filter_by_channel().chunks_exact(side * half).zip(filter.chunks_exact_mut(side * half))
        {
            transpose(from, half, to);
        }
        RealFft {
            x: problem.x_by_channel(),
            filter,
            y: vec![0.0; problem.x.len()],
            real,
            back,
            forward,
            inverse,
            scratch: zeros(scratch.into_iter().max().unwrap_or(0)),
            grid: vec![0.0; side * side],
            rows: zeros(side * half),
            columns: zeros(side * half),
            problem,
        }
    }
}

impl Peer for RealFft {
    fn name(&self) -> String {
        "realfft".into()
    }

    fn run(&mut self) {
        let side = self.problem.side;
        let (tokens, half) = (side * side, side / 2 + 1);
        let channels = self.x.chunks_exact(tokens).zip(self.y.chunks_exact_mut(tokens));
        let parameters = self.filter.chunks_exact(side * half).zip(&self.problem.bias);
        for ((x, y), (filter, bias)) in channels.zip(parameters) {
            self.grid.copy_from_slice(x);
            for (row, spectrum) in self.grid.chunks_exact_mut(side).zip(self.rows.chunks_exact_mut(half)) {
                self.real.process_with_scratch(row, spectrum, &mut self.scratch).unwrap();
            }
            transpose(&self.rows, half, &mut self.columns);
            self.forward.process_with_scratch(&mut self.columns, &mut self.scratch);
            for (value, filter) in self.columns.iter_mut().zip(filter) {
                *value *= filter;
            }
            self.inverse.process_with_scratch(&mut self.columns, &mut self.scratch);
            transpose(&self.columns, side, &mut self.rows);
            for (spectrum, row) in self.rows.chunks_exact_mut(half).zip(self.grid.chunks_exact_mut(side)) {
                spectrum[0].im = 0.0;
                if side.is_multiple_of(2) {
                    spectrum[half - 1].im = 0.0;
                }
                self.back.process_with_scratch(spectrum, row, &mut self.scratch).unwrap();
            }
            for (y, value) in y.iter_mut().zip(&self.grid) {
                *y += value + bias;
            }
        }
    }

    fn result(&self) -> Vec<f32> {
        by_token(&self.y, self.problem.side * self.problem.side)
    }
}
