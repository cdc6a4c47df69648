//! Where a tower's time goes: threads that note when each step is through.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use edgelip_kernels::{Parallel, Step};

/// Lends another's threads and keeps the time of each step of a tower.
pub struct Timeline<'p> {
    parallel: &'p dyn Parallel,
    log: Mutex<Log>,
}

struct Log {
    last: Instant,
    block: usize,
    cells: Vec<Cell>,
}

/// What one step took in one block, in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What was done.
    pub step: Step,
    /// In which block; `None` before the first and after the last.
    pub block: Option<usize>,
    /// All of it together.
    pub time: Duration,
}

impl<'p> Timeline<'p> {
    /// A timeline over these threads.
    pub fn new(parallel: &'p dyn Parallel) -> Self {
        Timeline { parallel, log: Mutex::new(Log { last: Instant::now(), block: 0, cells: Vec::new() }) }
    }

    /// Starts the clock for a run.
    pub fn start(&self) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.cells.clear();
        (log.block, log.last) = (0, Instant::now());
    }

    /// The steps since [`Timeline::start`] in the order they first ended in; a step that a block takes several times is one cell.
    pub fn cells(&self) -> Vec<Cell> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).cells.clone()
    }
}

impl Parallel for Timeline<'_> {
    fn workers(&self) -> usize {
        self.parallel.workers()
    }

    fn broadcast(&self, body: &(dyn Fn() + Sync)) {
        self.parallel.broadcast(body);
    }

    fn finished(&self, step: Step) {
        let now = Instant::now();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if step == Step::Block {
            log.block += 1;
            return;
        }
        let time = now - log.last;
        let block = (!matches!(step, Step::Embed | Step::Project)).then_some(log.block);
        match log.cells.iter_mut().find(|cell| (cell.step, cell.block) == (step, block)) {
            Some(cell) => cell.time += time,
            None => log.cells.push(Cell { step, block, time }),
        }
        log.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgelip_kernels::Single;

    #[test]
    fn steps_of_a_block_add_up_and_blocks_are_told_apart() {
        let timeline = Timeline::new(&Single);
        timeline.start();
        for step in [Step::Embed, Step::Norm, Step::Qkv, Step::Norm, Step::Block, Step::Norm, Step::Project] {
            timeline.finished(step);
        }
        let cells: Vec<_> = timeline.cells().iter().map(|cell| (cell.step, cell.block)).collect();
        let first = [(Step::Embed, None), (Step::Norm, Some(0)), (Step::Qkv, Some(0))];
        assert_eq!(cells, [&first[..], &[(Step::Norm, Some(1)), (Step::Project, None)]].concat());
        timeline.start();
        assert!(timeline.cells().is_empty() && timeline.workers() == 1);
    }
}
