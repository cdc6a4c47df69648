//! A trained image tower, read back from a run's checkpoint or a published file.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::config::{Config, Objective, Precision, TextTower};
use crate::error::Error;
use crate::objective::{Classifier, Contrastive};
use crate::parameters::Parameters;
use crate::publish::take;
use crate::resolution;
use crate::tensor_file::{self, Contents};
use crate::text::OwnTower;
use crate::vision::{ImageTower, Outputs};

/// Takes a trained tensor by its name: the average of a run's checkpoint, or what a published model has.
///
/// # Errors
/// [`Error::Malformed`] if it is missing.
pub fn weight(contents: &mut Contents, name: &str) -> Result<Tensor, Error> {
    // Only a run has steps to go on from.
    match contents.word("step") {
        Ok(_) => contents.take(&format!("average.{name}")),
        Err(_) => take(contents, name),
    }
}

/// The logarithm of the logit scale: what `calibrate` or `publish` wrote, or else the average of the run; none for a model without.
pub fn logit_scale(contents: &mut Contents) -> Option<f64> {
    match contents.word("logit_scale") {
        Ok(scale) => scale.parse().ok(),
        Err(_) => contents.take("average.logit_scale").ok().map(|scale| scale.double_value(&[])),
    }
}

/// A model to evaluate.
#[derive(Debug)]
pub struct Trained {
    /// How it was trained.
    pub config: Config,
    /// The image tower with averaged weights.
    pub image: ImageTower,
    /// The text tower that was trained with it, if one was.
    pub text: Option<OwnTower>,
    /// The classifier of a `catlip` model.
    pub classifier: Option<Classifier>,
    /// The logit scale; 1 for a model that has none.
    pub scale: f64,
}

impl Trained {
    /// Reads a checkpoint (its averaged weights) or a published model, to compute in the precision it was trained in or another.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Malformed`] if a tensor or the configuration is missing.
    pub fn open(path: &Path, device: Device, precision: Option<Precision>) -> Result<Trained, Error> {
        Trained::open_at(path, device, precision, None)
    }

    /// The same for images of another side, if one is given: see [`resolution`].
    ///
    /// # Errors
    /// Those of [`Trained::open`], and [`Error::Config`] if the side is not a multiple of the patch.
    pub fn open_at(
        path: &Path,
        device: Device,
        precision: Option<Precision>,
        image: Option<i64>,
    ) -> Result<Trained, Error> {
        let mut contents = tensor_file::read(path)?;
        let mut config: Config =
            toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(path, error))?;
        config.train.precision = precision.unwrap_or(config.train.precision);
        let trained = config.vision.clone();
        config.vision = resolution::at(&trained, image.unwrap_or(trained.image))?;
        let outputs = match config.objective {
            Objective::Catlip => Outputs::default(),
            Objective::Clip | Objective::Mlip => Contrastive::outputs(&config),
        };
        let parameters = Parameters::new(config.seed, device);
        let image = ImageTower::new(&parameters, &config.vision, outputs, config.train.precision);
        let classifier = (config.objective == Objective::Catlip).then(|| Classifier::new(&parameters, &config));
        let own = config.objective != Objective::Catlip && config.text.tower == TextTower::Trained;
        let text =
            own.then(|| OwnTower::new(&parameters, &config.text, config.vision.embedding, config.train.precision));
        tch::no_grad(|| {
            for parameter in parameters.into_inner() {
                let value = weight(&mut contents, &parameter.name)?;
                let value = resolution::resample(&parameter.name, value, &trained, &config.vision);
                parameter.tensor.shallow_clone().f_copy_(&value.to_kind(Kind::Float))?;
            }
            Ok::<_, Error>(())
        })?;
        let scale = logit_scale(&mut contents).map_or(1.0, f64::exp);
        Ok(Trained { config, image, text, classifier, scale })
    }
}
