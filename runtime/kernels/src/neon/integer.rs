use core::arch::aarch64::*;
use core::arch::asm;

use super::vector::Quarters;
use crate::simd::Integer;

/// Products of bytes in 16 bits, two of which are added before they are widened to 32. A value proves that this CPU has NEON.
#[derive(Clone, Copy)]
pub struct Widening(());

impl Widening {
    /// # Safety
    /// This CPU has NEON.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Widening(())
    }
}

impl Integer for Widening {
    const ROWS: usize = 2;
    const PANELS: usize = 1;
    const RUN: usize = 256;
    const SIGNED: bool = true;
    const PAIRS: bool = true;
    const FAST: bool = false;

    /// Two sums for each output, side by side; each vector holds two outputs.
    type Sums = [int32x4_t; 8];
    type Weights = Quarters<int8x16_t>;
    type Sixteen = int32x4_t;

    #[inline(always)]
    fn start(self, _zero: &[i32; 16]) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        [unsafe { vdupq_n_s32(0) }; 8]
    }

    /// Two instructions, which also step on, and which stay behind [`Integer::settle`].
    #[inline(always)]
    unsafe fn next(self, at: &mut *const i8) -> Self::Weights {
        let (a, b, c, d);
        // SAFETY: `self` proves the instructions, which read the 64 bytes that the caller promised.
        unsafe {
            asm!(
                "ldp {a:q}, {b:q}, [{at}], #32",
                "ldp {c:q}, {d:q}, [{at}], #32",
                at = inout(reg) *at,
                a = out(vreg) a,
                b = out(vreg) b,
                c = out(vreg) c,
                d = out(vreg) d,
                options(readonly, nostack, preserves_flags),
            );
        }
        Quarters(a, b, c, d)
    }

    #[inline(always)]
    unsafe fn sixteen(self, from: *const u8) -> Self::Sixteen {
        // SAFETY: `self` proves the instructions, and the caller promised sixteen bytes.
        unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
    }

    #[inline(always)]
    fn dot<const J: usize>(self, x: Self::Sixteen, w: Self::Weights, mut sums: Self::Sums) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        unsafe {
            let x = four_times::<J>(x);
            macro_rules! quarter {
                ($w:expr, $low:literal, $high:literal) => {
                    sums[$low] = vpadalq_s16(sums[$low], vmull_s8(vget_low_s8($w), vget_low_s8(x)));
                    sums[$high] = vpadalq_s16(sums[$high], vmull_high_s8($w, x));
                };
            }
            quarter!(w.0, 0, 1);
            quarter!(w.1, 2, 3);
            quarter!(w.2, 4, 5);
            quarter!(w.3, 6, 7);
        }
        sums
    }

    /// Two products fit in 16 bits, because none is larger than 127 · 128.
    #[inline(always)]
    fn dot_pair<const J: usize, const J1: usize>(
        self,
        x: Self::Sixteen,
        w: [Self::Weights; 2],
        mut sums: Self::Sums,
    ) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        unsafe {
            let x = [four_times::<J>(x), four_times::<J1>(x)];
            [sums[0], sums[1]] = add_pair([sums[0], sums[1]], [w[0].0, w[1].0], x);
            [sums[2], sums[3]] = add_pair([sums[2], sums[3]], [w[0].1, w[1].1], x);
            [sums[4], sums[5]] = add_pair([sums[4], sums[5]], [w[0].2, w[1].2], x);
            [sums[6], sums[7]] = add_pair([sums[6], sums[7]], [w[0].3, w[1].3], x);
        }
        sums
    }

    #[inline(always)]
    fn settle(self, mut sums: Self::Sums) -> Self::Sums {
        let [a, b, c, d, e, f, g, h] = &mut sums;
        // SAFETY: it does nothing.
        unsafe {
            asm!(
                "/* {:v} {:v} {:v} {:v} {:v} {:v} {:v} {:v} */",
                inout(vreg) * a,
                inout(vreg) * b,
                inout(vreg) * c,
                inout(vreg) * d,
                inout(vreg) * e,
                inout(vreg) * f,
                inout(vreg) * g,
                inout(vreg) * h,
                options(nomem, nostack, preserves_flags)
            );
        }
        sums
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, to: &mut [i32; 16]) {
        for (pair, to) in sums.as_chunks::<2>().0.iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: `self` proves the instructions, and there is room for four integers.
            unsafe { vst1q_s32(to.as_mut_ptr(), vpaddq_s32(pair[0], pair[1])) }
        }
    }
}

/// Adds the products of two vectors of weights to their sums: those of the lower halves, and those of the upper ones. The compiler would do all
/// multiplications of a loop first, for which there are not enough registers.
#[inline]
#[target_feature(enable = "neon")]
fn add_pair([mut low, mut high]: [int32x4_t; 2], w: [int8x16_t; 2], x: [int8x16_t; 2]) -> [int32x4_t; 2] {
    // SAFETY: the instructions are part of NEON, and read and write these registers only.
    unsafe {
        asm!(
            "smull {l:v}.8h, {w:v}.8b, {x:v}.8b",
            "smull2 {h:v}.8h, {w:v}.16b, {x:v}.16b",
            "smlal {l:v}.8h, {w1:v}.8b, {x1:v}.8b",
            "smlal2 {h:v}.8h, {w1:v}.16b, {x1:v}.16b",
            "sadalp {low:v}.4s, {l:v}.8h",
            "sadalp {high:v}.4s, {h:v}.8h",
            l = out(vreg) _,
            h = out(vreg) _,
            w = in(vreg) w[0],
            x = in(vreg) x[0],
            w1 = in(vreg) w[1],
            x1 = in(vreg) x[1],
            low = inout(vreg) low,
            high = inout(vreg) high,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [low, high]
}

/// Bytes `4J..4J + 4`, four times.
#[inline]
#[target_feature(enable = "neon")]
fn four_times<const J: usize>(x: int32x4_t) -> int8x16_t {
    vreinterpretq_s8_s32(match J {
        0 => vdupq_laneq_s32::<0>(x),
        1 => vdupq_laneq_s32::<1>(x),
        2 => vdupq_laneq_s32::<2>(x),
        _ => vdupq_laneq_s32::<3>(x),
    })
}
