use super::tile::Ahead;
use super::{Integer, Isa, Simd, by_fours, for_each, for_rows, vector};
use crate::LANES;

/// Operands of a product `y [M, 16 N] = x [M, 4 · steps] · panels [N, steps, 16, 4]` of integers, scaled.
pub struct IntegerTile {
    /// `[steps, M, 4]`
    pub x: *const u8,
    /// `[M]`
    pub x_scale: *const f32,
    pub panels: *const i8,
    /// Inputs, divided by four.
    pub steps: usize,
    /// `[16 N]`
    pub scale: *const f32,
    /// `[16 N]`, what activations around 128 make too much of.
    pub zero: *const i32,
    /// `[16 N]`, added to the scaled products.
    pub bias: *const f32,
    pub y: *mut f32,
    pub y_stride: usize,
    /// Whether the products are added to what `y` holds.
    pub accumulate: bool,
    pub ahead: Ahead,
}

/// Computes a tile with its sums in registers.
///
/// # Safety
/// `x` is readable up to a multiple of sixteen bytes, `panels` has `N` panels, the scales and what else is added are as long as said; and
/// `y`, which nothing else refers to, has `M` rows of `16 N`.
#[inline(always)]
pub unsafe fn tile<S: Simd, I: Integer, const M: usize, const N: usize>(s: S, i: I, tile: &IntegerTile) {
    let mut sums = [[i.start(&[0; LANES]); N]; M];
    for n in 0..N {
        // SAFETY: `zero` is `16 N` long.
        let start = i.start(unsafe { &*tile.zero.add(n * LANES).cast::<[i32; LANES]>() });
        for m in 0..M {
            sums[m][n] = start;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { i.multiply::<S, M, N>(tile, &mut sums) };

    for_each!(N, n => {
        // SAFETY: scales and biases are `16 N` long.
        let (scale, bias) = unsafe {
            (
                s.load(&*tile.scale.add(n * LANES).cast::<[f32; LANES]>()),
                s.load(&*tile.bias.add(n * LANES).cast::<[f32; LANES]>()),
            )
        };
        for_each!(M, m => {
            let mut integers = [0; LANES];
            i.store(sums[m][n], &mut integers);
            // SAFETY: there are `M` scales.
            let scale = s.mul(s.splat(unsafe { *tile.x_scale.add(m) }), scale);
            let product = s.add(s.mul(s.load_int(&integers), scale), bias);
            // SAFETY: `y` has `M` rows of `16 N`, for this tile alone.
            let y = unsafe { &mut *tile.y.add(m * tile.y_stride + n * LANES).cast::<[f32; LANES]>() };
            s.store(if tile.accumulate { s.add(s.load(y), product) } else { product }, y);
        });
    });
}

/// Adds a tile's products to its sums, a step of four inputs after the other, or two.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
pub unsafe fn multiply<S: Simd, I: Integer, const M: usize, const N: usize>(
    i: I,
    tile: &IntegerTile,
    sums: &mut [[I::Sums; N]; M],
) {
    let steps = tile.steps;
    let mut panels = [tile.panels; N];
    for n in 1..N {
        panels[n] = panels[n].wrapping_add(n * steps * 4 * LANES);
    }
    let mut from = tile.x;

    // Row `m`'s activations for step `$k` of the next ones are word `$k · M + m`.
    macro_rules! weights {
        () => {{
            // SAFETY: a step is left of each panel.
            let mut w = [unsafe { i.next(&mut panels[0]) }; N];
            for n in 1..N {
                // SAFETY: as above.
                w[n] = unsafe { i.next(&mut panels[n]) };
            }
            w
        }};
    }
    macro_rules! single {
        ($k:literal, $x:ident) => {
            let w = weights!();
            for_each!(M, m => {
                if const { ($k * M + m) % 4 == 0 } {
                    // SAFETY: the activations are there, up to a multiple of sixteen bytes.
                    $x = unsafe { i.sixteen(from.add(4 * ($k * M + m))) };
                }
                for n in 0..N {
                    sums[m][n] = match const { ($k * M + m) % 4 } {
                        0 => i.dot::<0>($x, w[n], sums[m][n]),
                        1 => i.dot::<1>($x, w[n], sums[m][n]),
                        2 => i.dot::<2>($x, w[n], sums[m][n]),
                        _ => i.dot::<3>($x, w[n], sums[m][n]),
                    };
                }
            });
            for m in 0..M {
                for n in 0..N {
                    sums[m][n] = i.settle(sums[m][n]);
                }
            }
        };
    }
    macro_rules! pair {
        ($k:literal, $next:literal, $x:ident) => {
            if const { I::PAIRS } {
                let w = [weights!(), weights!()];
                if $k * M % 4 == 0 {
                    // SAFETY: as above.
                    $x = unsafe { i.sixteen(from.add(4 * $k * M)) };
                }
                for_each!(M, m => {
                    for n in 0..N {
                        let w = [w[0][n], w[1][n]];
                        sums[m][n] = match const { (($k * M + m) % 4, M) } {
                            (0, 1) => i.dot_pair::<0, 1>($x, w, sums[m][n]),
                            (2, 1) => i.dot_pair::<2, 3>($x, w, sums[m][n]),
                            (0, _) => i.dot_pair::<0, 2>($x, w, sums[m][n]),
                            _ => i.dot_pair::<1, 3>($x, w, sums[m][n]),
                        };
                    }
                });
                for m in 0..M {
                    for n in 0..N {
                        sums[m][n] = i.settle(sums[m][n]);
                    }
                }
            } else {
                single!($k, $x);
                single!($next, $x);
            }
        };
    }
    let mut step = 0;
    macro_rules! four {
        () => {
            // SAFETY: the activations of four steps are left.
            let mut x = unsafe { i.sixteen(from) };
            pair!(0, 1, x);
            pair!(2, 3, x);
            from = from.wrapping_add(16 * M);
        };
    }
    let mut ahead = tile.ahead;
    let whole = steps & !3;
    while step < whole {
        ahead.hint::<S>();
        let end = whole.min(step + I::RUN / 4);
        if const { S::NARROW } {
            let rounds = (end - step) / 8;
            for _ in 0..rounds {
                four!();
                four!();
            }
            step += 8 * rounds;
        }
        while step < end {
            four!();
            step += 4;
        }
    }
    if step < steps {
        // SAFETY: sixteen bytes of activations are there, if not all of them belong to steps.
        let mut x = unsafe { i.sixteen(from) };
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
}

/// A tile of `rows` rows, at most `ROWS`, and one panel or `PANELS`.
///
/// # Safety
/// As [`tile`], with `rows` for `M` and `count` for `N`.
#[inline(always)]
pub unsafe fn of_panels<I: Isa>(isa: I, tile: &IntegerTile, rows: usize, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if count == 1 {
            for_rows!(rows, I::Int::ROWS, M => isa.integer_tile::<M, 1>(tile));
        } else {
            for_rows!(rows, I::Int::ROWS, M => by_panels::<I, M>(isa, tile));
        }
    }
}

/// A tile of `PANELS` panels.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn by_panels<I: Isa, const M: usize>(isa: I, tile: &IntegerTile) {
    // SAFETY: the caller's promise.
    unsafe {
        match I::Int::PANELS {
            1 => isa.integer_tile::<M, 1>(tile),
            2 => isa.integer_tile::<M, 2>(tile),
            3 => isa.integer_tile::<M, 3>(tile),
            _ => isa.integer_tile::<M, 4>(tile),
        }
    }
}

/// Writes a row as bytes around 0 or 128, whatever the instruction set's dot product takes, in words of four that lie `height` words
/// apart; returns the row's scale.
#[inline(always)]
pub fn quantise<I: Isa>(isa: I, row: &[f32], height: usize, bytes: &mut [u8]) -> f32 {
    let s = isa.vector();
    let centre = if I::Int::SIGNED { 0 } else { 0x80 };
    let (chunks, rest) = row.as_chunks::<LANES>();
    let largest = vector::largest_magnitude(s, row).max(1e-20);
    let factor = s.splat(127.0 / largest);
    let (pitch, slot) = (4 * height, LANES * height);
    let slots = row.len().div_ceil(LANES);
    assert!(slots * slot + 4 <= bytes.len() + pitch, "too few bytes for a quantised row");
    let mut to = bytes.as_mut_ptr();
    by_fours!(chunks, chunk => {
        // SAFETY: there is room for four words in each slot, the last of which may lack what follows its last word.
        to = unsafe { s.store_words(s.mul(s.load(chunk), factor), centre, to, pitch) };
    });
    if !rest.is_empty() {
        // SAFETY: as above.
        unsafe { s.store_words(s.mul(s.load(&vector::partial(rest, 0.0)), factor), centre, to, pitch) };
    }
    largest / 127.0
}
