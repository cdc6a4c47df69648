use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{Part, Step};

/// Threads that the caller lends.
///
/// An implementation cannot make a kernel unsound or its result wrong: the work is divided by counters inside `body`, and
/// what no worker has taken is done by the calling thread afterwards.
pub trait Parallel: Sync {
    /// Number of threads that [`Parallel::broadcast`] reaches, at least 1. Work space is divided among so many.
    fn workers(&self) -> usize;

    /// Calls `body` once on each worker, and returns when all calls have returned.
    fn broadcast(&self, body: &(dyn Fn() + Sync));

    /// Tells, on the thread that runs a tower, that it has come through a step. Does nothing unless someone measures.
    fn finished(&self, _step: Step) {}
}

/// No threads but the caller's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Single;

impl Parallel for Single {
    fn workers(&self) -> usize {
        1
    }

    fn broadcast(&self, body: &(dyn Fn() + Sync)) {
        body();
    }
}

/// Runs `body` on the workers if that is worth waking them, and then here for what is left.
pub(crate) fn share(worth: bool, parallel: &dyn Parallel, body: &(dyn Fn() + Sync)) {
    if worth {
        parallel.broadcast(body);
    }
    body();
}

/// Runs `body` on the workers, and then here for what is left.
pub(crate) fn complete(parallel: &dyn Parallel, body: &(dyn Fn() + Sync)) {
    share(true, parallel, body);
}

/// Calls `body` with the index of each chunk of `len` elements and the chunk, on the threads that are lent; the last chunk may
/// be shorter. Nothing is called for a `len` of 0.
pub fn for_each_chunk(
    data: &mut [f32],
    len: usize,
    parallel: &dyn Parallel,
    body: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    let Some(whole) = data.len().checked_div(len) else { return };
    let (chunks, rest) = data.cut_mut(whole * len);
    let slots = Slots::new(chunks, len, whole);
    complete(parallel, &|| {
        while let Some((index, chunk)) = slots.claim() {
            body(index, chunk);
        }
    });
    if !rest.is_empty() {
        body(whole, rest);
    }
}

/// Tasks `0..count`, each handed out once.
pub(crate) struct Tasks {
    next: AtomicUsize,
    count: usize,
}

impl Tasks {
    pub fn new(count: usize) -> Self {
        Tasks { next: AtomicUsize::new(0), count }
    }

    pub fn claim(&self) -> Option<usize> {
        // A look first, so that the counter cannot run away however often an exhausted list is asked.
        if self.next.load(Ordering::Relaxed) >= self.count {
            return None;
        }
        let task = self.next.fetch_add(1, Ordering::Relaxed);
        (task < self.count).then_some(task)
    }
}

/// A slice cut into equal slots, each handed out once.
pub(crate) struct Slots<'a> {
    data: *mut f32,
    len: usize,
    tasks: Tasks,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for `&mut [f32]`s, which are `Send`, and gives each to one caller only.
unsafe impl Sync for Slots<'_> {}

impl<'a> Slots<'a> {
    /// Up to `count` slots of `len` elements, as many as `data` has room for.
    pub fn new(data: &'a mut [f32], len: usize, count: usize) -> Self {
        let count = count.min(data.len().checked_div(len).unwrap_or(count));
        Slots { data: data.as_mut_ptr(), len, tasks: Tasks::new(count), life: PhantomData }
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.count == 0
    }

    /// The next slot and its index.
    pub fn claim(&self) -> Option<(usize, &'a mut [f32])> {
        let slot = self.tasks.claim()?;
        // SAFETY: slots lie within the borrowed slice by the bound on their number, do not overlap, and are claimed once.
        Some((slot, unsafe { core::slice::from_raw_parts_mut(self.data.add(slot * self.len), self.len) }))
    }
}
