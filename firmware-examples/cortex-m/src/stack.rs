//! How deep the stack has ever been: `cortex-m-rt` paints it before `main`, and what has lost its paint was used.

use core::ptr;

/// What `cortex-m-rt` paints with (its feature `paint-stack`).
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    /// Lowest word of the stack; from the linker script.
    static _stack_end: u32;
    /// One past its highest word, where it begins.
    static _stack_start: u32;
}

/// Bytes between the arena and the end of the memory: all that the stack can take.
pub fn reserved() -> usize {
    (&raw const _stack_start) as usize - (&raw const _stack_end) as usize
}

/// The most bytes of stack that were in use at once since the reset.
pub fn deepest() -> usize {
    let end = &raw const _stack_end;
    let words = reserved() / size_of::<u32>();
    // SAFETY: the linker script reserves all words between the two symbols for the stack. Reading is volatile, as the stack changes under
    // the compiler's eyes, and stops at the first word that was used.
    let untouched = (0..words).take_while(|&word| unsafe { ptr::read_volatile(end.add(word)) } == PAINT).count();
    (words - untouched) * size_of::<u32>()
}
