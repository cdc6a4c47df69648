//! All working memory there is, in one static place that is lent once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::linked::{ARENA, MODELS};

/// Memory that every photo is labelled in, one after the other.
#[repr(C, align(64))]
pub struct Arena {
    /// Resizing and all operators work in it.
    pub scratch: [f32; ARENA / 4],
    /// What each model sees.
    pub views: [View; MODELS.len()],
    /// What the model makes of it.
    pub embedding: [f32; 2048],
    /// A score for each label.
    pub scores: [f32; 8192],
}

/// A photo as a model sees it.
#[derive(Clone, Copy)]
pub struct View {
    /// Up to 512×512 RGB.
    pub pixels: [u8; 512 * 512 * 3],
    /// For each patch the token it ended in.
    pub tokens: [u16; 4096],
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
        views: [View { pixels: [0; 512 * 512 * 3], tokens: [0; 4096] }; MODELS.len()],
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
