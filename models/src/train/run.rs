//! The training loop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use super::{AdamW, Average, Checkpoint, Metrics, Progress, Row, draw, learning_rate};
use crate::config::Config;
use crate::data::{Batch, Batches};
use crate::error::Error;
use crate::merging::{Schedule, plan};
use crate::objective::Learner;
use crate::parameters::Parameter;
use crate::random::Stream;
use crate::vision::Merge;

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

/// Where a session ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Steps taken, over all sessions.
    pub done: u64,
    /// Whether these are all.
    pub finished: bool,
    /// Mean loss of the last hundred steps of this session.
    pub loss: f64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
}

impl Run<'_> {
    /// The file that a run is resumed from.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// Trains from the last checkpoint, if there is one, to the last step or until told to stop.
    ///
    /// # Errors
    /// [`Error::Diverged`]; [`Error::Io`] and [`Error::Malformed`] of the folder's files; [`Error::Config`] if the checkpoint belongs to
    /// another configuration.
    pub fn train(
        &self,
        learner: &dyn Learner,
        parameters: &[Parameter],
        batches: &Batches<'_>,
        stop: Stop<'_>,
    ) -> Result<Summary, Error> {
        let train = &self.config.train;
        let device = parameters[0].tensor.device();
        let schedules = self.schedules()?;
        let (mut optimizer, mut average) = (AdamW::new(parameters), Average::new(parameters));
        let (mut done, before) = if self.checkpoint().exists() {
            Checkpoint::resume(
                &self.checkpoint(),
                self.config,
                parameters,
                &mut optimizer,
                &mut average,
                self.reschedule,
            )?
        } else {
            (0, 0.0)
        };
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let metrics_path = self.folder.join("metrics.jsonl");
        let mut metrics = Metrics::open(&metrics_path, done)?;
        let mut progress = Progress::new(train.steps, train.batch * train.accumulate, self.quiet);
        let (started, first) = (Instant::now(), done);
        let seconds = || before + started.elapsed().as_secs_f64();
        let mut saved = Instant::now();
        let mut recent = Vec::new();

        std::thread::scope(|scope| {
            let (send, receive) = sync_channel::<Batch>(AHEAD);
            let passes = done * train.accumulate as u64..train.steps * train.accumulate as u64;
            // The maker of batches ends when nobody receives any more.
            scope.spawn(move || passes.map(|number| batches.batch(number)).try_for_each(|batch| send.send(batch)));
            while done < train.steps {
                let mut row = Row {
                    step: done + 1,
                    loss: 0.0,
                    gradient: 0.0,
                    learning_rate: learning_rate(train, done),
                    compression: 0.0,
                    seconds: 0.0,
                    parts: Default::default(),
                };
                for pass in 0..train.accumulate {
                    let Ok(mut batch) = receive.recv() else { break };
                    batch.images = batch.images.to_device(device);
                    let number = done * train.accumulate as u64 + pass as u64;
                    let drawn = (!schedules.is_empty())
                        .then(|| &schedules[Stream::new(&[self.config.seed, RATE, number]).below(schedules.len())]);
                    let outcome = learner.outcome(&batch, drawn.map(|(_, merge)| merge));
                    row.compression = drawn.map_or(0.0, |(schedule, _)| schedule.saving);
                    let share = 1.0 / train.accumulate as f64;
                    (&outcome.loss * share).backward();
                    row.loss += outcome.loss.double_value(&[]) * share;
                    for (name, part) in outcome.parts {
                        *row.parts.entry(name.to_owned()).or_default() += part.double_value(&[]) * share;
                    }
                }
                if !row.loss.is_finite() {
                    return Err(Error::Diverged { step: done + 1, loss: row.loss });
                }
                row.gradient = optimizer.step(parameters, train, done);
                learner.constrain();
                average.update(parameters, train.ema, done);
                done += 1;
                row.seconds = seconds();
                metrics.push(&row)?;
                progress.step(done, row.loss, row.learning_rate);
                recent.push(row.loss);
                let stopped = stop.flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
                    || stop.seconds.is_some_and(|most| started.elapsed().as_secs_f64() >= most)
                    || stop.steps.is_some_and(|most| done - first >= most);
                if stopped || done == train.steps || saved.elapsed().as_secs_f64() >= train.checkpoint_minutes * 60.0 {
                    Checkpoint::write(
                        &self.checkpoint(),
                        self.config,
                        done,
                        seconds(),
                        parameters,
                        &optimizer,
                        &average,
                    )?;
                    draw(&self.folder.join("curves.svg"), &Metrics::read(&metrics_path)?)?;
                    saved = Instant::now();
                }
                if stopped {
                    break;
                }
            }
            drop(receive);
            Ok(())
        })?;
        let last = &recent[recent.len().saturating_sub(100)..];
        let loss = last.iter().sum::<f64>() / last.len().max(1) as f64;
        Ok(Summary { done, finished: done == train.steps, loss, seconds: seconds() })
    }

    /// A schedule for each compression rate.
    fn schedules(&self) -> Result<Vec<(Schedule, Merge)>, Error> {
        let Some(merging) = &self.config.merging else { return Ok(Vec::new()) };
        let one = |&rate: &f64| {
            let schedule = plan(&self.config.vision, merging.rule, merging.spread, rate)?;
            let merge = Merge::new(merging, schedule.merged.clone());
            Ok((schedule, merge))
        };
        merging.rates.iter().map(one).collect()
    }
}
