use std::thread;
use std::time::{Duration, Instant};

use super::{Frame, Source, Taken};
use crate::Error;

/// Makes a camera of any source: its frames come at a steady rate, whether somebody has time for them or not.
pub struct Paced<S> {
    source: S,
    period: Duration,
    due: Option<Instant>,
}

impl<S: Source> Paced<S> {
    /// One frame each `period`.
    pub fn new(source: S, period: Duration) -> Self {
        Paced { source, period, due: None }
    }
}

impl<S: Source> Source for Paced<S> {
    fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error> {
        let taken = self.source.next(frame)?;
        if let Taken::Frame = taken {
            let now = Instant::now();
            let due = self.due.map_or(now, |due| due.max(now));
            thread::sleep(due.duration_since(now));
            self.due = Some(due + self.period);
        }
        Ok(taken)
    }

    fn is_live(&self) -> bool {
        true
    }
}
