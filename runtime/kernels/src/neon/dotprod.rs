use core::arch::aarch64::*;
use core::arch::asm;

use super::matrix;
use super::vector::{Quarters, next_registers};
use crate::simd::integer::{self, IntegerTile};
use crate::simd::{Integer, Simd};

/// The dot product of Armv8.2 (Cortex-A55, A75, A76 and later), and if `MATRIX`, the product of small matrices of Armv8.6 (Cortex-A510,
/// A710, Neoverse V1 and later) for more than one row. A value proves that this CPU has them.
#[derive(Clone, Copy)]
pub struct Dots<const MATRIX: bool>(());

pub type DotProduct = Dots<false>;
pub type MatrixProduct = Dots<true>;

impl<const MATRIX: bool> Dots<MATRIX> {
    /// # Safety
    /// This CPU has NEON, its dot product, and if `MATRIX`, its matrix product.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Dots(())
    }
}

impl<const MATRIX: bool> Integer for Dots<MATRIX> {
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    const RUN: usize = 256;
    const SIGNED: bool = true;

    type Sums = Quarters<int32x4_t>;
    type Weights = Quarters<int8x16_t>;
    type Sixteen = uint8x16_t;

    #[inline(always)]
    fn start(self, _zero: &[i32; 16]) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        let zero = unsafe { vdupq_n_s32(0) };
        Quarters(zero, zero, zero, zero)
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const i8) -> Self::Weights {
        // SAFETY: `self` proves the instructions, and the caller promised 64 bytes.
        unsafe {
            let Quarters(a, b, c, d) = next_registers(at);
            Quarters(vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b), vreinterpretq_s8_u8(c), vreinterpretq_s8_u8(d))
        }
    }

    #[inline(always)]
    unsafe fn sixteen(self, from: *const u8) -> Self::Sixteen {
        // SAFETY: `self` proves the instructions, and the caller promised sixteen bytes.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    fn dot<const J: usize>(self, x: Self::Sixteen, w: Self::Weights, sums: Self::Sums) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        unsafe {
            Quarters(
                sdot::<J>(sums.0, w.0, x),
                sdot::<J>(sums.1, w.1, x),
                sdot::<J>(sums.2, w.2, x),
                sdot::<J>(sums.3, w.3, x),
            )
        }
    }

    #[inline(always)]
    fn settle(self, mut sums: Self::Sums) -> Self::Sums {
        // SAFETY: it does nothing.
        unsafe {
            asm!(
                "/* {:v} {:v} {:v} {:v} */",
                inout(vreg) sums.0,
                inout(vreg) sums.1,
                inout(vreg) sums.2,
                inout(vreg) sums.3,
                options(nomem, nostack, preserves_flags)
            );
        }
        sums
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, to: &mut [i32; 16]) {
        let to = to.as_mut_ptr();
        // SAFETY: `self` proves the instructions, and there is room for sixteen integers.
        unsafe {
            vst1q_s32(to, sums.0);
            vst1q_s32(to.add(4), sums.1);
            vst1q_s32(to.add(8), sums.2);
            vst1q_s32(to.add(12), sums.3);
        }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const M: usize, const N: usize>(
        self,
        tile: &IntegerTile,
        sums: &mut [[Self::Sums; N]; M],
    ) {
        // SAFETY: `self` proves the instructions; the rest is the caller's promise.
        unsafe {
            if const { MATRIX && M > 1 && N == 1 } {
                matrix::multiply::<S, _, M, N>(self, tile, sums)
            } else {
                integer::multiply::<S, _, M, N>(self, tile, sums)
            }
        }
    }
}

/// Adds to each lane the dot product of its four weights with bytes `4J..4J + 4`. Rust has no stable intrinsic for it.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const J: usize>(mut sums: int32x4_t, w: int8x16_t, x: uint8x16_t) -> int32x4_t {
    // SAFETY: the instruction is part of the feature, and reads and writes these registers only.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{3}]",
            inout(vreg) sums,
            in(vreg) w,
            in(vreg) x,
            const J,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
