//! The other cores, lent to the kernels.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use core::{mem, ptr};

use edgelip_runtime::Parallel;

use crate::{boot, counters, memory};

/// Cores of every Pi.
const CORES: usize = 4;
/// Where each core looks for an address to go on at, eight bytes each: the firmware's own first instructions (armstub8) make it wait there.
const CALLS: usize = 0xD8;
/// How long a core may take to answer.
const PATIENCE: Duration = Duration::from_millis(100);
/// Added to the number of cores that came when no more may.
const CLOSED: usize = 1 << 16;

unsafe extern "C" {
    /// Where a called core begins; in boot.s.
    static enter: u8;
}

type Body<'a> = &'a (dyn Fn() + Sync + 'a);

/// All cores of the board.
#[derive(Debug)]
pub struct Cores {
    others: usize,
}

/// What the cores tell each other by.
struct Shared {
    came: AtomicUsize,
    /// Pieces of work that there have been.
    round: AtomicUsize,
    /// The piece of this round.
    body: UnsafeCell<Option<Body<'static>>>,
    /// Cores that are not done with it.
    pending: AtomicUsize,
    busy: AtomicBool,
}

// SAFETY: `body` is written only by the one who made `busy` true, while no core is pending, and read only between a change of `round` and the
// end of a core's work.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared {
    came: AtomicUsize::new(0),
    round: AtomicUsize::new(0),
    body: UnsafeCell::new(None),
    pending: AtomicUsize::new(0),
    busy: AtomicBool::new(false),
};

impl Cores {
    /// Calls the others. One that does not come in time stays where it is.
    pub fn start() -> Cores {
        for core in 1..CORES {
            let call = ptr::with_exposed_provenance_mut::<usize>(CALLS + 8 * core);
            // SAFETY: this word of the first page is the core's call, and nothing of the program is there.
            unsafe { call.write_volatile((&raw const enter).addr()) };
            // The core reads it without a cache.
            memory::clean(CALLS + 8 * core..CALLS + 8 * core + 8);
        }
        wake();
        counters::wait(PATIENCE, || SHARED.came.load(Ordering::Acquire) == CORES - 1);
        Cores { others: SHARED.came.fetch_add(CLOSED, Ordering::AcqRel) }
    }
}

impl Parallel for Cores {
    fn workers(&self) -> usize {
        self.others + 1
    }

    fn broadcast(&self, body: &(dyn Fn() + Sync)) {
        if SHARED.busy.swap(true, Ordering::Acquire) {
            return body();
        }
        // SAFETY: the lifetime is only forgotten until no core is pending, which is awaited below; nothing unwinds here.
        let lent = unsafe { mem::transmute::<Body<'_>, Body<'static>>(body) };
        // SAFETY: no core is pending, so none reads it.
        unsafe { *SHARED.body.get() = Some(lent) };
        SHARED.pending.store(self.others, Ordering::Relaxed);
        SHARED.round.fetch_add(1, Ordering::Release);
        wake();
        body();
        while SHARED.pending.load(Ordering::Acquire) != 0 {
            boot::sleep();
        }
        // SAFETY: no core is pending any more.
        unsafe { *SHARED.body.get() = None };
        SHARED.busy.store(false, Ordering::Release);
    }
}

/// What a called core does, with memory and a stack set up by boot.s: its part of every piece of work.
// SAFETY: no other symbol has this name; boot.s alone calls it.
#[unsafe(no_mangle)]
extern "C" fn serve() -> ! {
    let late = SHARED.came.fetch_add(1, Ordering::AcqRel) >= CLOSED;
    wake();
    if late {
        boot::halt();
    }
    let mut seen = 0;
    loop {
        while SHARED.round.load(Ordering::Acquire) == seen {
            boot::sleep();
        }
        seen = seen.wrapping_add(1);
        // SAFETY: the round has begun and this core is pending, so nobody writes it.
        if let Some(body) = unsafe { *SHARED.body.get() } {
            body();
        }
        SHARED.pending.fetch_sub(1, Ordering::Release);
        wake();
    }
}

/// Lets all cores look again, at what this one wrote before.
fn wake() {
    // SAFETY: waits until what was written can be seen, and sends an event.
    unsafe { asm!("dsb ish", "sev", options(nostack, preserves_flags)) };
}
