//! NEON as every 64-bit Arm has it, its dot product, and its matrix product.

mod dotprod;
mod integer;
mod matrix;
mod register;
mod vector;

use crate::simd::table;
use crate::table::Table;
use dotprod::{DotProduct, MatrixProduct};
use integer::Widening;
use register::Quad;
use vector::Neon;

table!(NEON, "neon", Neon, Widening, Quad, "neon");
table!(NEON_DOTPROD, "neon-dotprod", Neon, DotProduct, Quad, "neon,dotprod");
table!(NEON_I8MM, "neon-i8mm", Neon, MatrixProduct, Quad, "neon,dotprod,i8mm");

/// Tables that this CPU has the instructions of, the best last.
#[cfg(feature = "std")]
pub fn available() -> impl Iterator<Item = &'static Table> {
    use std::arch::is_aarch64_feature_detected as has;
    let dotprod = has!("dotprod");
    let i8mm = dotprod && has!("i8mm");
    [(true, &NEON), (dotprod, &NEON_DOTPROD), (i8mm, &NEON_I8MM)]
        .into_iter()
        .filter_map(|(has, table)| has.then_some(table))
}

/// The best table that the target's features guarantee.
pub const fn compiled() -> Option<&'static Table> {
    if cfg!(all(target_feature = "dotprod", target_feature = "i8mm")) {
        Some(&NEON_I8MM)
    } else if cfg!(target_feature = "dotprod") {
        Some(&NEON_DOTPROD)
    } else {
        Some(&NEON)
    }
}
