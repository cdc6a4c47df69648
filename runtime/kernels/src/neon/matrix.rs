use core::arch::aarch64::*;
use core::arch::asm;

use super::vector::Quarters;
use crate::LANES;
use crate::simd::integer::IntegerTile;
use crate::simd::{Integer, Simd};

/// Most pairs of rows of a tile: their sums take 24 of the 32 registers, their activations three, and weights five.
const PAIRS: usize = 3;

/// Bytes of a panel's step.
const STEP: usize = 4 * LANES;

/// Sums or weights of eight outputs, two by two.
type Eight = Quarters<int32x4_t>;

/// Adds a tile's products to its sums: of two rows, two outputs and eight inputs at a time. What lacks of rows and inputs is zero.
///
/// # Safety
/// This CPU has the matrix product. The rest as in [`crate::simd::integer::tile`].
#[inline(always)]
pub unsafe fn multiply<S: Simd, I: Integer<Sums = Quarters<int32x4_t>>, const M: usize, const N: usize>(
    i: I,
    tile: &IntegerTile,
    sums: &mut [[I::Sums; N]; M],
) {
    const { assert!(I::ROWS == 2 * PAIRS && I::PANELS == 1) }
    // SAFETY: the caller's promise.
    let zero = unsafe { vdupq_n_s32(0) };
    let mut blocks = [[Quarters(zero, zero, zero, zero); 2]; PAIRS];
    let (mut from, mut panel) = (tile.x, tile.panels);

    macro_rules! half {
        ($half:literal, $w:expr, $x:ident) => {
            let w = $w;
            for p in 0..M.div_ceil(2) {
                blocks[p][$half] = i.settle(add($x[p], w, blocks[p][$half]));
            }
        };
    }
    macro_rules! two_steps {
        ($at:literal) => {
            // SAFETY: the activations and weights of two steps are left.
            unsafe {
                let from = from.wrapping_add(4 * $at * M);
                let mut x = by_rows([words::<M>(from), words::<M>(from.wrapping_add(4 * M))]);
                for p in 0..M.div_ceil(2) {
                    x[p] = settle(x[p]);
                }
                half!(0, weights::<{ $at * STEP }>(panel), x);
                half!(1, weights::<{ $at * STEP + STEP / 2 }>(panel), x);
            }
        };
    }
    let mut step = 0;
    macro_rules! step_on {
        ($steps:literal) => {
            from = from.wrapping_add(4 * $steps * M);
            panel = panel.wrapping_add($steps * STEP);
            step += $steps;
        };
    }
    let mut ahead = tile.ahead;
    let whole = tile.steps & !1;
    while step < whole {
        ahead.hint::<S>();
        let end = whole.min(step + I::RUN / 4);
        for _ in 0..(end - step) / 8 {
            two_steps!(0);
            two_steps!(2);
            two_steps!(4);
            two_steps!(6);
            step_on!(8);
        }
        while step < end {
            two_steps!(0);
            step_on!(2);
        }
    }
    if step < tile.steps {
        // SAFETY: the activations and weights of one step are left.
        unsafe {
            let x = by_rows([words::<M>(from), [zero; 2]]);
            half!(0, alone(panel), x);
            half!(1, alone(panel.wrapping_add(STEP / 2)), x);
        }
    }
    for m in 0..M {
        // SAFETY: the caller's promise.
        sums[m][0] = unsafe { add_row(m % 2, blocks[m / 2], sums[m][0]) };
    }
}

/// Promises that activations are computed before weights are loaded, for which there are just enough registers then.
#[inline]
#[target_feature(enable = "neon")]
fn settle(mut x: int32x4_t) -> int32x4_t {
    // SAFETY: it does nothing.
    unsafe { asm!("/* {:v} */", inout(vreg) x, options(nomem, nostack, preserves_flags)) }
    x
}

