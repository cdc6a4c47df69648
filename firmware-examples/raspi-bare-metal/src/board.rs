//! Which Raspberry Pi this is: all that differs between them.

use core::arch::asm;

use crate::mmio::Registers;

/// A Raspberry Pi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Pi 3, Zero 2: BCM2837, Cortex-A53.
    Pi3,
    /// Pi 4, 400: BCM2711, Cortex-A72.
    Pi4,
}

/// The part number of a Cortex-A72 in MIDR.
const CORTEX_A72: u64 = 0xD08;

impl Board {
    /// Asks the core for its name.
    pub fn detect() -> Board {
        let midr: u64;
        // SAFETY: reads the core's identity, and has no effect.
        unsafe { asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack, preserves_flags)) };
        if midr >> 4 & 0xFFF == CORTEX_A72 { Board::Pi4 } else { Board::Pi3 }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Board::Pi3 => "Raspberry Pi 3",
            Board::Pi4 => "Raspberry Pi 4",
        }
    }

    /// Its cores.
    pub fn core(self) -> &'static str {
        match self {
            Board::Pi3 => "Cortex-A53",
            Board::Pi4 => "Cortex-A72",
        }
    }

    /// Address of the peripherals.
    pub const fn peripherals(self) -> usize {
        match self {
            Board::Pi3 => 0x3F00_0000,
            Board::Pi4 => 0xFE00_0000,
        }
    }

    /// Which function a pin has.
    pub fn gpio(self) -> Registers {
        self.registers(0x20_0000)
    }

    /// The PL011 UART.
    pub fn uart(self) -> Registers {
        self.registers(0x20_1000)
    }

    /// The mailboxes of the video core.
    pub fn mailbox(self) -> Registers {
        self.registers(0xB880)
    }

    fn registers(self, offset: usize) -> Registers {
        // SAFETY: the offsets above are those of the BCM2835's peripherals (its data sheet, 1.2.3), which its successors kept. All of the
        // peripherals are mapped as device memory before `main`.
        unsafe { Registers::at(self.peripherals() + offset) }
    }
}
