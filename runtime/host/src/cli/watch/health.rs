//! How well the program keeps up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use edgelip::machine;

/// Frames that the rate is measured over.
const WINDOW: usize = 30;

/// How often the temperature is read.
const TEMPERATURE_PERIOD: Duration = Duration::from_secs(2);

/// Counts frames and looks at the temperature.
pub struct Health {
    /// Frames that were looked at.
    pub frames: u64,
    /// Frames that nobody had time for.
    pub dropped: u64,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
    read: Instant,
    times: VecDeque<Instant>,
}

impl Health {
    pub fn new() -> Self {
        let times = VecDeque::with_capacity(WINDOW);
        Health { frames: 0, dropped: 0, temperature: machine::temperature(), read: Instant::now(), times }
    }

    /// Counts a frame.
    pub fn count(&mut self, dropped: u64) {
        (self.frames, self.dropped) = (self.frames + 1, dropped);
        let now = Instant::now();
        if self.times.len() == WINDOW {
            self.times.pop_front();
        }
        self.times.push_back(now);
        if now.duration_since(self.read) > TEMPERATURE_PERIOD {
            (self.temperature, self.read) = (machine::temperature(), now);
        }
    }

    /// Frames per second, of the latest ones; `None` after only one.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.times.back()?.duration_since(*self.times.front()?).as_secs_f64();
        let frames = self.times.len() as f64 - 1.0;
        (seconds > 0.0).then_some((frames / seconds * 100.0).round() / 100.0)
    }
}
