//! The PL011 UART on pins 14 and 15: 115 200 baud, 8 data bits, no parity.

use core::fmt;

use crate::board::Board;
use crate::mailbox;
use crate::mmio::Registers;

/// The serial console.
#[derive(Clone, Copy)]
pub struct Uart(Registers);

// Arm's PL011 reference manual (DDI 0183), 3.2.
const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const DIVISOR: usize = 0x24;
const FRACTION: usize = 0x28;
const LINE: usize = 0x2C;
const CONTROL: usize = 0x30;

/// Nothing has been received.
const EMPTY: u32 = 1 << 4;
/// No room to send.
const FULL: u32 = 1 << 5;

impl Uart {
    /// The console as it is; [`Uart::start`] has set it up.
    pub fn new(board: Board) -> Uart {
        Uart(board.uart())
    }

    /// Takes the pins, which the firmware may have left to Bluetooth, and sets the speed.
    pub fn start(board: Board) -> Uart {
        /// Pins 14 and 15 in the second function select register, and their function 0.
        const PINS: u32 = 0o77 << 12;
        const UART: u32 = 0o44 << 12;
        let gpio = board.gpio();
        gpio.write(0x04, gpio.read(0x04) & !PINS | UART);

        mailbox::set_uart_clock(board, 48_000_000);
        let uart = board.uart();
        uart.write(CONTROL, 0);
        // 48 MHz / 16 / 115 200 = 26 + 3 / 64.
        uart.write(DIVISOR, 26);
        uart.write(FRACTION, 3);
        // 8 bits, with FIFOs; then on, to send and to receive.
        uart.write(LINE, 0b111 << 4);
        uart.write(CONTROL, 0b11 << 8 | 1);
        Uart(uart)
    }

    /// Whether a key has come since the last call.
    pub fn pressed(self) -> bool {
        let mut pressed = false;
        while self.0.read(FLAGS) & EMPTY == 0 {
            self.0.read(DATA);
            pressed = true;
        }
        pressed
    }

    fn send(self, byte: u8) {
        while self.0.read(FLAGS) & FULL != 0 {}
        self.0.write(DATA, byte.into());
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
        Ok(())
    }
}
