use core::fmt;

use crate::generic;
use crate::table::Table;

/// A choice of instruction set. Having one proves that the CPU has the instructions.
#[derive(Clone, Copy)]
pub struct Kernels(&'static Table);

impl Kernels {
    /// The plain twins, for every CPU.
    pub const fn generic() -> Kernels {
        Kernels(&generic::TABLE)
    }

    /// The best that the target's features guarantee, for bare metal.
    pub const fn compiled() -> Kernels {
        Kernels(&generic::TABLE)
    }

    /// The best that this CPU can run.
    #[cfg(feature = "std")]
    pub fn detect() -> Kernels {
        Kernels::available().last().unwrap_or(Kernels::generic())
    }

    /// All that this CPU can run, the plain twins first and the best last.
    #[cfg(feature = "std")]
    pub fn available() -> impl Iterator<Item = Kernels> {
        core::iter::once(Kernels::generic())
    }

    /// Name of the instruction set: `generic`, `avx2`, `avx512`, `avx512-vnni`, `neon`, `neon-dotprod`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.0
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernels").field(&self.name()).finish()
    }
}
