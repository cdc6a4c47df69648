use core::fmt;

#[cfg(cortex_m_dsp)]
use crate::cortex_m as native;
use crate::generic;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use crate::neon as native;
use crate::table::Table;
#[cfg(target_arch = "x86_64")]
use crate::x86 as native;

/// A choice of instruction set. Having one proves that the CPU has the instructions.
#[derive(Clone, Copy)]
pub struct Kernels(&'static Table);

impl Kernels {
    /// The plain twins, for every CPU.
    pub const fn generic() -> Kernels {
        Kernels(const { &generic::TABLE })
    }

    /// The plain twins of kernels that compute layers of halves in half precision: `neon-fp16` and `neon-i8mm`.
    #[cfg(feature = "std")]
    pub const fn generic_fp16() -> Kernels {
        Kernels(&generic::HALVES)
    }

    /// The same instruction set, but for layers of halves in single precision on every CPU.
    #[must_use]
    pub fn in_single_precision(self) -> Kernels {
        match self.0.single {
            Some(table) if Table::HALVES => Kernels(table),
            _ => self,
        }
    }

    /// The best that the target's features guarantee, for bare metal.
    pub const fn compiled() -> Kernels {
        match native::compiled() {
            Some(table) => Kernels(table),
            None => Kernels::generic(),
        }
    }

    /// The best that this CPU can run.
    #[cfg(feature = "std")]
    pub fn detect() -> Kernels {
        Kernels::available().last().unwrap_or(Kernels::generic())
    }

    /// All that this CPU can run, the plain twins first and the best last.
    #[cfg(feature = "std")]
    pub fn available() -> impl Iterator<Item = Kernels> {
        core::iter::once(Kernels::generic()).chain(native::available().map(Kernels))
    }

    /// Name of the instruction set: `generic`, `avx2`, `avx2-vnni`, `avx512`, `avx512-vnni`, `neon`, `neon-dotprod`, `neon-fp16`,
    /// `neon-i8mm`, `cortex-m-dsp`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.0
    }
}

/// Other architectures have the plain twins only.
#[cfg(not(any(cortex_m_dsp, target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
mod native {
    use crate::table::Table;

    #[cfg(feature = "std")]
    pub fn available() -> impl Iterator<Item = &'static Table> {
        core::iter::empty()
    }

    pub const fn compiled() -> Option<&'static Table> {
        None
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernels").field(&self.name()).finish()
    }
}