/// Adds one row of two.
#[inline]
#[target_feature(enable = "neon")]
fn add_row(row: usize, [low, high]: [Eight; 2], sums: Quarters<int32x4_t>) -> Quarters<int32x4_t> {
    let four = |a, b| {
        let (a, b) = (vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b));
        vreinterpretq_s32_s64(if row == 0 { vzip1q_s64(a, b) } else { vzip2q_s64(a, b) })
    };
    Quarters(
        vaddq_s32(sums.0, four(low.0, low.1)),
        vaddq_s32(sums.1, four(low.2, low.3)),
        vaddq_s32(sums.2, four(high.0, high.1)),
        vaddq_s32(sums.3, four(high.2, high.3)),
    )
}

/// Adds the products of two rows and eight outputs. Rust has no stable intrinsic for it.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add(x: int32x4_t, w: Eight, sums: Eight) -> Eight {
    Quarters(smmla(sums.0, x, w.0), smmla(sums.1, x, w.1), smmla(sums.2, x, w.2), smmla(sums.3, x, w.3))
}

#[inline]
#[target_feature(enable = "neon,i8mm")]
fn smmla(mut sums: int32x4_t, x: int32x4_t, w: int32x4_t) -> int32x4_t {
    // SAFETY: the instruction is part of the feature, and reads and writes these registers only.
    unsafe {
        asm!(
            "smmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums,
            in(vreg) x,
            in(vreg) w,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Loads weights of eight outputs for two steps from byte `AT` on, as eight inputs of each output.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn weights<const AT: usize>(from: *const i8) -> Eight {
    let (a, b, c, d);
    // SAFETY: the instructions are part of NEON, and read what the caller promised.
    unsafe {
        asm!(
            "ldp {b:q}, {t:q}, [{from}, {first}]",
            "ldp {c:q}, {d:q}, [{from}, {second}]",
            "zip1 {a:v}.4s, {b:v}.4s, {c:v}.4s",
            "zip2 {b:v}.4s, {b:v}.4s, {c:v}.4s",
            "zip1 {c:v}.4s, {t:v}.4s, {d:v}.4s",
            "zip2 {d:v}.4s, {t:v}.4s, {d:v}.4s",
            from = in(reg) from,
            first = const AT,
            second = const AT + STEP,
            a = out(vreg) a,
            b = out(vreg) b,
            c = out(vreg) c,
            d = out(vreg) d,
            t = out(vreg) _,
            options(readonly, nostack, preserves_flags),
        );
    }
    Quarters(a, b, c, d)
}

/// Loads the weights of a last step for eight outputs, each with four inputs of zero.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn alone(at: *const i8) -> Eight {
    // SAFETY: the caller's promise.
    let (low, high) = unsafe { (vld1q_s32(at.cast()), vld1q_s32(at.add(LANES).cast())) };
    let zero = vdupq_n_s32(0);
    Quarters(vzip1q_s32(low, zero), vzip2q_s32(low, zero), vzip1q_s32(high, zero), vzip2q_s32(high, zero))
}

/// Loads a step's activations: a word of four inputs for each of `M` rows.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn words<const M: usize>(from: *const u8) -> [int32x4_t; 2] {
    // SAFETY: the caller's promise.
    unsafe { [four_words(from, M), four_words(from.wrapping_add(16), M.saturating_sub(4))] }
}

/// Loads four words, or as many as there are.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn four_words(from: *const u8, count: usize) -> int32x4_t {
    let from = from.cast::<i32>();
    let zero = vdupq_n_s32(0);
    // SAFETY: the caller's promise.
    unsafe {
        match count {
            0 => zero,
            1 => vld1q_lane_s32::<0>(from, zero),
            2 => vcombine_s32(vld1_s32(from), vget_low_s32(zero)),
            3 => vld1q_lane_s32::<2>(from.add(2), vcombine_s32(vld1_s32(from), vget_low_s32(zero))),
            _ => vld1q_s32(from),
        }
    }
}

/// The words of two steps as vectors of eight inputs of a row and eight of the next.
#[inline]
#[target_feature(enable = "neon")]
fn by_rows([a, b]: [[int32x4_t; 2]; 2]) -> [int32x4_t; PAIRS] {
    [vzip1q_s32(a[0], b[0]), vzip2q_s32(a[0], b[0]), vzip1q_s32(a[1], b[1])]
}
