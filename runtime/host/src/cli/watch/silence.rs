//! A camera that hangs: without a word its last picture would stay on the screen as if all were well.

use std::time::{Duration, Instant};

/// How long a camera may take for a frame, besides the time between frames.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long there has been no frame.
pub struct Silence {
    patience: Duration,
    since: Instant,
    told: bool,
}

impl Silence {
    /// Begins now. With `fps` frames a second there are a few frames' times more until it is too long.
    pub fn new(fps: Option<f64>) -> Self {
        let frames = fps.map_or(Duration::ZERO, |fps| Duration::from_secs_f64(3.0 / fps));
        Silence { patience: PATIENCE + frames, since: Instant::now(), told: false }
    }

    /// There is a frame.
    pub fn ends(&mut self, now: Instant) {
        (self.since, self.told) = (now, false);
    }

    /// There is none. How long it has been, as soon as that is too long: once until there is a frame again.
    pub fn lasts(&mut self, now: Instant) -> Option<Duration> {
        let time = now.duration_since(self.since);
        let tell = time >= self.patience && !self.told;
        self.told |= tell;
        tell.then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_hangs_is_told_once() {
        let mut silence = Silence::new(Some(2.0));
        let at = |start: Instant, seconds| start + Duration::from_secs_f64(seconds);
        let start = silence.since;
        let told = [6.4, 6.5, 7.0].map(|seconds| silence.lasts(at(start, seconds)).map(|time| time.as_secs_f64()));
        assert_eq!(told, [None, Some(6.5), None]);
        let start = at(start, 8.0);
        silence.ends(start);
        assert_eq!([0.0, 6.0, 9.0].map(|seconds| silence.lasts(at(start, seconds)).is_some()), [false, false, true]);
    }
}
