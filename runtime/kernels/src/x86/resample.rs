use core::arch::x86_64::*;

use crate::resample::{FRACTION, HALF, TAPS};

/// A pixel: the weighted sum of its columns in each channel, of which there are as many as weights.
#[target_feature(enable = "avx2")]
#[inline]
pub fn pixel([red, green, blue]: [&[[u8; TAPS]]; 3], weights: &[[i32; TAPS]]) -> [u8; 3] {
    let mut sums = [_mm256_setzero_si256(); 3];
    for (((weights, red), green), blue) in weights.iter().zip(red).zip(green).zip(blue) {
        // SAFETY: eight weights are there.
        let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
        for (sum, columns) in sums.iter_mut().zip([red, green, blue]) {
            // SAFETY: eight bytes are there.
            let columns = _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(columns.as_ptr().cast()) });
            *sum = _mm256_add_epi32(*sum, _mm256_mullo_epi32(columns, weights));
        }
    }
    let halves = [_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], _mm256_setzero_si256())];
    let sums = _mm256_hadd_epi32(halves[0], halves[1]);
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let rounded = _mm_srai_epi32::<{ FRACTION as i32 }>(_mm_add_epi32(sums, _mm_set1_epi32(HALF)));
    let words = _mm_packs_epi32(rounded, rounded);
    let [red, green, blue, _] = _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes();
    [red, green, blue]
}
