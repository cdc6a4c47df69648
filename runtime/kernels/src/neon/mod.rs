//! NEON as every 64-bit Arm has it, its dot product, its half precision, and its matrix product.

mod dotprod;
mod halves;
mod integer;
mod matrix;
mod register;
mod vector;

use crate::simd::halves::NoHalves;
use crate::simd::table;
use crate::table::Table;
use dotprod::{DotProduct, MatrixProduct};
use halves::Halves;
use integer::Widening;
use register::Quad;
use vector::Neon;

table!(NEON, "neon", Neon, Widening, NoHalves, Quad, "neon");
table!(NEON_DOTPROD, "neon-dotprod", Neon, DotProduct, NoHalves, Quad, "neon,dotprod");
table!(NEON_FP16, "neon-fp16", Neon, DotProduct, Halves, Quad, "neon,dotprod,fp16");
table!(NEON_I8MM, "neon-i8mm", Neon, MatrixProduct, Halves, Quad, "neon,dotprod,fp16,i8mm");

/// Tables that this CPU has the instructions of, the best last.
#[cfg(feature = "std")]
pub fn available() -> impl Iterator<Item = &'static Table> {
    use std::arch::is_aarch64_feature_detected as has;
    let dotprod = has!("dotprod");
    let fp16 = dotprod && has!("fp16");
    let i8mm = fp16 && has!("i8mm");
    [(true, &NEON), (dotprod, &NEON_DOTPROD), (fp16, &NEON_FP16), (i8mm, &NEON_I8MM)]
        .into_iter()
        .filter_map(|(has, table)| has.then_some(table))
}

/// The best table that the target's features guarantee.
pub const fn compiled() -> Option<&'static Table> {
    let dotprod = cfg!(target_feature = "dotprod");
    let fp16 = dotprod && cfg!(target_feature = "fp16");
    if fp16 && cfg!(target_feature = "i8mm") {
        Some(&NEON_I8MM)
    } else if fp16 {
        Some(&NEON_FP16)
    } else if dotprod {
        Some(&NEON_DOTPROD)
    } else {
        Some(&NEON)
    }
}
