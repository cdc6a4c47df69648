//! Virtual memory: every address is its own physical one. Without it all memory would be uncached, and unaligned accesses would fault.
//!
//! Two tables cover 4 GiB: one of 1 GiB entries, one of 2 MiB blocks for the first of them. Only what the program uses is mapped.

use core::arch::{asm, naked_asm};
use core::ops::Range;

use crate::board::Board;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions and data beside them, cached.
    Code,
    /// Data, cached.
    Data,
    /// Registers: every access happens, in order.
    Device,
    /// Memory that the video core reads beside us: buffered, but not cached.
    Uncached,
}

/// Bytes of a block.
const BLOCK: usize = 2 << 20;
/// Entries of a table.
const ENTRIES: usize = 512;

#[repr(C, align(4096))]
struct Table([u64; ENTRIES]);

static mut GIBIBYTES: Table = Table([0; ENTRIES]);
static mut FIRST_GIBIBYTE: Table = Table([0; ENTRIES]);

unsafe extern "C" {
    static __text_end: u8;
    static __image_end: u8;
}

impl Kind {
    /// A block's descriptor without its address (Arm ARM, D8.3).
    const fn descriptor(self) -> u64 {
        const BLOCK: u64 = 0b01;
        const INNER_SHAREABLE: u64 = 0b11 << 8;
        const ACCESSED: u64 = 1 << 10;
        const NEVER_EXECUTED: u64 = 0b11 << 53;
        BLOCK
            | ACCESSED
            | match self {
                Kind::Code => INNER_SHAREABLE | 1 << 2,
                Kind::Data => INNER_SHAREABLE | 1 << 2 | NEVER_EXECUTED,
                Kind::Device => NEVER_EXECUTED,
                Kind::Uncached => 2 << 2 | NEVER_EXECUTED,
            }
    }
}

/// The attributes that descriptors name by number: device (nGnRE), written back and allocated, not cached.
const ATTRIBUTES: u64 = 0x44_FF_04;
/// 32-bit addresses in pages of 4 KiB, tables read through the caches; no second half of the address space.
const TRANSLATION: u64 = 32 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 1 << 23;
/// MMU, data cache, instruction cache.
const ON: u64 = 1 | 1 << 2 | 1 << 12;

/// Makes the tables and turns the MMU and the caches on; called before `main`, with the MMU off.
// SAFETY: no other symbol has this name; boot.s alone calls it.
#[unsafe(no_mangle)]
extern "C" fn enable_memory() {
    let (text_end, image_end) = ((&raw const __text_end).addr(), (&raw const __image_end).addr());
    // SAFETY: code that is not written, and the data behind it, each mapped once.
    unsafe {
        map(0..text_end, Kind::Code);
        map(text_end..image_end, Kind::Data);
    }
    let board = Board::detect();
    let tables = (&raw const FIRST_GIBIBYTE).addr() as u64 | 0b11;
    let device = (board.peripherals() as u64) & !0x3FFF_FFFF;
    // SAFETY: only this core runs, nothing else refers to the table, and writes of aligned words are fine without an MMU.
    unsafe {
        let gibibytes = (&raw mut GIBIBYTES).cast::<u64>();
        gibibytes.write_volatile(tables);
        if board == Board::Pi4 {
            gibibytes.add(3).write_volatile(device | Kind::Device.descriptor());
        }
    }
    if board == Board::Pi3 {
        // SAFETY: nothing but registers is there.
        unsafe { map(board.peripherals()..0x4000_0000, Kind::Device) };
    }
    turn_on();
}

/// Maps all blocks that `range`, in the first GiB, touches.
///
/// # Safety
/// They have not been mapped before, and what is there suits the kind.
pub unsafe fn map(range: Range<usize>, kind: Kind) {
    for block in range.start / BLOCK..range.end.div_ceil(BLOCK).min(ENTRIES) {
        // SAFETY: the entry lies within the table, which only this core writes. A new mapping takes nothing away from the ones that Rust's
        // memory lies in.
        unsafe {
            let entry = (&raw mut FIRST_GIBIBYTE).cast::<u64>().add(block);
            entry.write_volatile((block * BLOCK) as u64 | kind.descriptor());
        }
    }
    // SAFETY: orders the writes before whatever uses the mapping; no more is needed where nothing was mapped before.
    unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
}

/// Maps all memory behind the program, up to `end`, and says where it is.
///
/// # Safety
/// This has not been done before, and there is memory up to `end`.
pub unsafe fn map_rest(end: usize) -> Range<usize> {
    let (start, end) = ((&raw const __image_end).addr(), end / BLOCK * BLOCK);
    // SAFETY: the program's own last block is mapped, and ends where this begins. Nothing of the program is there, and by the caller's
    // promise no device register.
    unsafe { map(start.next_multiple_of(BLOCK)..end, Kind::Data) };
    start..end
}

/// Turns on this core's MMU and caches, with the tables that are there. Uses no stack.
// SAFETY: changes x0 and x1 alone, which are the caller's to save, and returns; no other symbol has this name. The tables map all that the
// program is made of to itself, so that nothing moves.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn turn_on() {
    naked_asm!(
        "ldr x0, ={attributes}",
        "msr mair_el1, x0",
        "ldr x0, ={translation}",
        "msr tcr_el1, x0",
        "adrp x0, {tables}",
        "add x0, x0, :lo12:{tables}",
        "msr ttbr0_el1, x0",
        "dsb sy",
        "isb",
        "tlbi vmalle1",
        "ic iallu",
        "dsb sy",
        "isb",
        "mrs x0, sctlr_el1",
        "mov x1, {on}",
        "orr x0, x0, x1",
        "msr sctlr_el1, x0",
        "isb",
        "ret",
        ".ltorg",
        attributes = const ATTRIBUTES,
        translation = const TRANSLATION,
        tables = sym GIBIBYTES,
        on = const ON,
    )
}

/// Writes what the caches hold of `words` to memory and forgets it: afterwards the video core sees it, and its answer is seen here.
pub fn publish(words: &[u32]) {
    let range = words.as_ptr_range();
    clean(range.start.addr()..range.end.addr());
}

/// Writes what the caches hold of these addresses to memory and forgets it.
pub fn clean(addresses: Range<usize>) {
    /// Bytes of a line, in both cores.
    const LINE: usize = 64;
    for line in (addresses.start / LINE * LINE..addresses.end).step_by(LINE) {
        // SAFETY: cleaning a line changes nothing that a program can see.
        unsafe { asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: waits until the lines have been written.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
