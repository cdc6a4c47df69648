use core::arch::x86_64::*;

use crate::simd::{Integer, Simd};

/// AVX2, FMA and F16C. A value proves that this CPU has them.
#[derive(Clone, Copy)]
pub struct Avx2(());

/// AVX2 and AVX-VNNI. A value proves that this CPU has them.
#[derive(Clone, Copy)]
pub struct AvxVnni(());

/// The lower and the upper half of sixteen lanes.
#[derive(Clone, Copy)]
pub struct Halves<T>(T, T);

impl Avx2 {
    /// # Safety
    /// This CPU has AVX2, FMA and F16C.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Avx2(())
    }
}

impl AvxVnni {
    /// # Safety
    /// This CPU has AVX2 and AVX-VNNI.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        AvxVnni(())
    }
}

/// A method of two halves.
macro_rules! halves {
    ($name:ident, $instruction:ident $(, $operand:ident)+) => {
        #[inline(always)]
        fn $name(self $(, $operand: Self::V)+) -> Self::V {
            // SAFETY: `self` proves the instructions.
            unsafe { Halves($instruction($($operand.0),+), $instruction($($operand.1),+)) }
        }
    };
}

impl Simd for Avx2 {
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    const RUN: usize = 8;
    const NARROW: bool = false;
    const WIDENS: bool = true;

