//! How long a step takes, nothing else kept.

use std::path::PathBuf;
use std::thread::Scope;
use std::time::Instant;

use super::{Crew, Run, State};
use crate::config::Config;
use crate::data::Batches;
use crate::error::Error;
use crate::merging::Schedule;
use crate::objective::Learner;
use crate::parameters::Parameter;
use crate::vision::Merge;

/// A run of which only the time of its steps matters: no checkpoint, no metrics.
#[derive(Debug)]
pub struct Stopwatch<'a> {
    run: Run<'a>,
    crew: Crew,
    batches: &'a Batches<'a>,
    state: State,
    schedules: Vec<(Schedule, Merge)>,
}

impl<'a> Stopwatch<'a> {
    /// At the first step; the learners share `parameters`, as in [`Run::train`].
    ///
    /// # Errors
    /// [`Error::Config`] if a compression rate can't be reached.
    pub fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        config: &'a Config,
        learners: Vec<Box<dyn Learner>>,
        parameters: &'a [Parameter],
        batches: &'a Batches<'a>,
    ) -> Result<Self, Error> {
        let run = Run { config, folder: PathBuf::new(), reschedule: false, quiet: true };
        let schedules = run.schedules()?;
        let state = State::new(parameters, config.train.optimizer);
        Ok(Stopwatch { run, crew: Crew::new(scope, learners, parameters), batches, state, schedules })
    }

    /// Takes the next step; the seconds of forward pass, backward pass and optimiser. Batches are made before, as in training, where another
    /// thread makes them ahead.
    ///
    /// # Errors
    /// [`Error::Diverged`].
    pub fn step(&mut self) -> Result<f64, Error> {
        let (done, passes) = (self.state.done, self.run.config.train.accumulate as u64);
        let device = self.state.flat.values.device();
        let ready =
            (done * passes..(done + 1) * passes).map(|number| self.batches.batch(number).to_device(device)).collect();
        let begin = Instant::now();
        self.run.step(&self.crew, &mut self.state, ready, &self.schedules)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}
