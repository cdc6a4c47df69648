//! The training loop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use super::{Crew, Metrics, Progress, Row, State, draw, learning_rate};
use crate::config::Config;
use crate::data::{Batch, Batches};
use crate::error::Error;
use crate::merging::{Choice, Schedule, plan};
use crate::objective::Learner;
use crate::parameters::Parameter;
use crate::random::Stream;
use crate::vision::Merge;
use tch::Tensor;

/// Batches made ahead.
const AHEAD: usize = 3;
/// Part of the key of the draw of a compression rate.
const RATE: u64 = 5;

/// One run in its folder.
#[derive(Debug)]
pub struct Run<'a> {
    /// What to do.
    pub config: &'a Config,
    /// Where checkpoints and metrics go.
    pub folder: PathBuf,
    /// Whether a checkpoint of a run of another length is taken up.
    pub reschedule: bool,
    /// Whether to print no progress.
    pub quiet: bool,
}

/// When to stop before the last step; the run can be resumed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stop<'a> {
    /// After this many seconds of this session.
    pub seconds: Option<f64>,
    /// After this many steps of this session.
    pub steps: Option<u64>,
    /// As soon as this is set.
    pub flag: Option<&'a AtomicBool>,
}

impl Stop<'_> {
    fn now(&self, started: Instant, steps: u64) -> bool {
        self.flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
            || self.seconds.is_some_and(|most| started.elapsed().as_secs_f64() >= most)
            || self.steps.is_some_and(|most| steps >= most)
    }
}

/// Where a session ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Steps taken, over all sessions.
    pub done: u64,
    /// Whether these are all.
    pub finished: bool,
    /// Mean loss of the last hundred steps.
    pub loss: f64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
}

impl Run<'_> {
    /// The file that a run is resumed from.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// Trains from the last checkpoint, if there is one, to the last step or until told to stop. The learners share `parameters`; the
    /// passes of a step are spread over them, each in a thread of its own.
    ///
    /// # Errors
    /// [`Error::Diverged`]; [`Error::Io`] and [`Error::Malformed`] of the folder's files; [`Error::Config`] if the checkpoint belongs to
    /// another configuration.
    pub fn train(
        &self,
        learners: Vec<Box<dyn Learner>>,
        parameters: &[Parameter],
        batches: &Batches<'_>,
        stop: Stop<'_>,
    ) -> Result<Summary, Error> {
        let train = &self.config.train;
        let schedules = self.schedules()?;
        let mut state = if self.checkpoint().exists() {
            State::resume(&self.checkpoint(), self.config, parameters, self.reschedule)?
        } else {
            State::new(parameters, train.optimizer)
        };
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let metrics_path = self.folder.join("metrics.jsonl");
        let mut metrics = Metrics::open(&metrics_path, state.done)?;
        let mut progress = Progress::new(train.steps, train.batch * train.accumulate, self.quiet);
        let (started, first, before) = (Instant::now(), state.done, state.seconds);
        let mut saved = Instant::now();
        let device = parameters[0].tensor.device();

        std::thread::scope(|scope| {
            let (send, receive) = sync_channel::<Batch>(AHEAD);
            let passes = state.done * train.accumulate as u64..train.steps * train.accumulate as u64;
            // The maker of batches ends when nobody receives any more.
            scope.spawn(move || {
                passes.map(|number| batches.batch(number).to_device(device)).try_for_each(|batch| send.send(batch))
            });
            let crew = Crew::new(scope, learners, parameters);
            while state.done < train.steps {
                let batches = receive.iter().take(train.accumulate).collect();
                let mut row = self.step(&crew, &mut state, batches, &schedules)?;
                state.seconds = before + started.elapsed().as_secs_f64();
                row.seconds = state.seconds;
                metrics.push(&row)?;
                progress.step(state.done, row.loss, row.learning_rate);
                let stopped = stop.now(started, state.done - first);
                let due = saved.elapsed().as_secs_f64() >= train.checkpoint_minutes * 60.0;
                if stopped || due || state.done == train.steps {
                    state.write(&self.checkpoint(), self.config, parameters)?;
                    draw(&self.folder.join("curves.svg"), &Metrics::read(&metrics_path)?)?;
                    saved = Instant::now();
                }
                if stopped {
                    break;
                }
            }
            Ok::<_, Error>(())
        })?;
        let rows = Metrics::read(&metrics_path)?;
        let last = &rows[rows.len().saturating_sub(100)..];
        let loss = last.iter().map(|row| row.loss).sum::<f64>() / last.len().max(1) as f64;
        Ok(Summary { done: state.done, finished: state.done == train.steps, loss, seconds: state.seconds })
    }

    /// One step of the optimiser, over as many batches as are accumulated.
    pub(super) fn step(
        &self,
        crew: &Crew,
        state: &mut State,
        batches: Vec<Batch>,
        schedules: &[(Schedule, Merge)],
    ) -> Result<Row, Error> {
        let Config { seed, train, .. } = self.config;
        let share = 1.0 / train.accumulate as f64;
        let mut row = Row { step: state.done + 1, learning_rate: learning_rate(train, state.done), ..Row::default() };
        let passes = batches.into_iter().map(|batch| {
            let drawn = schedules.get(Stream::new(&[*seed, RATE, batch.number]).below(schedules.len()));
            row.compression = drawn.map_or(0.0, |(schedule, _)| schedule.saving);
            (batch, drawn.map(|(_, merge)| merge.clone()))
        });
        let mut gradient: Option<Tensor> = None;
        for pass in crew.learn(passes.collect(), share) {
            row.loss += pass.loss * share;
            for (name, part) in pass.parts {
                *row.parts.entry(name.to_owned()).or_default() += part * share;
            }
            let of_pass = state.flat.gather(&pass.gradients);
            gradient = Some(gradient.map_or_else(|| of_pass.shallow_clone(), |sum| sum + &of_pass));
        }
        if !row.loss.is_finite() {
            return Err(Error::Diverged { step: row.step, loss: row.loss });
        }
        if let Some(gradient) = gradient {
            row.gradient = state.optimizer.step(&state.flat, gradient, train, state.done);
        }
        crew.constrain();
        state.average.update(&state.flat, train.ema, state.done);
        state.done += 1;
        Ok(row)
    }

    /// A schedule for each compression rate.
    pub(super) fn schedules(&self) -> Result<Vec<(Schedule, Merge)>, Error> {
        let Some(merging) = &self.config.merging else { return Ok(Vec::new()) };
        let choice = Choice { rule: merging.rule, guided: merging.guide > 0.0 };
        let one = |&rate: &f64| {
            let schedule = plan(&self.config.vision, choice, merging.spread, rate)?;
            let merge = Merge::new(merging, schedule.merged.clone());
            Ok((schedule, merge))
        };
        merging.rates.iter().map(one).collect()
    }
}
