use core::any::Any;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::vec::Vec;

use crate::Parallel;

/// Looks at the counter before a waiting worker parks: some twenty microseconds, longer than the gap between two operators.
const SPINS: usize = 1 << 11;

type Body<'a> = &'a (dyn Fn() + Sync);

/// Threads that wait for [`Parallel::broadcast`]; the calling thread is one of the workers. A broadcast does not allocate.
///
/// A panic in a body is raised again in the caller once all workers have returned. A broadcast within a broadcast, or from a
/// second thread at the same time, runs on its calling thread alone. Dropping the pool joins its threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

struct Shared {
    /// Number of broadcasts so far; a change calls the workers.
    round: AtomicUsize,
    body: UnsafeCell<Option<Body<'static>>>,
    /// Workers that have not returned from this round.
    pending: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `body` is written only while no worker is pending, and read only between a change of `round` and a worker's return.
unsafe impl Sync for Shared {}

impl Pool {
    /// A pool of `threads` workers (at least 1), the caller included. Fewer if the system refuses to start more.
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared {
            round: AtomicUsize::new(0),
            body: UnsafeCell::new(None),
            pending: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let threads = (1..threads)
            .map_while(|index| {
                let shared = Arc::clone(&shared);
                thread::Builder::new().name(std::format!("edgelip-{index}")).spawn(move || shared.serve()).ok()
            })
            .collect();
        Pool { shared, threads, turn: Mutex::new(()) }
    }

    fn call(&self) {
        // Sequentially consistent, with the workers' own order: what was written before is seen after.
        self.shared.round.fetch_add(1, Ordering::SeqCst);
        for thread in &self.threads {
            thread.thread().unpark();
        }
    }
}

impl Parallel for Pool {
    fn workers(&self) -> usize {
        self.threads.len() + 1
    }

    fn broadcast(&self, body: Body<'_>) {
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return body(),
        };
        // SAFETY: the lifetime is only forgotten until the workers have returned, which is awaited below on every path.
        let body_for_workers = unsafe { core::mem::transmute::<Body<'_>, Body<'static>>(body) };
        // SAFETY: no worker is pending, so none reads it.
        unsafe { *self.shared.body.get() = Some(body_for_workers) };
        self.shared.pending.store(self.threads.len(), Ordering::SeqCst);
        self.call();
        let own = catch_unwind(AssertUnwindSafe(body));
        let mut look = 0;
        while self.shared.pending.load(Ordering::Acquire) != 0 {
            wait(look);
            look = look.wrapping_add(1);
        }
        // SAFETY: no worker is pending any more.
        unsafe { *self.shared.body.get() = None };
        let theirs = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.call();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of bodies, so it has none of its own to report.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self) {
        let mut seen = 0;
        loop {
            seen = self.next_round(seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // SAFETY: the round has begun and this worker is pending, so nobody writes it.
            let body = unsafe { *self.body.get() };
            if let Some(Err(panic)) = body.map(|body| catch_unwind(AssertUnwindSafe(body))) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
            self.pending.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until there has been a round after `seen`.
    fn next_round(&self, seen: usize) -> usize {
        for look in 0..SPINS {
            if self.round.load(Ordering::SeqCst) != seen {
                break;
            }
            wait(look);
        }
        loop {
            let round = self.round.load(Ordering::SeqCst);
            if round != seen {
                return round;
            }
            thread::park();
        }
    }
}

/// A short pause between two looks; now and then others may have the core, since the one waited for may need it.
fn wait(look: usize) {
    if look % 64 == 63 { thread::yield_now() } else { spin_loop() }
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers()).finish()
    }
}
