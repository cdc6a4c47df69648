//! NEON as every 64-bit Arm has it, and its dot product.

mod dotprod;
mod integer;
mod register;
mod vector;

use crate::simd::table;
use crate::table::Table;
use dotprod::DotProduct;
use integer::Widening;
use register::Quad;
use vector::Neon;

table!(NEON, "neon", Neon, Widening, Quad, "neon");
table!(NEON_DOTPROD, "neon-dotprod", Neon, DotProduct, Quad, "neon,dotprod");

/// Tables that this CPU has the instructions of, the best last.
#[cfg(feature = "std")]
pub fn available() -> impl Iterator<Item = &'static Table> {
    let dotprod = std::arch::is_aarch64_feature_detected!("dotprod");
    [(true, &NEON), (dotprod, &NEON_DOTPROD)].into_iter().filter_map(|(has, table)| has.then_some(table))
}

/// The best table that the target's features guarantee.
pub const fn compiled() -> Option<&'static Table> {
    if cfg!(target_feature = "dotprod") { Some(&NEON_DOTPROD) } else { Some(&NEON) }
}
