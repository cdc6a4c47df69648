use core::arch::asm;
use core::arch::x86_64::*;

use crate::simd::{Integer, Simd};

/// AVX-512 F, BW, DQ and VL. A value proves that this CPU has them.
#[derive(Clone, Copy)]
pub struct Avx512(());

/// AVX-512 F and VNNI. A value proves that this CPU has them.
#[derive(Clone, Copy)]
pub struct Vnni(());

impl Avx512 {
    /// # Safety
    /// This CPU has AVX-512 F, BW, DQ and VL.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Avx512(())
    }
}

impl Vnni {
    /// # Safety
    /// This CPU has AVX-512 F and VNNI.
    #[inline(always)]
    pub unsafe fn assume() -> Self {
        Vnni(())
    }
}

/// The same value, computed before anything behind it is read from memory.
#[inline]
#[target_feature(enable = "avx512f")]
fn settle(mut v: __m512) -> __m512 {
    // SAFETY: it does nothing.
    unsafe { asm!("/* {} */", inout(zmm_reg) v, options(nostack, preserves_flags)) }
    v
}

/// A method that is one instruction.
macro_rules! instruction {
    ($name:ident, $instruction:ident $(, $operand:ident)+) => {
        #[inline(always)]
        fn $name(self $(, $operand: __m512)+) -> __m512 {
            // SAFETY: `self` proves the instructions.
            unsafe { $instruction($($operand),+) }
        }
    };
}

impl Simd for Avx512 {
    const ROWS: usize = 13;
    const PANELS: usize = 2;
    const RUN: usize = 4;
    const NARROW: bool = false;
    const WIDENS: bool = false;

    type V = __m512;
    type Four = *const f32;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves the instructions.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> __m512 {
        // SAFETY: `self` proves the instructions, and sixteen floats are there.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    /// Else the compiler would gather the broadcasts of four steps first, and spill them.
    #[inline(always)]
    fn settle(self, v: __m512) -> __m512 {
        // SAFETY: `self` proves the instructions.
        unsafe { settle(v) }
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; 16]) -> __m512 {
        // SAFETY: `self` proves the instructions, and sixteen halves are there.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_int(self, from: &[i32; 16]) -> __m512 {
        // SAFETY: `self` proves the instructions, and sixteen integers are there.
        unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32; 16]) {
        // SAFETY: `self` proves the instructions, and there is room for sixteen floats.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    unsafe fn four(self, from: *const f32) -> *const f32 {
        from
    }

    #[inline(always)]
    fn lane<const J: usize>(self, x: *const f32) -> __m512 {
        // SAFETY: `four` was promised four floats.
        self.splat(unsafe { *x.add(J) })
    }

    #[inline(always)]
    fn fma_lane<const J: usize>(self, x: *const f32, w: __m512, acc: __m512) -> __m512 {
        self.fma(self.lane::<J>(x), w, acc)
    }

    instruction!(fma, _mm512_fmadd_ps, a, b, c);
    instruction!(add, _mm512_add_ps, a, b);
    instruction!(sub, _mm512_sub_ps, a, b);
    instruction!(mul, _mm512_mul_ps, a, b);
    instruction!(div, _mm512_div_ps, a, b);
    instruction!(min, _mm512_min_ps, a, b);
    instruction!(max, _mm512_max_ps, a, b);
    instruction!(abs, _mm512_abs_ps, a);

    #[inline(always)]
    fn exponent(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves the instructions.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a))) }
    }

    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        // SAFETY: `self` proves the instructions.
        unsafe {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    fn largest(self, v: __m512) -> f32 {
        // SAFETY: `self` proves the instructions.
        unsafe { _mm512_reduce_max_ps(v) }
    }

    #[inline(always)]
    fn transpose(self, rows: [__m512; 16]) -> [__m512; 16] {
        let mut columns = rows;
        // SAFETY: `self` proves the instructions.
        unsafe {
            // Each four rows, within each four lanes.
            for i in (0..16).step_by(4) {
                let (a, b) = (_mm512_unpacklo_ps(rows[i], rows[i + 1]), _mm512_unpackhi_ps(rows[i], rows[i + 1]));
                let (c, d) =
                    (_mm512_unpacklo_ps(rows[i + 2], rows[i + 3]), _mm512_unpackhi_ps(rows[i + 2], rows[i + 3]));
                let [a, b, c, d] = [_mm512_castps_pd(a), _mm512_castps_pd(b), _mm512_castps_pd(c), _mm512_castps_pd(d)];
                columns[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                columns[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                columns[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                columns[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
            }
            // Then the four by four blocks.
            for i in 0..4 {
                let [a, b, c, d] = [columns[i], columns[i + 4], columns[i + 8], columns[i + 12]];
                let (ab_even, ab_odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                let (cd_even, cd_odd) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
                columns[i] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
                columns[i + 4] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
                columns[i + 8] = _mm512_shuffle_f32x4::<0xdd>(ab_even, cd_even);
                columns[i + 12] = _mm512_shuffle_f32x4::<0xdd>(ab_odd, cd_odd);
            }
        }
        columns
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint about any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    unsafe fn store_words(self, v: __m512, centre: u8, to: *mut u8, pitch: usize) -> *mut u8 {
        // SAFETY: `self` proves the instructions, and the caller promised room.
        unsafe {
            let bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v));
            let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(centre.cast_signed()));
            to.cast::<i32>().write_unaligned(_mm_extract_epi32::<0>(bytes));
            to.add(pitch).cast::<i32>().write_unaligned(_mm_extract_epi32::<1>(bytes));
            to.add(2 * pitch).cast::<i32>().write_unaligned(_mm_extract_epi32::<2>(bytes));
            to.add(3 * pitch).cast::<i32>().write_unaligned(_mm_extract_epi32::<3>(bytes));
        }
        to.wrapping_add(4 * pitch)
    }
}

impl Integer for Vnni {
    const ROWS: usize = 13;
    const PANELS: usize = 2;
    const RUN: usize = 16;
    const SIGNED: bool = false;

    type Sums = __m512i;
    type Weights = __m512i;
    type Sixteen = *const u8;

    #[inline(always)]
    fn start(self, zero: &[i32; 16]) -> __m512i {
        // SAFETY: `self` proves the instructions, and sixteen integers are there.
        unsafe { _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(zero.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn next(self, at: &mut *const i8) -> __m512i {
        let from = *at;
        *at = from.wrapping_add(64);
        // SAFETY: `self` proves the instructions, and the caller promised 64 bytes.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn sixteen(self, from: *const u8) -> *const u8 {
        from
    }

    #[inline(always)]
    fn dot<const J: usize>(self, x: *const u8, w: __m512i, sums: __m512i) -> __m512i {
        // SAFETY: `self` proves the instructions, and `sixteen` was promised sixteen bytes.
        unsafe {
            let x = _mm512_set1_epi32(x.cast::<i32>().add(J).read_unaligned());
            _mm512_dpbusd_epi32(sums, x, w)
        }
    }

    #[inline(always)]
    fn store(self, sums: __m512i, to: &mut [i32; 16]) {
        // SAFETY: `self` proves the instructions, and there is room for sixteen integers.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sums) }
    }
}
