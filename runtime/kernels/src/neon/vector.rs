use core::arch::aarch64::*;
use core::arch::asm;

use crate::simd::Simd;

/// NEON. A value proves that this CPU has it.
#[derive(Clone, Copy)]
pub struct Neon(());

/// Sixteen lanes, four by four.
#[derive(Clone, Copy)]
pub struct Quarters<T>(pub T, pub T, pub T, pub T);

impl Neon {
    /// # Safety
    /// This CPU has NEON.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Neon(())
    }
}

/// A method of four quarters.
macro_rules! quarters {
    ($name:ident, $instruction:ident $(, $operand:ident)+) => {
        #[inline(always)]
        fn $name(self $(, $operand: Self::V)+) -> Self::V {
            // SAFETY: `self` proves the instructions.
            unsafe {
                Quarters(
                    $instruction($($operand.0),+),
                    $instruction($($operand.1),+),
                    $instruction($($operand.2),+),
                    $instruction($($operand.3),+),
                )
            }
        }
    };
}

impl Simd for Neon {
    const ROWS: usize = 5;
    const PANELS: usize = 1;
    const RUN: usize = 128;
    const NARROW: bool = true;
    const WIDENS: bool = true;

    type V = Quarters<float32x4_t>;
    type Four = float32x4_t;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` proves the instructions.
        let v = unsafe { vdupq_n_f32(x) };
        Quarters(v, v, v, v)
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::V {
        let from = from.as_ptr();
        // SAFETY: `self` proves the instructions, and sixteen floats are there.
        unsafe { Quarters(vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))) }
    }

    #[inline(always)]
    fn settle(self, mut v: Self::V) -> Self::V {
        // SAFETY: it does nothing.
        unsafe {
            asm!("/* {:v} {:v} {:v} {:v} */", inout(vreg) v.0, inout(vreg) v.1, inout(vreg) v.2, inout(vreg) v.3, options(nomem, nostack, preserves_flags));
        }
        v
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const f32) -> Self::V {
        // SAFETY: `self` proves the instructions, and the caller promised sixteen floats.
        unsafe {
            let Quarters(a, b, c, d) = next_registers(at);
            Quarters(vreinterpretq_f32_u8(a), vreinterpretq_f32_u8(b), vreinterpretq_f32_u8(c), vreinterpretq_f32_u8(d))
        }
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; 16]) -> Self::V {
        // SAFETY: `self` proves the instructions, and sixteen halves are there.
        unsafe {
            let (low, high) = (vld1q_u16(from.as_ptr()), vld1q_u16(from.as_ptr().add(8)));
            widen(vreinterpretq_f16_u16(low), vreinterpretq_f16_u16(high))
        }
    }

    #[inline(always)]
    fn load_int(self, from: &[i32; 16]) -> Self::V {
        let from = from.as_ptr();
        // SAFETY: `self` proves the instructions, and sixteen integers are there.
        unsafe {
            Quarters(
                vcvtq_f32_s32(vld1q_s32(from)),
                vcvtq_f32_s32(vld1q_s32(from.add(4))),
                vcvtq_f32_s32(vld1q_s32(from.add(8))),
                vcvtq_f32_s32(vld1q_s32(from.add(12))),
            )
        }
    }

    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; 16]) {
        let to = to.as_mut_ptr();
        // SAFETY: `self` proves the instructions, and there is room for sixteen floats.
        unsafe {
            vst1q_f32(to, v.0);
            vst1q_f32(to.add(4), v.1);
            vst1q_f32(to.add(8), v.2);
            vst1q_f32(to.add(12), v.3);
        }
    }

    #[inline(always)]
    unsafe fn four(self, from: *const f32) -> Self::Four {
        // SAFETY: `self` proves the instructions, and the caller promised four floats.
        unsafe { vld1q_f32(from) }
    }

    /// One instruction, which also steps on.
    #[inline(always)]
    unsafe fn next_four(self, at: &mut *const f32) -> Self::Four {
        let four;
        // SAFETY: `self` proves the instruction, which reads the four floats that the caller promised.
        unsafe {
            asm!(
                "ldr {four:q}, [{at}], #16",
                four = out(vreg) four,
                at = inout(reg) *at,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        four
    }

    #[inline(always)]
    fn lane<const J: usize>(self, x: Self::Four) -> Self::V {
        // SAFETY: `self` proves the instructions.
        let v = unsafe {
            match J {
                0 => vdupq_laneq_f32::<0>(x),
                1 => vdupq_laneq_f32::<1>(x),
                2 => vdupq_laneq_f32::<2>(x),
                _ => vdupq_laneq_f32::<3>(x),
            }
        };
        Quarters(v, v, v, v)
    }

    #[inline(always)]
    fn fma_lane<const J: usize>(self, x: Self::Four, w: Self::V, acc: Self::V) -> Self::V {
        macro_rules! by_lane {
            ($lane:literal) => {
                // SAFETY: `self` proves the instructions.
                unsafe {
                    Quarters(
                        vfmaq_laneq_f32::<$lane>(acc.0, w.0, x),
                        vfmaq_laneq_f32::<$lane>(acc.1, w.1, x),
                        vfmaq_laneq_f32::<$lane>(acc.2, w.2, x),
                        vfmaq_laneq_f32::<$lane>(acc.3, w.3, x),
                    )
                }
            };
        }
        match J {
            0 => by_lane!(0),
            1 => by_lane!(1),
            2 => by_lane!(2),
            _ => by_lane!(3),
        }
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves the instructions.
        unsafe {
            Quarters(
                vfmaq_f32(c.0, a.0, b.0),
                vfmaq_f32(c.1, a.1, b.1),
                vfmaq_f32(c.2, a.2, b.2),
                vfmaq_f32(c.3, a.3, b.3),
            )
        }
    }

    quarters!(add, vaddq_f32, a, b);
    quarters!(sub, vsubq_f32, a, b);
    quarters!(mul, vmulq_f32, a, b);
    quarters!(div, vdivq_f32, a, b);
    quarters!(min, vminq_f32, a, b);
    quarters!(max, vmaxq_f32, a, b);
    quarters!(abs, vabsq_f32, a);
    quarters!(exponent, shift_into_exponent, a);

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the instructions.
        unsafe {
            // By halves, as everywhere.
            let four = vaddq_f32(vaddq_f32(v.0, v.2), vaddq_f32(v.1, v.3));
            vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
    }

    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the instructions.
        unsafe { vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.0, v.1), vmaxq_f32(v.2, v.3))) }
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::V; 16]) -> [Self::V; 16] {
        let mut columns = rows;
        // The four by four blocks, each to the place of its mirror image.
        macro_rules! blocks {
            ($($i:literal $from:tt)*) => { $( blocks!(@to $i $from, 0 0, 4 1, 8 2, 12 3); )* };
            (@to $i:literal $to:tt, $($j:literal $from:tt),*) => { $(
                // SAFETY: `self` proves the instructions.
                let block = unsafe {
                    transpose_four([rows[$i].$from, rows[$i + 1].$from, rows[$i + 2].$from, rows[$i + 3].$from])
                };
                for r in 0..4 {
                    columns[$j + r].$to = block[r];
                }
            )* };
        }
        blocks!(0 0 4 1 8 2 12 3);
        columns
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint about any address is harmless.
        unsafe { asm!("prfm pldl2keep, [{0}]", in(reg) address, options(readonly, nostack, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn store_words(self, v: Self::V, centre: u8, mut to: *mut u8, pitch: usize) -> *mut u8 {
        // SAFETY: `self` proves the instructions, and the caller promised room.
        unsafe {
            let low = vuzp1q_s16(whole(v.0), whole(v.1));
            let high = vuzp1q_s16(whole(v.2), whole(v.3));
            let bytes = vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high));
            asm!(
                "st1 {{{bytes:v}.s}}[0], [{to}], {pitch}",
                "st1 {{{bytes:v}.s}}[1], [{to}], {pitch}",
                "st1 {{{bytes:v}.s}}[2], [{to}], {pitch}",
                "st1 {{{bytes:v}.s}}[3], [{to}], {pitch}",
                bytes = in(vreg) veorq_u8(vreinterpretq_u8_s8(bytes), vdupq_n_u8(centre)),
                to = inout(reg) to,
                pitch = in(reg) pitch,
                options(nostack, preserves_flags),
            );
        }
        to
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn shift_into_exponent(x: float32x4_t) -> float32x4_t {
    vreinterpretq_f32_s32(vshlq_n_s32::<23>(vreinterpretq_s32_f32(x)))
}

/// The lower halves of four integers, between those above them.
#[inline]
#[target_feature(enable = "neon")]
fn whole(x: float32x4_t) -> int16x8_t {
    vreinterpretq_s16_s32(vcvtnq_s32_f32(x))
}

/// Loads four registers and steps on to what lies behind them: one instruction, where the compiler would take three.
///
/// # Safety
/// The 64 bytes are there.
#[inline(always)]
pub unsafe fn next_registers<T>(at: &mut *const T) -> Quarters<uint8x16_t> {
    let (a, b, c, d);
    // SAFETY: the instruction is part of NEON, and reads what the caller promised.
    unsafe {
        asm!(
            "ld1 {{v28.16b, v29.16b, v30.16b, v31.16b}}, [{at}], #64",
            at = inout(reg) *at,
            out("v28") a,
            out("v29") b,
            out("v30") c,
            out("v31") d,
            options(readonly, nostack, preserves_flags),
        );
    }
    Quarters(a, b, c, d)
}

/// Sixteen halves as floats.
#[inline]
#[target_feature(enable = "neon")]
pub fn widen(low: float16x8_t, high: float16x8_t) -> Quarters<float32x4_t> {
    Quarters(
        vcvt_f32_f16(vget_low_f16(low)),
        vcvt_high_f32_f16(low),
        vcvt_f32_f16(vget_low_f16(high)),
        vcvt_high_f32_f16(high),
    )
}

#[inline]
#[target_feature(enable = "neon")]
fn transpose_four(rows: [float32x4_t; 4]) -> [float32x4_t; 4] {
    let (a, b) = (vzip1q_f32(rows[0], rows[2]), vzip2q_f32(rows[0], rows[2]));
    let (c, d) = (vzip1q_f32(rows[1], rows[3]), vzip2q_f32(rows[1], rows[3]));
    [vzip1q_f32(a, c), vzip2q_f32(a, c), vzip1q_f32(b, d), vzip2q_f32(b, d)]
}
