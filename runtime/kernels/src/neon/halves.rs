use core::arch::aarch64::*;
use core::arch::asm;

use super::vector::{self, Neon, Quarters};
use crate::simd::Half;

/// Half-precision arithmetic of Armv8.2 (Cortex-A55, A75, A76 and later). A value proves that this CPU has it.
#[derive(Clone, Copy)]
pub struct Halves(());

impl Halves {
    /// # Safety
    /// This CPU has NEON with half precision.
    #[inline(always)]
    pub unsafe fn assume() -> Option<Self> {
        Some(Halves(()))
    }
}

/// Sixteen lanes, eight by eight.
#[derive(Clone, Copy)]
pub struct Pair(float16x8_t, float16x8_t);

impl Half<Neon> for Halves {
    const ROWS: usize = 8;

    type V = Pair;
    type Eight = float16x8_t;

    #[inline(always)]
    fn zero(self) -> Self::V {
        // SAFETY: `self` proves the instructions.
        let zero = unsafe { vreinterpretq_f16_u16(vdupq_n_u16(0)) };
        Pair(zero, zero)
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const u16) -> Self::V {
        let from = *at;
        *at = from.wrapping_add(16);
        // SAFETY: `self` proves the instructions, and the caller promised sixteen halves.
        unsafe { Pair(vreinterpretq_f16_u16(vld1q_u16(from)), vreinterpretq_f16_u16(vld1q_u16(from.add(8)))) }
    }

    #[inline(always)]
    unsafe fn next_two(self, at: &mut *const u16) -> [Self::V; 2] {
        // SAFETY: `self` proves the instructions, and the caller promised 32 halves.
        unsafe {
            let Quarters(a, b, c, d) = vector::next_registers(at);
            [
                Pair(vreinterpretq_f16_u8(a), vreinterpretq_f16_u8(b)),
                Pair(vreinterpretq_f16_u8(c), vreinterpretq_f16_u8(d)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn eight(self, from: *const u16) -> Self::Eight {
        // SAFETY: `self` proves the instructions, and the caller promised eight halves.
        unsafe { vreinterpretq_f16_u16(vld1q_u16(from)) }
    }

    #[inline(always)]
    fn fma_lane<const J: usize>(self, x: Self::Eight, w: Self::V, acc: Self::V) -> Self::V {
        // SAFETY: `self` proves the instructions.
        unsafe { Pair(fmla::<J>(acc.0, w.0, x), fmla::<J>(acc.1, w.1, x)) }
    }

    #[inline(always)]
    fn settle(self, mut v: Self::V) -> Self::V {
        // SAFETY: it does nothing.
        unsafe {
            asm!("/* {:v} {:v} */", inout(vreg) v.0, inout(vreg) v.1, options(nomem, nostack, preserves_flags));
        }
        v
    }

    #[inline(always)]
    fn widen(self, v: Self::V) -> Quarters<float32x4_t> {
        // SAFETY: `self` proves the instructions.
        unsafe { vector::widen(v.0, v.1) }
    }

    #[inline(always)]
    unsafe fn store_eights(self, v: Quarters<float32x4_t>, to: *mut u8, pitch: usize) -> *mut u8 {
        let second = to.wrapping_add(pitch);
        // SAFETY: `self` proves the instructions, and the caller promised room.
        unsafe {
            let low = vcvt_high_f16_f32(vcvt_f16_f32(v.0), v.1);
            let high = vcvt_high_f16_f32(vcvt_f16_f32(v.2), v.3);
            vst1q_u8(to, vreinterpretq_u8_f16(low));
            vst1q_u8(second, vreinterpretq_u8_f16(high));
        }
        second.wrapping_add(pitch)
    }
}

/// `sums + x[J] · w`
#[inline]
#[target_feature(enable = "neon,fp16")]
fn fmla<const J: usize>(sums: float16x8_t, w: float16x8_t, x: float16x8_t) -> float16x8_t {
    match J {
        0 => vfmaq_laneq_f16::<0>(sums, w, x),
        1 => vfmaq_laneq_f16::<1>(sums, w, x),
        2 => vfmaq_laneq_f16::<2>(sums, w, x),
        3 => vfmaq_laneq_f16::<3>(sums, w, x),
        4 => vfmaq_laneq_f16::<4>(sums, w, x),
        5 => vfmaq_laneq_f16::<5>(sums, w, x),
        6 => vfmaq_laneq_f16::<6>(sums, w, x),
        _ => vfmaq_laneq_f16::<7>(sums, w, x),
    }
}
