//! Scalar functions that `core` does not have.

#[cfg(cortex_m_fpu)]
use core::arch::asm;

/// Square root, correctly rounded.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    #[cfg(cortex_m_fpu)]
    {
        let root;
        // SAFETY: the instruction is part of every floating-point unit, and reads and writes these registers only.
        unsafe { asm!("vsqrt.f32 {}, {}", out(sreg) root, in(sreg) x, options(pure, nomem, nostack, preserves_flags)) }
        root
    }
    #[cfg(not(cortex_m_fpu))]
    libm::sqrtf(x)
}

/// `a · b + c`, rounded once. On a 32-bit Arm core that the compiler isn't told of it is rounded twice, as a function for it would be slow.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    #[cfg(cortex_m_fpu)]
    {
        let mut sum = c;
        // SAFETY: the instruction is part of these cores' floating-point unit, and reads and writes these registers only.
        unsafe {
            asm!("vfma.f32 {}, {}, {}", inout(sreg) sum, in(sreg) a, in(sreg) b, options(pure, nomem, nostack, preserves_flags));
        }
        sum
    }
    #[cfg(all(target_arch = "arm", not(cortex_m_fpu)))]
    {
        a * b + c
    }
    #[cfg(not(target_arch = "arm"))]
    libm::fmaf(a, b, c)
}

/// `eˣ`
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// Natural logarithm.
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// Error function.
pub fn erf(x: f32) -> f32 {
    libm::erff(x)
}

/// Hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    libm::tanhf(x)
}

/// Nearest integer, halves to the even one.
pub fn round_ties_even(x: f32) -> f32 {
    libm::rintf(x)
}

/// IEEE half precision to single, exactly.
#[cfg(cortex_m_fpu)]
#[inline(always)]
pub fn f16_to_f32(half: u16) -> f32 {
    let single;
    let half = f32::from_bits(u32::from(half));
    // SAFETY: the instruction is part of these cores' floating-point unit, and reads and writes these registers only.
    unsafe {
        asm!("vcvtb.f32.f16 {}, {}", out(sreg) single, in(sreg) half, options(pure, nomem, nostack, preserves_flags));
    }
    single
}

/// IEEE half precision to single, exactly.
#[cfg(not(cortex_m_fpu))]
pub fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = match magnitude >> 10 {
        // 2⁻²⁴ is the unit of the subnormals, so zero comes out right as well.
        0 => (magnitude as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => (magnitude << 13) | 0x7f80_0000,
        _ => (magnitude << 13) + ((127 - 15) << 23),
    };
    f32::from_bits(sign | bits)
}