    type V = Halves<__m256>;
    type Four = *const f32;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` proves the instructions.
        let v = unsafe { _mm256_set1_ps(x) };
        Halves(v, v)
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::V {
        // SAFETY: `self` proves the instructions, and sixteen floats are there.
        unsafe { Halves(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; 16]) -> Self::V {
        // SAFETY: `self` proves the instructions, and sixteen halves are there.
        unsafe {
            Halves(
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(8).cast())),
            )
        }
    }

    #[inline(always)]
    fn load_int(self, from: &[i32; 16]) -> Self::V {
        // SAFETY: `self` proves the instructions, and sixteen integers are there.
        unsafe {
            Halves(
                _mm256_cvtepi32_ps(_mm256_loadu_si256(from.as_ptr().cast())),
                _mm256_cvtepi32_ps(_mm256_loadu_si256(from.as_ptr().add(8).cast())),
            )
        }
    }

    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; 16]) {
        // SAFETY: `self` proves the instructions, and there is room for sixteen floats.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), v.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), v.1);
        }
    }

    #[inline(always)]
    unsafe fn four(self, from: *const f32) -> Self::Four {
        from
    }

    #[inline(always)]
    fn lane<const J: usize>(self, x: Self::Four) -> Self::V {
        // SAFETY: `four` was promised four floats.
        self.splat(unsafe { *x.add(J) })
    }

    #[inline(always)]
    fn fma_lane<const J: usize>(self, x: Self::Four, w: Self::V, acc: Self::V) -> Self::V {
        self.fma(self.lane::<J>(x), w, acc)
    }

    halves!(fma, _mm256_fmadd_ps, a, b, c);
    halves!(add, _mm256_add_ps, a, b);
    halves!(sub, _mm256_sub_ps, a, b);
    halves!(mul, _mm256_mul_ps, a, b);
    halves!(div, _mm256_div_ps, a, b);
    halves!(min, _mm256_min_ps, a, b);
    halves!(max, _mm256_max_ps, a, b);

    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves the instructions.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Halves(_mm256_andnot_ps(sign, a.0), _mm256_andnot_ps(sign, a.1))
        }
    }

    #[inline(always)]
    fn exponent(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves the instructions.
        unsafe {
            Halves(
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a.0))),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a.1))),
            )
        }
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the instructions.
        unsafe {
            let eight = _mm256_add_ps(v.0, v.1);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the instructions.
        unsafe {
            let eight = _mm256_max_ps(v.0, v.1);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint about any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }

    #[inline(always)]
    unsafe fn store_words(self, v: Self::V, centre: u8, to: *mut u8, pitch: usize) -> *mut u8 {
        // SAFETY: `self` proves the instructions, and the caller promised room.
        unsafe {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.0), _mm256_cvtps_epi32(v.1));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(centre.cast_signed()));
            to.cast::<i32>().write_unaligned(_mm_extract_epi32::<0>(bytes));
            to.add(pitch).cast::<i32>().write_unaligned(_mm_extract_epi32::<1>(bytes));
            to.add(2 * pitch).cast::<i32>().write_unaligned(_mm_extract_epi32::<2>(bytes));
            to.add(3 * pitch).cast::<i32>().write_unaligned(_mm_extract_epi32::<3>(bytes));
        }
        to.wrapping_add(4 * pitch)
    }
}

/// Unsigned times signed bytes, as AVX2 has it: `|x|` times `w` with the sign of `x`. Two products fit in 16 bits, because
/// none is larger than 127².
impl Integer for Avx2 {
    const ROWS: usize = 4;
    const PANELS: usize = 1;
    const RUN: usize = 16;
    const SIGNED: bool = true;

    type Sums = Halves<__m256i>;
    type Weights = Halves<__m256i>;
    type Sixteen = *const u8;

    #[inline(always)]
    fn start(self, _zero: &[i32; 16]) -> Self::Sums {
        // SAFETY: `self` proves the instructions.
        unsafe { Halves(_mm256_setzero_si256(), _mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const i8) -> Self::Weights {
        let from = *at;
        *at = from.wrapping_add(64);
        // SAFETY: `self` proves the instructions, and the caller promised 64 bytes.
        unsafe { Halves(_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())) }
    }

    #[inline(always)]
    unsafe fn sixteen(self, from: *const u8) -> Self::Sixteen {
        from
    }

    #[inline(always)]
    fn dot<const J: usize>(self, x: Self::Sixteen, w: Self::Weights, sums: Self::Sums) -> Self::Sums {
        // SAFETY: `self` proves the instructions, and `sixteen` was promised sixteen bytes.
        unsafe {
            let x = _mm256_set1_epi32(x.cast::<i32>().add(J).read_unaligned());
            let (size, ones) = (_mm256_abs_epi8(x), _mm256_set1_epi16(1));
            let low = _mm256_madd_epi16(_mm256_maddubs_epi16(size, _mm256_sign_epi8(w.0, x)), ones);
            let high = _mm256_madd_epi16(_mm256_maddubs_epi16(size, _mm256_sign_epi8(w.1, x)), ones);
            Halves(_mm256_add_epi32(sums.0, low), _mm256_add_epi32(sums.1, high))
        }
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, to: &mut [i32; 16]) {
        // SAFETY: `self` proves the instructions, and there is room for sixteen integers.
        unsafe {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), sums.0);
            _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), sums.1);
        }
    }
}

impl Integer for AvxVnni {
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    const RUN: usize = 16;
    const SIGNED: bool = false;

    type Sums = Halves<__m256i>;
    type Weights = Halves<__m256i>;
    type Sixteen = *const u8;

    #[inline(always)]
    fn start(self, zero: &[i32; 16]) -> Self::Sums {
        // SAFETY: `self` proves the instructions, and sixteen integers are there.
        unsafe {
            let nothing = _mm256_setzero_si256();
            Halves(
                _mm256_sub_epi32(nothing, _mm256_loadu_si256(zero.as_ptr().cast())),
                _mm256_sub_epi32(nothing, _mm256_loadu_si256(zero.as_ptr().add(8).cast())),
            )
        }
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const i8) -> Self::Weights {
        let from = *at;
        *at = from.wrapping_add(64);
        // SAFETY: `self` proves the instructions, and the caller promised 64 bytes.
        unsafe { Halves(_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())) }
    }

    #[inline(always)]
    unsafe fn sixteen(self, from: *const u8) -> Self::Sixteen {
        from
    }

    #[inline(always)]
    fn dot<const J: usize>(self, x: Self::Sixteen, w: Self::Weights, sums: Self::Sums) -> Self::Sums {
        // SAFETY: `self` proves the instructions, and `sixteen` was promised sixteen bytes.
        unsafe {
            let x = _mm256_set1_epi32(x.cast::<i32>().add(J).read_unaligned());
            Halves(_mm256_dpbusd_avx_epi32(sums.0, x, w.0), _mm256_dpbusd_avx_epi32(sums.1, x, w.1))
        }
    }

    #[inline(always)]
    fn store(self, sums: Self::Sums, to: &mut [i32; 16]) {
        // SAFETY: `self` proves the instructions, and there is room for sixteen integers.
        unsafe {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), sums.0);
            _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), sums.1);
        }
    }
}
