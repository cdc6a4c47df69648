use core::ops::Range;

use super::{Isa, Simd, for_each, for_rows};
use crate::LANES;

/// A float that weights are stored as.
pub trait Weight: Copy {
    /// Loads a step of a panel and steps on to the next one.
    ///
    /// # Safety
    /// It is there.
    unsafe fn next<S: Simd>(s: S, at: &mut *const Self) -> S::V;

    /// Whole vectors of weights as floats, if those are faster to read and there is room for them.
    #[inline(always)]
    fn widened<'a, S: Simd>(_s: S, _weights: &[Self], _room: &'a mut [f32]) -> Option<&'a [f32]> {
        None
    }
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn next<S: Simd>(s: S, at: &mut *const f32) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.next(at) }
    }
}

impl Weight for u16 {
    #[inline(always)]
    unsafe fn next<S: Simd>(s: S, at: &mut *const u16) -> S::V {
        // SAFETY: the caller's promise.
        let from = unsafe { &*at.cast::<[u16; LANES]>() };
        *at = at.wrapping_add(LANES);
        s.load_half(from)
    }

    #[inline(always)]
    fn widened<'a, S: Simd>(s: S, weights: &[u16], room: &'a mut [f32]) -> Option<&'a [f32]> {
        if const { !S::WIDENS } || room.len() < weights.len() {
            return None;
        }
        for (from, to) in weights.as_chunks().0.iter().zip(room.as_chunks_mut().0) {
            s.store(s.load_half(from), to);
        }
        Some(room)
    }
}

/// Weights that will be needed next: brought nearer on the way, so that memory is never idle.
#[derive(Clone, Copy)]
pub struct Ahead {
    next: *const u8,
    end: *const u8,
    /// Bytes to ask for at a time, whole cache lines.
    step: usize,
}

impl Ahead {
    /// Nothing.
    pub const NONE: Ahead = Ahead { next: core::ptr::null(), end: core::ptr::null(), step: 0 };

    /// All of `weights`, in the course of `tiles` tiles of `runs` runs each, for so many rows in all.
    #[inline(always)]
    pub fn new<W>(weights: &[W], rows: usize, tiles: usize, runs: usize) -> Ahead {
        // A few rows take weights as fast as memory gives them in order, which hints would only disturb; narrower ones must be widened.
        if size_of::<W>() == size_of::<f32>() && rows < 8 {
            return Ahead::NONE;
        }
        let step = size_of_val(weights).div_ceil((tiles * runs).max(1)).next_multiple_of(LINE);
        let Range { start, end } = weights.as_ptr_range();
        Ahead { next: start.cast(), end: end.cast(), step }
    }

    /// What is left after `runs` runs.
    #[inline(always)]
    pub fn after(self, runs: usize) -> Ahead {
        Ahead { next: self.next.wrapping_add(runs * self.step), ..self }
    }

