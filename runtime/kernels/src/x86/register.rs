use core::arch::x86_64::*;

use crate::simd::register::register;

register! {
    /// A register of AVX and FMA. A value proves that this CPU has them.
    Ymm, "avx,fma", 8 x __m256,
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c), _mm256_fnmadd_ps(a, b, c)
}

register! {
    /// A register of AVX-512 F. A value proves that this CPU has it.
    Zmm, "avx512f", 16 x __m512,
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c), _mm512_fnmadd_ps(a, b, c)
}
