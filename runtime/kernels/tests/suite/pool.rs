use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use edgelip_kernels::{Activation, Kernels, Parallel, Pool, Single};

use crate::layers::{Layer, Precision, apply};
use crate::{Matrix, Random, assert_same};

#[test]
fn every_worker_is_called_once() {
    for threads in 1..=4 {
        let pool = Pool::new(threads);
        let calls = AtomicUsize::new(0);
        for round in 1..=300 {
            pool.broadcast(&|| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(calls.load(Ordering::Relaxed), round * threads);
        }
    }
}

#[test]
fn parked_workers_wake() {
    let pool = Pool::new(3);
    let calls = AtomicUsize::new(0);
    for _ in 0..3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        pool.broadcast(&|| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert_eq!(calls.into_inner(), 9);
}

#[test]
fn a_broadcast_within_a_broadcast_runs_alone() {
    let pool = Pool::new(2);
    let calls = AtomicUsize::new(0);
    pool.broadcast(&|| {
        pool.broadcast(&|| {
            calls.fetch_add(1, Ordering::Relaxed);
        })
    });
    assert_eq!(calls.into_inner(), 2);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(3);
    let calls = AtomicUsize::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        pool.broadcast(&|| {
            if calls.fetch_add(1, Ordering::SeqCst) == 1 {
                panic!("one of three");
            }
        });
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"one of three"));
    pool.broadcast(&|| {
        calls.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(calls.into_inner(), 6);
}

/// Threads that are promised but never come, and threads that come more often than promised.
struct Unreliable {
    workers: usize,
    times: usize,
}

impl Parallel for Unreliable {
    fn workers(&self) -> usize {
        self.workers
    }

    fn broadcast(&self, body: &(dyn Fn() + Sync)) {
        (0..self.times).for_each(|_| body());
    }
}

#[test]
fn results_do_not_depend_on_the_reliability_of_threads() {
    let mut random = Random(41);
    let layer = Layer::random(&mut random, 96, 6);
    let x = Matrix::random(&mut random, 80, 96);
    let kernels = Kernels::detect();
    for precision in [Precision::F32, Precision::I8] {
        let layer = layer.linear(precision);
        let ought = apply(kernels, x.rows(), &layer, Activation::None, None, &Single);
        for (workers, times) in [(2, 0), (2, 1), (2, 5), (0, 1), (usize::MAX / 4 + 1, 1), (usize::MAX, 1)] {
            let threads = Unreliable { workers, times };
            let is = apply(kernels, x.rows(), &layer, Activation::None, None, &threads);
            assert_same(&is, &ought, kernels.name());
        }
    }
}
