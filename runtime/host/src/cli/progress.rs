//! A progress bar on stderr, drawn only on a terminal and only for work that takes a while.

use indicatif::{ProgressBar, ProgressStyle};

/// Fewer items than this are done before a bar could be read.
const WORTH_A_BAR: usize = 16;

/// Progress over a known number of items; vanishes when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Nothing done of `count` things called `what`.
    pub fn new(what: &'static str, count: usize) -> Self {
        if count < WORTH_A_BAR {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(count as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}, {eta} left") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Progress(bar)
    }

    /// `done` of them are done.
    pub fn at(&self, done: usize) {
        self.0.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
