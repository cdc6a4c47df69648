//! How deep the stack has ever been: it is cleared before `main`, and what is not zero any more was used.

use core::ptr;

unsafe extern "C" {
    /// Lowest word of the stack; from the linker script.
    static __stack_end: u64;
    /// One past its highest word, where it begins.
    static __stack_start: u64;
}

/// Bytes of the stack.
pub fn size() -> usize {
    (&raw const __stack_start).addr() - (&raw const __stack_end).addr()
}

/// The most bytes of it that were in use at once since the start.
pub fn deepest() -> usize {
    let end = &raw const __stack_end;
    let words = size() / size_of::<u64>();
    // SAFETY: the linker script reserves all words between the two symbols for the stack. Reading is volatile, as the stack changes under
    // the compiler's eyes, and stops at the first word that was used.
    let untouched = (0..words).take_while(|&word| unsafe { ptr::read_volatile(end.add(word)) } == 0).count();
    (words - untouched) * size_of::<u64>()
}
