//! The arithmetic of edgelip, and the only crate of it with `unsafe` code.
//!
//! A [`Kernels`] value is a choice of instruction set that this CPU is known to have; its methods are the operators that
//! the encoders are made of. Each has a plain twin in `generic/`, written to be read, that the tests hold the others to.
//!
//! Nothing here allocates. Matrices are borrowed as [`Rows`], weights as [`Panels`] in the model file's own order, work
//! space as a slice whose length a `const fn` tells, and threads through [`Parallel`]. A result has the same bits for any
//! number of threads, and on every instruction set: sums are made in one order everywhere (`generic/lanes.rs`). Only the filter of a frequency
//! block is computed another way by the plain twin than by the others, 32-bit Arm has a fused multiply-add only where `build.rs` sees one, and
//! layers of half-precision weights are computed in half precision where the instruction set has it (`halves.rs`).

#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("model files are little endian and are used in place");

mod attention;
pub mod cast;
#[cfg(cortex_m_dsp)]
mod cortex_m;
mod fourier;
mod generic;
#[cfg(any(feature = "std", target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
mod halves;
mod kernels;
mod layer;
mod linear;
pub mod math;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod norm;
mod pairing;
mod parallel;
mod part;
mod polynomials;
#[cfg(feature = "std")]
mod pool;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
mod radices;
mod resample;
mod rows;
mod shape;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
#[allow(
    clippy::needless_range_loop,
    clippy::collapsible_match,
    reason = "only plain counted loops and branches on constants are sure to vanish in tiles"
)]
mod simd;
mod step;
mod table;
mod unit_root;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use attention::{Attention, attention_scratch};
pub use fourier::{fourier_twiddles, fourier_twiddles_len, global_filter_scratch};
pub use kernels::Kernels;
pub use layer::{Activation, Linear, Panels};
pub use linear::{linear_scales, linear_scratch};
pub use pairing::{IntegerPanels, Pairing};
pub use parallel::{Parallel, Single, for_each_chunk};
pub use part::{Part, Pieces};
#[cfg(feature = "std")]
pub use pool::Pool;
pub use resample::{FRACTION, TAPS};
pub use rows::{Rows, RowsMut};
pub use shape::Shape;
pub use step::Step;

/// Outputs in a panel of weights, and the unit that widths of activations are padded to.
pub const LANES: usize = 16;

/// `n` rounded up to a multiple of [`LANES`].
pub const fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}
