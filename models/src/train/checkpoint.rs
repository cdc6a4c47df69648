//! All that a run needs to go on: weights, averages, the optimiser's memory, the step and the configuration.

use std::path::Path;

use super::{Average, Optimizer};
use crate::config::{self, Config};
use crate::error::Error;
use crate::parameters::Parameter;
use crate::tensor_file;

/// Where a run stands, beside its weights.
#[derive(Debug)]
pub struct State {
    /// Steps taken.
    pub done: u64,
    /// Seconds they took.
    pub seconds: f64,
    /// The optimiser's memory.
    pub optimizer: Optimizer,
    /// The averaged weights.
    pub average: Average,
}

impl State {
    /// Before the first step.
    pub fn new(parameters: &[Parameter], kind: config::Optimizer) -> State {
        State { done: 0, seconds: 0.0, optimizer: Optimizer::new(parameters, kind), average: Average::new(parameters) }
    }

    /// Writes everything into one file, at once.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path, config: &Config, parameters: &[Parameter]) -> Result<(), Error> {
        let mut tensors = Vec::new();
        for (i, Parameter { name, tensor, .. }) in parameters.iter().enumerate() {
            tensors.push((format!("weights.{name}"), tensor));
            tensors.push((format!("average.{name}"), &self.average.tensors[i]));
            tensors.push((format!("first.{name}"), &self.optimizer.first[i]));
            tensors.push((format!("second.{name}"), &self.optimizer.second[i]));
        }
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), *tensor)).collect();
        let config = toml::to_string(config).map_err(|error| Error::Config(error.to_string()))?;
        let words = [("config", config), ("step", self.done.to_string()), ("seconds", self.seconds.to_string())];
        tensor_file::write(path, &tensors, &words)
    }

    /// Restores everything, the weights into `parameters`. With `reschedule` the configuration may differ in the number of steps: the
    /// learning rate then goes on towards another end.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`], or [`Error::Config`] if the run had another configuration.
    pub fn resume(path: &Path, config: &Config, parameters: &[Parameter], reschedule: bool) -> Result<State, Error> {
        let mut contents = tensor_file::read(path)?;
        let mut old: Config =
            toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(path, error))?;
        if reschedule {
            old.train.steps = config.train.steps;
        }
        if old != *config {
            return Err(Error::Config(format!(
                "{} comes from a run with another configuration: resume with that one, choose another --out, or start over with --force",
                path.display()
            )));
        }
        let mut state = State::new(parameters, config.train.optimizer);
        tch::no_grad(|| {
            for (i, Parameter { name, tensor, .. }) in parameters.iter().enumerate() {
                tensor.shallow_clone().f_copy_(&contents.take(&format!("weights.{name}"))?)?;
                state.average.tensors[i].f_copy_(&contents.take(&format!("average.{name}"))?)?;
                state.optimizer.first[i].f_copy_(&contents.take(&format!("first.{name}"))?)?;
                state.optimizer.second[i].f_copy_(&contents.take(&format!("second.{name}"))?)?;
            }
            Ok::<_, Error>(())
        })?;
        let wrong = |word: &str| Error::malformed(path, format!("metadata `{word}` is not a number"));
        state.done = contents.word("step")?.parse().map_err(|_| wrong("step"))?;
        state.seconds = contents.word("seconds")?.parse().map_err(|_| wrong("seconds"))?;
        Ok(state)
    }
}
