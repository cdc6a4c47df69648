//! How deep a stack has ever been: they are cleared before `main`, and what is not zero any more was used.

use core::ptr;

/// One for each core.
const STACKS: usize = 4;

unsafe extern "C" {
    /// Lowest word of the lowest stack; from the linker script.
    static __stack_end: u64;
    /// One past the highest word of the highest one, where it begins.
    static __stack_start: u64;
}

/// Bytes of each stack.
pub fn size() -> usize {
    ((&raw const __stack_start).addr() - (&raw const __stack_end).addr()) / STACKS
}

/// The most bytes of any of them that were in use at once since the start.
pub fn deepest() -> usize {
    let words = size() / size_of::<u64>();
    let untouched = |stack: usize| {
        let end = (&raw const __stack_end).wrapping_add(stack * words);
        // SAFETY: the linker script reserves all words between the two symbols for the stacks. Reading is volatile, as a stack changes under
        // the compiler's eyes, and stops at the first word that was used.
        (0..words).take_while(|&word| unsafe { ptr::read_volatile(end.add(word)) } == 0).count()
    };
    (0..STACKS).map(|stack| (words - untouched(stack)) * size_of::<u64>()).max().unwrap_or_default()
}
