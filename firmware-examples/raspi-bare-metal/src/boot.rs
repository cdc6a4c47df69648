//! The first instructions, and the end of all others: exceptions, panics and the halt.

use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::panic::PanicInfo;

use crate::board::Board;
use crate::uart::Uart;

global_asm!(include_str!("boot.s"));

/// Stands still for good, with as little power as can be.
pub fn halt() -> ! {
    loop {
        sleep();
    }
}

/// Waits for an event: another core that wakes this one, or the timer. It may have been there before, or be none that is waited for.
pub fn sleep() {
    // SAFETY: has no other effect.
    unsafe { asm!("wfe", options(nomem, nostack, preserves_flags)) };
}

/// What the exception vectors call: a wild address, an instruction that the core has not.
// SAFETY: no other symbol has this name; boot.s alone calls it.
#[unsafe(no_mangle)]
extern "C" fn exception(syndrome: u64, instruction: u64, address: u64) -> ! {
    let _ = writeln!(
        Uart::new(Board::detect()),
        "exception at {instruction:#x}: syndrome {syndrome:#x}, address {address:#x}\nhalted"
    );
    halt()
}

/// A mistake in this program.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Uart::new(Board::detect()), "{info}\nhalted");
    halt()
}
