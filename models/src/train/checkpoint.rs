//! All that a run needs to go on: weights, averages, the optimiser's memory, the step and the configuration.

use std::path::Path;

use super::{AdamW, Average};
use crate::config::Config;
use crate::error::Error;
use crate::parameters::Parameter;
use crate::tensor_file;

/// Where a run stands.
#[derive(Debug)]
pub struct Checkpoint;

impl Checkpoint {
    /// Writes the file at once; `done` steps have been taken.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(
        path: &Path,
        config: &Config,
        done: u64,
        seconds: f64,
        parameters: &[Parameter],
        optimizer: &AdamW,
        average: &Average,
    ) -> Result<(), Error> {
        let mut tensors = Vec::new();
        for (i, parameter) in parameters.iter().enumerate() {
            let name = &parameter.name;
            tensors.push((format!("weights.{name}"), &parameter.tensor));
            tensors.push((format!("average.{name}"), &average.tensors[i]));
            tensors.push((format!("first.{name}"), &optimizer.first[i]));
            tensors.push((format!("second.{name}"), &optimizer.second[i]));
        }
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), *tensor)).collect();
        let config = toml::to_string(config).map_err(|error| Error::Config(error.to_string()))?;
        let words = [("config", config), ("step", done.to_string()), ("seconds", seconds.to_string())];
        tensor_file::write(path, &tensors, &words)
    }

    /// The configuration of a checkpoint's run.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Malformed`].
    pub fn config(path: &Path) -> Result<Config, Error> {
        let contents = tensor_file::read(path)?;
        toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(path, error))
    }

    /// Restores everything; the number of steps that were taken and the seconds they took. With `reschedule` the configuration may differ
    /// in the number of steps: the cosine then goes on from where it stands towards another end.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`], or [`Error::Config`] if the run had another configuration.
    pub fn resume(
        path: &Path,
        config: &Config,
        parameters: &[Parameter],
        optimizer: &mut AdamW,
        average: &mut Average,
        reschedule: bool,
    ) -> Result<(u64, f64), Error> {
        let mut contents = tensor_file::read(path)?;
        let mut old: Config =
            toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(path, error))?;
        if reschedule {
            old.train.steps = config.train.steps;
        }
        if old != *config {
            return Err(Error::Config(format!(
                "{} comes from a run with another configuration: resume with that one, or choose another --out",
                path.display()
            )));
        }
        tch::no_grad(|| {
            for (i, Parameter { name, tensor, .. }) in parameters.iter().enumerate() {
                tensor.shallow_clone().f_copy_(&contents.take(&format!("weights.{name}"))?)?;
                average.tensors[i].f_copy_(&contents.take(&format!("average.{name}"))?)?;
                optimizer.first[i].f_copy_(&contents.take(&format!("first.{name}"))?)?;
                optimizer.second[i].f_copy_(&contents.take(&format!("second.{name}"))?)?;
            }
            Ok::<_, Error>(())
        })?;
        let number = |word: &str| contents.word(word).map(|word| word.parse().unwrap_or(0.0));
        Ok((number("step")? as u64, number("seconds")?))
    }

    /// Puts a checkpoint's averaged weights into the parameters.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] if a tensor is missing.
    pub fn averaged(path: &Path, parameters: &[Parameter]) -> Result<(), Error> {
        let mut contents = tensor_file::read(path)?;
        tch::no_grad(|| {
            for Parameter { name, tensor, .. } in parameters {
                tensor.shallow_clone().f_copy_(&contents.take(&format!("average.{name}"))?)?;
            }
            Ok(())
        })
    }
}
