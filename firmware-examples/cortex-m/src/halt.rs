//! Every end of the program: it tells the debugger how it went, and nothing runs on.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::{debug, hio};

/// Exit code 0 if all `passed`, else 1; then stands still.
pub fn halt(passed: bool) -> ! {
    debug::exit(if passed { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        core::hint::spin_loop();
    }
}

/// Rust asks for it, but nothing that is linked calls it: `report.py` checks that. Nothing is formatted.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    fail(b"panic\n")
}

/// A fault that the core itself found: a wild address, an instruction it has not.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    fail(b"hard fault\n")
}

fn fail(message: &[u8]) -> ! {
    if let Ok(mut console) = hio::hstdout() {
        let _ = console.write_all(message);
    }
    halt(false)
}
