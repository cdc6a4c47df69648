use super::tile::Ahead;
use super::{Integer, Isa, Simd};
use crate::LANES;

/// Bytes of weights of a panel for four inputs.
const STEP: usize = 4 * LANES;

/// Operands of a product `y [M, 16 N] = x [M, 4 · steps] · panels [N, steps, 16, 4]` of integers.
pub struct IntegerTile {
    pub x: *const u8,
    pub x_stride: usize,
    pub panels: *const i8,
    /// Inputs, divided by four.
    pub steps: usize,
    pub y: *mut i32,
    pub y_stride: usize,
    pub ahead: Ahead,
}

/// Groups of four inputs between hints about weights ahead.
const RUN: usize = 16;

/// Computes a tile with its sums in registers.
///
/// # Safety
/// `x` has `M` rows of `4 · steps` bytes, each readable up to a multiple of 16; `panels` has `N` panels; and `y`, which nothing
/// else refers to, `M` rows of `16 N`.
#[inline(always)]
pub unsafe fn tile<S: Simd, I: Integer, const M: usize, const N: usize>(i: I, tile: &IntegerTile) {
    let steps = tile.steps;
    let mut sums = [[i.zero(); N]; M];
    let mut step = 0;

    macro_rules! weights {
        ($n:expr, $lane:literal) => {
            // SAFETY: `step + $lane < steps`, and a panel is `steps × 64`.
            i.weights(unsafe { &*tile.panels.add(($n * steps + step + $lane) * STEP).cast::<[i8; STEP]>() })
        };
    }
    macro_rules! single {
        ($lane:literal, $x:ident) => {
            let mut w = [weights!(0, $lane); N];
            for n in 1..N {
                w[n] = weights!(n, $lane);
            }
            for m in 0..M {
                for n in 0..N {
                    sums[m][n] = i.dot::<$lane>($x[m], w[n], sums[m][n]);
                }
            }
        };
    }
    macro_rules! pair {
        ($lane:literal, $next:literal, $x:ident) => {
            if I::PAIRS {
                for n in 0..N {
                    let w = [weights!(n, $lane), weights!(n, $next)];
                    for m in 0..M {
                        sums[m][n] = i.dot_pair::<$lane, $next>($x[m], w, sums[m][n]);
                    }
                }
            } else {
                single!($lane, $x);
                single!($next, $x);
            }
        };
    }
    macro_rules! rows {
        () => {{
            // SAFETY: rows are readable up to a multiple of 16 bytes, and `step` is a multiple of four.
            let mut x = [unsafe { i.sixteen(tile.x.add(4 * step)) }; M];
            for m in 1..M {
                // SAFETY: as above.
                x[m] = unsafe { i.sixteen(tile.x.add(m * tile.x_stride + 4 * step)) };
            }
            x
        }};
    }
    let mut ahead = tile.ahead;
    let whole = steps & !3;
    while step < whole {
        ahead.hint::<S>();
        let end = whole.min(step + RUN);
        while step < end {
            let x = rows!();
            pair!(0, 1, x);
            pair!(2, 3, x);
            step += 4;
        }
    }
    if step < steps {
        let x = rows!();
        let rest = steps - step;
        if rest == 1 {
            single!(0, x);
        } else {
            pair!(0, 1, x);
        }
        if rest == 3 {
            single!(2, x);
        }
    }
    for m in 0..M {
        for n in 0..N {
            // SAFETY: `y` has `M` rows of `16 N`, for this tile alone.
            let y = unsafe { &mut *tile.y.add(m * tile.y_stride + n * LANES).cast::<[i32; LANES]>() };
            i.store(sums[m][n], y);
        }
    }
}

/// Writes a row as bytes around 0 or 128, whatever the instruction set's dot product takes; returns the row's scale.
#[inline(always)]
pub fn quantise<I: Isa>(isa: I, row: &[f32], bytes: &mut [u8]) -> f32 {
    let s = isa.vector();
    let (chunks, rest) = row.as_chunks::<LANES>();
    let tail = super::vector::partial(rest, 0.0);
    let mut largest = s.abs(s.load(&tail));
    for chunk in chunks {
        largest = s.max(s.abs(s.load(chunk)), largest);
    }
    let largest = s.largest(largest).max(1e-20);
    let factor = s.splat(127.0 / largest);
    let centre = if I::Int::SIGNED { 0 } else { 0x80 };
    let (slots, _) = bytes.as_chunks_mut::<LANES>();
    for (slot, chunk) in slots.iter_mut().zip(chunks.iter().chain(core::iter::once(&tail))) {
        let values = s.to_bytes(s.mul(s.load(chunk), factor));
        for lane in 0..LANES {
            slot[lane] = values[lane].cast_unsigned() ^ centre;
        }
    }
    largest / 127.0
}
