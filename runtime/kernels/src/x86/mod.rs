//! AVX2 with FMA and F16C, AVX-512, and their VNNI extensions.

mod avx2;
mod avx512;
mod register;
pub mod resample;

use crate::simd::halves::NoHalves;
use crate::simd::table;
use crate::table::Table;
use avx2::{Avx2, AvxVnni};
use avx512::{Avx512, Vnni};
use register::{Ymm, Zmm};

table!(AVX2, "avx2", Avx2, Avx2, NoHalves, Ymm, "avx2,fma,f16c");
table!(AVX2_VNNI, "avx2-vnni", Avx2, AvxVnni, NoHalves, Ymm, "avx2,fma,f16c,avxvnni");
table!(AVX512, "avx512", Avx512, Avx2, NoHalves, Zmm, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c");
table!(
    AVX512_VNNI,
    "avx512-vnni",
    Avx512,
    Vnni,
    NoHalves,
    Zmm,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"
);

/// Tables that this CPU has the instructions of, the best last.
#[cfg(feature = "std")]
pub fn available() -> impl Iterator<Item = &'static Table> {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("fma") && has!("f16c");
    let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    [
        (avx2, &AVX2),
        (avx2 && has!("avxvnni"), &AVX2_VNNI),
        (avx512, &AVX512),
        (avx512 && has!("avx512vnni"), &AVX512_VNNI),
    ]
    .into_iter()
    .filter_map(|(has, table)| has.then_some(table))
}

/// The best table that the target's features guarantee.
pub const fn compiled() -> Option<&'static Table> {
    let avx2 = cfg!(all(target_feature = "avx2", target_feature = "fma", target_feature = "f16c"));
    let avx512 = avx2
        && cfg!(all(
            target_feature = "avx512f",
            target_feature = "avx512bw",
            target_feature = "avx512dq",
            target_feature = "avx512vl"
        ));
    if avx512 && cfg!(target_feature = "avx512vnni") {
        Some(&AVX512_VNNI)
    } else if avx512 {
        Some(&AVX512)
    } else if avx2 && cfg!(target_feature = "avxvnni") {
        Some(&AVX2_VNNI)
    } else if avx2 {
        Some(&AVX2)
    } else {
        None
    }
}
