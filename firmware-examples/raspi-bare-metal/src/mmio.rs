//! Registers of the peripherals.

/// A block of 32-bit registers.
#[derive(Clone, Copy)]
pub struct Registers(usize);

impl Registers {
    /// # Safety
    /// `base` is a multiple of 4, and the addresses from there on are registers of one peripheral, mapped as device memory.
    pub const unsafe fn at(base: usize) -> Self {
        Registers(base)
    }

    /// The register `offset` bytes from the first, a multiple of 4 within the peripheral.
    pub fn read(self, offset: usize) -> u32 {
        // SAFETY: whoever made `self` promised registers here.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0 + offset).read_volatile() }
    }

    /// See [`Registers::read`].
    pub fn write(self, offset: usize, value: u32) {
        // SAFETY: whoever made `self` promised registers here.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0 + offset).write_volatile(value) };
    }
}
