//! All working memory there is, in one static place that is lent once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::linked::ARENA;

/// Memory that every photo is labelled in, one after the other.
#[repr(C, align(64))]
pub struct Arena {
    /// Resizing and all operators work in it.
    pub scratch: [f32; ARENA / 4],
    /// A photo as the model sees it: up to 512×512 RGB.
    pub pixels: [u8; 512 * 512 * 3],
    /// What the model makes of it.
    pub embedding: [f32; 2048],
    /// A score for each label.
    pub scores: [f32; 8192],
}

struct Lent {
    arena: UnsafeCell<Arena>,
    taken: AtomicBool,
}

// SAFETY: the arena is reached through `take` only, which gives it to one caller.
unsafe impl Sync for Lent {}

static LENT: Lent = Lent {
    arena: UnsafeCell::new(Arena {
        scratch: [0.0; ARENA / 4],
        pixels: [0; 512 * 512 * 3],
        embedding: [0.0; 2048],
        scores: [0.0; 8192],
    }),
    taken: AtomicBool::new(false),
};

/// The arena, to the first who asks.
pub fn take() -> Option<&'static mut Arena> {
    let first = !LENT.taken.swap(true, Ordering::AcqRel);
    // SAFETY: nobody else has been here, nor will be.
    first.then(|| unsafe { &mut *LENT.arena.get() })
}
