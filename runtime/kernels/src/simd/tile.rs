use super::{Isa, Simd, for_rows};
use crate::LANES;

/// A float that weights are stored as.
pub trait Weight: Copy {
    fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::V;
}

impl Weight for f32 {
    #[inline(always)]
    fn load<S: Simd>(s: S, from: &[f32; LANES]) -> S::V {
        s.load(from)
    }
}

impl Weight for u16 {
    #[inline(always)]
    fn load<S: Simd>(s: S, from: &[u16; LANES]) -> S::V {
        s.load_half(from)
    }
}

/// Inputs between hints about weights ahead.
const RUN: usize = 64;

/// Weights that will be needed next: brought nearer on the way, so that memory is never idle.
#[derive(Clone, Copy)]
pub struct Ahead {
    next: *const u8,
    /// Cache lines to ask for at a time.
    lines: usize,
}

impl Ahead {
    /// Nothing.
    pub const NONE: Ahead = Ahead { next: core::ptr::null(), lines: 0 };

    /// All of `weights`, in the course of `tiles` tiles of `runs` runs each. A single tile waits for memory itself, and would
    /// only be held up.
    #[inline(always)]
    pub fn new<W>(weights: &[W], tiles: usize, runs: usize) -> Ahead {
        if tiles < 2 {
            return Ahead::NONE;
        }
        let lines = size_of_val(weights).div_ceil(LINE * (tiles * runs).max(1));
        Ahead { next: weights.as_ptr().cast(), lines }
    }

    /// What is left after `runs` runs.
    #[inline(always)]
    pub fn after(self, runs: usize) -> Ahead {
        Ahead { next: self.next.wrapping_add(runs * self.lines * LINE), ..self }
    }

    /// Asks for the lines of one run.
    #[inline(always)]
    pub fn hint<S: Simd>(&mut self) {
        for _ in 0..self.lines {
            S::prefetch(self.next);
            self.next = self.next.wrapping_add(LINE);
        }
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Runs in a tile of so many inputs.
#[inline(always)]
pub fn runs(inputs: usize) -> usize {
    inputs.div_ceil(RUN)
}

/// Operands of a product `y [M, 16 N] = x [M, inputs] · panels [N, inputs, 16]`.
pub struct FloatTile<W> {
    pub x: *const f32,
    pub x_stride: usize,
    pub panels: *const W,
    pub inputs: usize,
    pub y: *mut f32,
    pub y_stride: usize,
    pub ahead: Ahead,
}

/// Computes a tile with its sums in registers: for each sum one multiply-add after the other, from the first input to the last.
///
/// # Safety
/// `x` has `M` rows of `inputs`, `panels` has `N` panels, and `y`, which nothing else refers to, `M` rows of `16 N`.
#[inline(always)]
pub unsafe fn float<S: Simd, W: Weight, const M: usize, const N: usize>(s: S, tile: &FloatTile<W>) {
    let inputs = tile.inputs;
    let mut sums = [[s.splat(0.0); N]; M];
    let mut k = 0;

    macro_rules! step {
        ($lane:literal, $x:ident) => {
            let mut w = [s.splat(0.0); N];
            for n in 0..N {
                // SAFETY: `k + $lane < inputs`, and a panel is `inputs × 16`.
                w[n] = W::load(s, unsafe { &*tile.panels.add((n * inputs + k + $lane) * LANES).cast::<[W; LANES]>() });
            }
            for m in 0..M {
                for n in 0..N {
                    sums[m][n] = s.fma_lane::<$lane>($x[m], w[n], sums[m][n]);
                }
            }
        };
    }
    let mut ahead = tile.ahead;
    let whole = inputs & !3;
    while k < whole {
        ahead.hint::<S>();
        let end = whole.min(k + RUN);
        while k < end {
            // SAFETY: rows have `inputs` elements, and `k + 4` of them at least.
            let mut x = [unsafe { s.four(tile.x.add(k)) }; M];
            for m in 1..M {
                // SAFETY: as above.
                x[m] = unsafe { s.four(tile.x.add(m * tile.x_stride + k)) };
            }
            step!(0, x);
            step!(1, x);
            step!(2, x);
            step!(3, x);
            k += 4;
        }
    }
    while k < inputs {
        for n in 0..N {
            // SAFETY: `k < inputs`, and a panel is `inputs × 16`.
            let from = unsafe { &*tile.panels.add((n * inputs + k) * LANES).cast::<[W; LANES]>() };
            let w = W::load(s, from);
            for m in 0..M {
                // SAFETY: rows have `inputs` elements.
                let x = unsafe { *tile.x.add(m * tile.x_stride + k) };
                sums[m][n] = s.fma(s.splat(x), w, sums[m][n]);
            }
        }
        k += 1;
    }
    for m in 0..M {
        for n in 0..N {
            // SAFETY: `y` has `M` rows of `16 N`, for this tile alone.
            let y = unsafe { &mut *tile.y.add(m * tile.y_stride + n * LANES).cast::<[f32; LANES]>() };
            s.store(sums[m][n], y);
        }
    }
}

/// `y [rows, 16 · panels] = x [rows, inputs] · panels`, for any number of panels and at most `ROWS` rows.
///
/// # Safety
/// As [`float`], with `rows` for `M` and `count` for `N`.
#[inline(always)]
pub unsafe fn product<I: Isa, W: Weight>(isa: I, tile: &FloatTile<W>, rows: usize, count: usize) {
    let mut panel = 0;
    while panel < count {
        let step = if count - panel >= I::Vector::PANELS { I::Vector::PANELS } else { 1 };
        // SAFETY: `panel + step` panels are within the operands.
        unsafe {
            let part = FloatTile {
                panels: tile.panels.add(panel * tile.inputs * LANES),
                y: tile.y.add(panel * LANES),
                ..*tile
            };
            if step == I::Vector::PANELS {
                for_rows!(rows, I::Vector::ROWS, M => by_panels::<I, W, M>(isa, &part));
            } else {
                for_rows!(rows, I::Vector::ROWS, M => isa.float_tile::<W, M, 1>(&part));
            }
        }
        panel += step;
    }
}

/// A tile of `PANELS` panels.
///
/// # Safety
/// As [`float`].
#[inline(always)]
unsafe fn by_panels<I: Isa, W: Weight, const M: usize>(isa: I, tile: &FloatTile<W>) {
    // SAFETY: the caller's promise.
    unsafe {
        match I::Vector::PANELS {
            1 => isa.float_tile::<W, M, 1>(tile),
            2 => isa.float_tile::<W, M, 2>(tile),
            3 => isa.float_tile::<W, M, 3>(tile),
            _ => isa.float_tile::<W, M, 4>(tile),
        }
    }
}
