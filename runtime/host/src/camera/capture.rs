use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Frame, Source, Taken};
use crate::Error;

/// A source on a thread of its own, which ends when this is dropped and the source gives its next frame.
pub struct Capture(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    latest: Option<Frame>,
    /// Frames whose memory can be used again.
    spare: Vec<Frame>,
    skipped: VecDeque<Error>,
    dropped: u64,
    end: Option<Result<(), Error>>,
    abandoned: bool,
}

/// What [`Capture::next`] found.
#[derive(Debug)]
pub enum Next {
    /// A frame; [`Capture::give_back`] takes its memory.
    Frame(Frame),
    /// A frame that could not be used, and why.
    Skipped(Error),
    /// None yet.
    Waiting,
    /// There are no more.
    End,
}

impl Capture {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Io`] if there can be no other thread.
    pub fn start(source: impl Source + 'static) -> Result<Self, Error> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let run = move || of_thread.run(source);
        thread::Builder::new().name("camera".into()).spawn(run).map_err(Error::io("camera thread"))?;
        Ok(Capture(shared))
    }

    /// The latest frame that was not handed out yet. Waits for it, but no longer than `patience`.
    ///
    /// # Errors
    /// What ended the source, after its last frame.
    pub fn next(&self, patience: Duration) -> Result<Next, Error> {
        let nothing = |state: &mut State| state.latest.is_none() && state.skipped.is_empty() && state.end.is_none();
        let state = self.0.lock();
        let (mut state, _) =
            self.0.changed.wait_timeout_while(state, patience, nothing).unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.skipped.pop_front() {
            return Ok(Next::Skipped(error));
        }
        if let Some(frame) = state.latest.take() {
            self.0.changed.notify_all();
            return Ok(Next::Frame(frame));
        }
        match state.end.take() {
            Some(end) => {
                state.end = Some(Ok(()));
                end.map(|()| Next::End)
            }
            None => Ok(Next::Waiting),
        }
    }

    /// Takes back a frame that is not needed any more.
    pub fn give_back(&self, frame: Frame) {
        self.0.lock().spare.push(frame);
    }

    /// How many frames were dropped so far because a later one came before they were asked for.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is a single step: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut source: impl Source) {
        let end = loop {
            let mut frame = self.lock().spare.pop().unwrap_or_default();
            let taken = crate::guard::guarded(|| Ok::<_, String>(source.next(&mut frame)));
            let taken = taken.unwrap_or_else(|panic| Err(Error::io("camera")(io::Error::other(panic))));
            let mut state = self.lock();
            match taken {
                Ok(Taken::Frame) => {
                    let waits = |state: &mut State| state.latest.is_some() && !state.abandoned;
                    if !source.is_live() {
                        state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
                    }
                    if let Some(late) = state.latest.replace(frame) {
                        state.dropped += 1;
                        state.spare.push(late);
                    }
                }
                Ok(Taken::Skipped(error)) => state.skipped.push_back(error),
                Ok(Taken::End) => break Ok(()),
                Err(error) => break Err(error),
            }
            if state.abandoned {
                return;
            }
            drop(state);
            self.changed.notify_all();
        };
        self.lock().end = Some(end);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Frames whose width tells their number, when a test says so.
    struct Numbered {
        numbers: Receiver<Option<usize>>,
        live: bool,
    }

    impl Source for Numbered {
        fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error> {
            match self.numbers.recv() {
                Ok(Some(0)) => panic!("a fault in the camera"),
                Ok(Some(number)) => {
                    frame.width = number;
                    Ok(Taken::Frame)
                }
                Ok(None) => Ok(Taken::Skipped(Error::Unusable("blurred".into()))),
                Err(_) => Ok(Taken::End),
            }
        }

        fn is_live(&self) -> bool {
            self.live
        }
    }

    fn width(next: Next) -> usize {
        match next {
            Next::Frame(frame) => frame.width,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_live_source_is_never_behind() {
        let (send, numbers) = sync_channel(0);
        let capture = Capture::start(Numbered { numbers, live: true }).unwrap();
        assert!(matches!(capture.next(Duration::ZERO).unwrap(), Next::Waiting));
        // That the next number is taken tells that the one before has become a frame.
        (1..=5).for_each(|number| send.send(Some(number)).unwrap());
        drop(send);
        let first = width(capture.next(LONG).unwrap());
        if first == 4 {
            assert_eq!(width(capture.next(LONG).unwrap()), 5);
        }
        assert_eq!(capture.dropped(), 3 + u64::from(first == 5));
        assert!(matches!(capture.next(LONG).unwrap(), Next::End));
        assert!(matches!(capture.next(LONG).unwrap(), Next::End));
    }

    #[test]
    fn another_source_waits() {
        let (send, numbers) = sync_channel(9);
        let capture = Capture::start(Numbered { numbers, live: false }).unwrap();
        (1..=4).for_each(|number| send.send(Some(number)).unwrap());
        drop(send);
        for number in 1..=4 {
            assert_eq!(width(capture.next(LONG).unwrap()), number);
        }
        assert!(matches!(capture.next(LONG).unwrap(), Next::End));
        assert_eq!(capture.dropped(), 0);
    }

    #[test]
    fn faults_are_errors() {
        let (send, numbers) = sync_channel(9);
        let capture = Capture::start(Numbered { numbers, live: true }).unwrap();
        [None, Some(0)].into_iter().for_each(|number| send.send(number).unwrap());
        assert!(matches!(capture.next(LONG).unwrap(), Next::Skipped(error) if error.to_string() == "blurred"));
        assert_eq!(capture.next(LONG).unwrap_err().to_string(), "camera: a fault in the camera");
        assert!(matches!(capture.next(LONG).unwrap(), Next::End));
    }
}
