//! A trained image tower, read back from a run's checkpoint or a published file.

use std::path::Path;

use tch::{Device, Kind};

use crate::config::{Config, Objective};
use crate::error::Error;
use crate::objective::Contrastive;
use crate::parameters::Parameters;
use crate::tensor_file;
use crate::vision::{ImageTower, Outputs};

/// A model to evaluate.
#[derive(Debug)]
pub struct Trained {
    /// How it was trained.
    pub config: Config,
    /// The image tower with averaged weights.
    pub image: ImageTower,
    /// The logit scale; 1 for a model that has none.
    pub scale: f64,
}

impl Trained {
    /// Reads a checkpoint (its averaged weights) or a published model.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] if a tensor or the configuration is missing.
    pub fn open(path: &Path, device: Device) -> Result<Trained, Error> {
        let mut contents = tensor_file::read(path)?;
        let config: Config = toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(path, error))?;
        let outputs = match config.objective {
            Objective::Catlip => Outputs::default(),
            Objective::Clip | Objective::Mlip => Contrastive::outputs(&config),
        };
        let parameters = Parameters::new(config.seed, device);
        let image = ImageTower::new(&parameters, &config.vision, outputs, config.train.precision);
        let prefix = if contents.word("step").is_ok() { "average." } else { "" };
        tch::no_grad(|| {
            for parameter in parameters.into_inner() {
                let value = contents.take(&format!("{prefix}{}", parameter.name))?;
                parameter.tensor.shallow_clone().f_copy_(&value.to_kind(Kind::Float))?;
            }
            Ok::<_, Error>(())
        })?;
        let scale = contents.take(&format!("{prefix}logit_scale")).map_or(1.0, |scale| scale.to_kind(Kind::Double).exp().double_value(&[]));
        Ok(Trained { config, image, scale })
    }
}
