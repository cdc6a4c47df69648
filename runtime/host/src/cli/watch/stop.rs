use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Whether somebody wants the program to end: by Ctrl-C, by `kill`, by closing the terminal.
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on such signals are remembered instead of ending the program at once, which could leave its picture on a screen.
    /// The second one ends it.
    pub fn on_signals() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            // In this order: what the first signal sets, the second one finds.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Stop(asked))
    }

    /// Whether there was one.
    pub fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits for this time, but no longer than until it is asked for.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_asked_for() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_by_itself_or_when_it_is_asked_for() {
        let stop = Stop(Arc::default());
        let start = Instant::now();
        stop.wait(Duration::from_millis(120));
        assert!(start.elapsed() >= Duration::from_millis(120));
        stop.0.store(true, Ordering::Relaxed);
        stop.wait(Duration::from_secs(3600));
    }
}
