use core::arch::aarch64::*;

use crate::simd::register::register;

register! {
    /// A register of NEON. A value proves that this CPU has it.
    Quad, "neon", 4 x float32x4_t,
    vdupq_n_f32 vld1q_f32 vst1q_f32 vaddq_f32 vsubq_f32 vmulq_f32,
    |a, b, c| vfmaq_f32(c, a, b), vfmsq_f32(c, a, b)
}
