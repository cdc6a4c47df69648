//! All that a run needs to go on: weights, averages, the optimiser's memory, the step and the configuration.

use std::path::Path;

use super::{Average, Flat, Optimizer};
use crate::config::{self, Config};
use crate::error::Error;
use crate::parameters::Parameter;
use crate::tensor_file;
use tch::Tensor;

/// Where a run stands.
#[derive(Debug)]
pub struct State {
    /// Steps taken.
    pub done: u64,
    /// Seconds they took.
    pub seconds: f64,
    /// The weights.
    pub flat: Flat,
    /// The optimiser's memory.
    pub optimizer: Optimizer,
    /// The averaged weights.
    pub average: Average,
}

impl State {
    /// Before the first step; moves the parameters into one buffer.
    pub fn new(parameters: &[Parameter], kind: config::Optimizer) -> State {
        let flat = Flat::new(parameters, kind);
        State { done: 0, seconds: 0.0, optimizer: Optimizer::new(&flat), average: Average::new(&flat), flat }
    }

    /// What is kept of a parameter, by the name of the kind.
    fn kept(&self, parameter: usize) -> [(&'static str, Tensor); 4] {
        [
            ("weights", &self.flat.values),
            ("average", &self.average.values),
            ("first", &self.optimizer.first),
            ("second", &self.optimizer.second),
        ]
        .map(|(kind, buffer)| (kind, self.flat.part(buffer, parameter)))
    }

    /// Writes everything into one file, at once.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path, config: &Config, parameters: &[Parameter]) -> Result<(), Error> {
        let mut tensors = Vec::new();
        for (i, Parameter { name, .. }) in parameters.iter().enumerate() {
            tensors.extend(self.kept(i).map(|(kind, tensor)| (format!("{kind}.{name}"), tensor)));
        }
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
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
            for (i, Parameter { name, .. }) in parameters.iter().enumerate() {
                for (kind, mut tensor) in state.kept(i) {
                    tensor.f_copy_(&contents.take(&format!("{kind}.{name}"))?)?;
                }
            }
            Ok::<_, Error>(())
        })?;
        let wrong = |word: &str| Error::malformed(path, format!("metadata `{word}` is not a number"));
        state.done = contents.word("step")?.parse().map_err(|_| wrong("step"))?;
        state.seconds = contents.word("seconds")?.parse().map_err(|_| wrong("seconds"))?;
        Ok(state)
    }
}
