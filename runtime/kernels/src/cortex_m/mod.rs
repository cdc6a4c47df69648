//! Cortex-M cores with the DSP extension: what 8-bit layers gain from it. The floating-point kernels are the plain twins.

mod halves;
mod linear;

use crate::generic;
use crate::table::Table;

static TABLE: Table = Table { name: "cortex-m-dsp", linear: linear::block, ..generic::TABLE };

/// The best table that the target's features guarantee.
pub const fn compiled() -> Option<&'static Table> {
    Some(&TABLE)
}
