//! What a piece of work costs: time, cycles, instructions, from the core's own counters.

use core::arch::asm;
use core::time::Duration;

use edgelip_drawing as drawing;

use crate::boot;

/// Reads a system register that has no side effects.
macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: EL1 may read it, and reading has no effect. Not `pure`: it changes by itself.
        unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// Writes a system register of the performance monitor or the timer.
macro_rules! write {
    ($register:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: EL1 may write it, and it does no more than say what is counted, and when a sleep ends.
        unsafe { asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nomem, nostack, preserves_flags)) };
    }};
}

/// The event `INST_RETIRED`: instructions that were carried out.
const INSTRUCTIONS: u64 = 0x08;

/// What a piece of work cost on this core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time in microseconds, by the generic timer.
    pub microseconds: u64,
    /// Cycles, by the performance monitor.
    pub cycles: u64,
    /// Instructions, by the performance monitor, if it counts them; modulo 2³².
    pub instructions: Option<u32>,
}

impl Cost {
    /// As it is drawn; instructions last, and 0 if they are not counted.
    pub fn drawn(&self) -> [drawing::Cost<'static>; 3] {
        [
            drawing::Cost::Micros(self.microseconds),
            drawing::Cost::Count(self.cycles, "cycles"),
            drawing::Cost::Count(self.instructions.unwrap_or_default().into(), "instructions"),
        ]
    }
}

/// The running counters of this core.
pub struct Counters {
    counts_instructions: bool,
}

impl Counters {
    /// Starts counting.
    pub fn start() -> Self {
        // Long cycles, reset, go.
        write!("pmcr_el0", 1 << 6 | 0b111);
        write!("pmccfiltr_el0", 0);
        write!("pmevtyper0_el0", INSTRUCTIONS);
        write!("pmcntenset_el0", 1 << 31 | 1);
        synchronise();
        Counters { counts_instructions: read!("pmceid0_el0") >> INSTRUCTIONS & 1 == 1 }
    }

    /// Does `work`, and what it cost.
    pub fn measure<R>(&self, work: impl FnOnce() -> R) -> (R, Cost) {
        let before = Instant::now();
        let result = work();
        let after = Instant::now();
        let cost = Cost {
            microseconds: after.microseconds_since(&before),
            cycles: after.cycles.wrapping_sub(before.cycles),
            instructions: self.counts_instructions.then(|| after.instructions.wrapping_sub(before.instructions)),
        };
        (result, cost)
    }
}

/// All counters at one moment.
struct Instant {
    ticks: u64,
    cycles: u64,
    instructions: u32,
}

impl Instant {
    fn now() -> Self {
        synchronise();
        let now = Instant {
            ticks: read!("cntpct_el0"),
            cycles: read!("pmccntr_el0"),
            instructions: read!("pmevcntr0_el0") as u32,
        };
        synchronise();
        now
    }

    fn microseconds_since(&self, earlier: &Instant) -> u64 {
        let frequency = read!("cntfrq_el0").max(1);
        ((self.ticks - earlier.ticks) as u128 * 1_000_000 / frequency as u128) as u64
    }
}

/// Waits for this time, or until `stop` says so. The core sleeps, and looks about a thousand times a second.
pub fn wait(time: Duration, mut stop: impl FnMut() -> bool) {
    // Whenever bit 14 of the timer changes, an event ends the sleep.
    write!("cntkctl_el1", 14 << 4 | 1 << 2);
    let ticks = time.as_micros() * u128::from(read!("cntfrq_el0")) / 1_000_000;
    let end = read!("cntpct_el0") + ticks as u64;
    while read!("cntpct_el0") < end && !stop() {
        boot::sleep();
    }
}

/// No instruction from before is still under way, none from afterwards has begun.
fn synchronise() {
    // SAFETY: a barrier has no other effect. It may order memory, so that no work is moved past it.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}
