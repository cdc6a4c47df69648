use core::arch::aarch64::*;

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
    const SIGNED: bool = true;
    const PAIRS: bool = true;

    /// Two sums for each output, side by side; each vector holds two outputs.
    type Sums = [int32x4_t; 8];
    type Weights = Quarters<int8x16_t>;
    type Sixteen = int32x4_t;

    #[inline(always)]
    fn start(self, _zero: &[i32; 16]) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        [unsafe { vdupq_n_s32(0) }; 8]
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const i8) -> Self::Weights {
        let from = *at;
        *at = from.wrapping_add(64);
        // SAFETY: `self` proves the instructions, and the caller promised 64 bytes.
        unsafe { Quarters(vld1q_s8(from), vld1q_s8(from.add(16)), vld1q_s8(from.add(32)), vld1q_s8(from.add(48))) }
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
            let (x, x1) = (four_times::<J>(x), four_times::<J1>(x));
            macro_rules! quarter {
                ($w:expr, $w1:expr, $low:literal, $high:literal) => {
                    let low = vmull_s8(vget_low_s8($w), vget_low_s8(x));
                    sums[$low] = vpadalq_s16(sums[$low], vmlal_s8(low, vget_low_s8($w1), vget_low_s8(x1)));
                    let high = vmull_high_s8($w, x);
                    sums[$high] = vpadalq_s16(sums[$high], vmlal_high_s8(high, $w1, x1));
                };
            }
            quarter!(w[0].0, w[1].0, 0, 1);
            quarter!(w[0].1, w[1].1, 2, 3);
            quarter!(w[0].2, w[1].2, 4, 5);
            quarter!(w[0].3, w[1].3, 6, 7);
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