    /// Asks for the lines of one run.
    #[inline(always)]
    pub fn hint<S: Simd>(&mut self) {
        let stop = self.end.min(self.next.wrapping_add(self.step));
        while self.next < stop {
            S::prefetch(self.next);
            self.next = self.next.wrapping_add(LINE);
        }
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Operands of a product `y [M, 16 N] = x [M, inputs] · panels [N, inputs, 16]`.
pub struct FloatTile<W> {
    pub x: *const f32,
    pub x_stride: usize,
    pub panels: *const W,
    pub inputs: usize,
    /// What each row's sums begin with, `[16 N]`.
    pub start: *const f32,
    pub y: *mut f32,
    pub y_stride: usize,
    /// Whether the products are added to what `y` holds.
    pub accumulate: bool,
    pub ahead: Ahead,
}

/// A start from nothing, for as many panels as a tile may have.
pub static ZEROS: [f32; 4 * LANES] = [0.0; 4 * LANES];

/// Computes a tile with its sums in registers: for each sum one multiply-add after the other, from the first input to the last.
///
/// # Safety
/// `x` has `M` rows of `inputs`, `panels` has `N` panels, `start` is `16 N` long, and `y`, which nothing else refers to, has `M` rows
/// of `16 N`.
#[inline(always)]
pub unsafe fn float<S: Simd, W: Weight, const M: usize, const N: usize>(s: S, tile: &FloatTile<W>) {
    let inputs = tile.inputs;
    let mut sums = [[s.splat(0.0); N]; M];
    for n in 0..N {
        // SAFETY: `start` is `16 N` long.
        let start = s.load(unsafe { &*tile.start.add(n * LANES).cast::<[f32; LANES]>() });
        for m in 0..M {
            sums[m][n] = start;
        }
    }
    let mut panels = [tile.panels; N];
    for n in 1..N {
        panels[n] = panels[n].wrapping_add(n * inputs * LANES);
    }
    let mut rows = [tile.x; M];
    for m in 1..M {
        rows[m] = rows[m].wrapping_add(m * tile.x_stride);
    }
    let mut k = 0;

    macro_rules! step {
        ($lane:literal, $x:ident) => {
            let mut w = [s.splat(0.0); N];
            for n in 0..N {
                // SAFETY: `k + $lane < inputs`, and a panel is `inputs × 16`.
                w[n] = unsafe { W::next(s, &mut panels[n]) };
            }
            for m in 0..M {
                for n in 0..N {
                    sums[m][n] = s.fma_lane::<$lane>($x[m], w[n], sums[m][n]);
                }
                for n in 0..N {
                    sums[m][n] = s.settle(sums[m][n]);
                }
            }
        };
    }
    macro_rules! four {
        () => {
            // SAFETY: rows have `inputs` elements, and `k + 4` of them at least.
            let mut x = [unsafe { s.four(rows[0]) }; M];
            for m in 0..M {
                x[m] = if const { S::NARROW } {
                    // SAFETY: as above.
                    unsafe { s.next_four(&mut rows[m]) }
                } else {
                    // SAFETY: as above.
                    unsafe { s.four(tile.x.add(m * tile.x_stride + k)) }
                };
            }
            step!(0, x);
            step!(1, x);
            step!(2, x);
            step!(3, x);
        };
    }
    let mut ahead = tile.ahead;
    let whole = inputs & !3;
    while k < whole {
        ahead.hint::<S>();
        let end = whole.min(k + S::RUN);
        if const { S::NARROW } {
            let rounds = (end - k) / 16;
            for _ in 0..rounds {
                four!();
                four!();
                four!();
                four!();
            }
            k += 16 * rounds;
        }
        while k < end {
            four!();
            k += 4;
        }
    }
    while k < inputs {
        for n in 0..N {
            // SAFETY: `k < inputs`, and a panel is `inputs × 16`.
            let w = unsafe { W::next(s, &mut panels[n]) };
            for m in 0..M {
                // SAFETY: rows have `inputs` elements.
                let x = unsafe { *tile.x.add(m * tile.x_stride + k) };
                sums[m][n] = s.fma(s.splat(x), w, sums[m][n]);
            }
        }
        k += 1;
    }
    for_each!(M, m => {
        for_each!(N, n => {
            // SAFETY: `y` has `M` rows of `16 N`, for this tile alone.
            let y = unsafe { &mut *tile.y.add(m * tile.y_stride + n * LANES).cast::<[f32; LANES]>() };
            let sum = if tile.accumulate { s.add(s.load(y), sums[m][n]) } else { sums[m][n] };
            s.store(sum, y);
        });
    });
}

/// `y [rows, 16 · panels] = x [rows, inputs] · panels`, for any number of panels and at most `ROWS` rows. Starts from zero.
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
            of_panels(isa, &part, rows, step);
        }
        panel += step;
    }
}

/// A tile of `rows` rows, at most `ROWS`, and one panel or `PANELS`.
///
/// # Safety
/// As [`float`].
#[inline(always)]
pub unsafe fn of_panels<I: Isa, W: Weight>(isa: I, tile: &FloatTile<W>, rows: usize, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if count == 1 {
            for_rows!(rows, I::Vector::ROWS, M => isa.float_tile::<W, M, 1>(tile));
        } else {
            for_rows!(rows, I::Vector::ROWS, M => by_panels::<I, W, M>(isa, tile));
        }
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
