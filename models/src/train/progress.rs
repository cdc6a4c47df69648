//! A line on stderr now and then: step, loss, rate, time left.

use std::time::{Duration, Instant};

/// Seconds between lines.
const EVERY: Duration = Duration::from_secs(10);

/// Progress of one session.
#[derive(Debug)]
pub struct Progress {
    steps: u64,
    images: usize,
    quiet: bool,
    since: Instant,
    taken: u64,
    loss: f64,
}

impl Progress {
    /// Of a run of `steps` steps of `images` images each.
    pub fn new(steps: u64, images: usize, quiet: bool) -> Self {
        Progress { steps, images, quiet, since: Instant::now(), taken: 0, loss: 0.0 }
    }

    /// Counts a step; `done` steps have been taken in all.
    pub fn step(&mut self, done: u64, loss: f64, learning_rate: f64) {
        self.taken += 1;
        self.loss += loss;
        let passed = self.since.elapsed();
        if !self.quiet && (passed >= EVERY || done == self.steps) {
            let each = passed.as_secs_f64() / self.taken as f64;
            eprintln!(
                "step {done}/{}  loss {:.4}  learning rate {learning_rate:.2e}  {:.0} images/s  {} left",
                self.steps,
                self.loss / self.taken as f64,
                self.images as f64 / each,
                clock(each * (self.steps - done) as f64)
            );
            *self = Progress::new(self.steps, self.images, self.quiet);
        }
    }
}

fn clock(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    if minutes >= 60 { format!("{} h {:02} min", minutes / 60, minutes % 60) } else { format!("{minutes} min") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        assert_eq!(clock(100.0), "2 min");
        assert_eq!(clock(3_725.0), "1 h 02 min");
    }
}
