//! Transfer Init: a run that starts from another model's weights (CatLIP, arXiv 2404.15653, section 4).

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use tch::{IndexOp, Kind, Tensor};

use crate::config::Config;
use crate::error::Error;
use crate::model::weight;
use crate::parameters::Parameter;
use crate::resolution;
use crate::tensor_file;
use crate::wordnet::Vocabulary;

/// The tensors that have a row for each label.
const CLASSIFIER: &str = "classifier.";

/// The labels of two classifiers, to tell which rows are of the same synset.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The model's that is started from.
    pub old: &'a Vocabulary,
    /// The new run's.
    pub new: &'a Vocabulary,
}

/// What a run started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Tensors that were taken whole.
    pub taken: usize,
    /// Rows of the classifier that were taken, out of how many.
    pub rows: Option<(usize, usize)>,
    /// Tensors that the model lacks or has in another shape: they start anew.
    pub anew: Vec<String>,
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors taken", self.taken)?;
        if let Some((taken, all)) = self.rows {
            write!(f, ", {taken} of {all} rows of the classifier")?;
        }
        match self.anew.as_slice() {
            [] => Ok(()),
            anew => write!(f, "; anew: {}", anew.join(", ")),
        }
    }
}

/// Copies the weights of a run's checkpoint (its averages) or of a published model into `parameters`, by name; position embedding and
/// filters are resampled if the image's side is another (see [`resolution`]). Of a classifier the rows whose synset both vocabularies have
/// are copied, the others start anew, as do a classifier of unknown labels and what the model lacks or has in another shape.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] if the file is no model of this trainer; [`Error::Config`] if nothing fits, or `rows.old` is not the
/// vocabulary of the model's classifier.
pub fn transfer(
    path: &Path,
    config: &Config,
    parameters: &[Parameter],
    rows: Option<Rows<'_>>,
) -> Result<Transfer, Error> {
    let mut contents = tensor_file::read(path)?;
    let old: Config = toml::from_str(contents.word("config")?).map_err(|error| Error::malformed(path, error))?;
    let mut report = Transfer::default();
    for Parameter { name, tensor, .. } in parameters {
        let Ok(value) = weight(&mut contents, name) else {
            report.anew.push(name.clone());
            continue;
        };
        let value = resolution::resample(name, value, &old.vision, &config.vision).to_kind(Kind::Float);
        if let (true, Some(rows)) = (name.starts_with(CLASSIFIER), rows) {
            if value.size()[0] != rows.old.labels.len() as i64 {
                return Err(Error::Config(format!(
                    "{} has a classifier of {} labels, the vocabulary given for it {}",
                    path.display(),
                    value.size()[0],
                    rows.old.labels.len()
                )));
            }
            report.rows = Some((copy_rows(tensor, &value, rows)?, rows.new.labels.len()));
        } else if value.size() == tensor.size() && !name.starts_with(CLASSIFIER) {
            tch::no_grad(|| tensor.shallow_clone().f_copy_(&value).map(drop))?;
            report.taken += 1;
        } else {
            report.anew.push(name.clone());
        }
    }
    if report.taken == 0 {
        return Err(Error::Config(format!("no tensor of {} fits this configuration's model", path.display())));
    }
    Ok(report)
}

/// Copies the rows of labels that both have; how many.
fn copy_rows(tensor: &Tensor, value: &Tensor, Rows { old, new }: Rows<'_>) -> Result<usize, Error> {
    let place: HashMap<u32, i64> = old.labels.iter().zip(0..).map(|(label, row)| (label.offset, row)).collect();
    let mut taken = 0;
    tch::no_grad(|| {
        for (label, row) in new.labels.iter().zip(0..) {
            if let Some(&from) = place.get(&label.offset) {
                tensor.i(row).f_copy_(&value.i(from))?;
                taken += 1;
            }
        }
        Ok::<_, Error>(taken)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Objective;
    use crate::objective::{Learner, MultiLabel};
    use crate::parameters::Parameters;
    use crate::train::State;
    use crate::wordnet::Label;
    use tch::Device;

    fn config(width: i64, image: i64) -> Config {
        let text = include_str!("../../configs/catlip.toml");
        let mut config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.objective, Objective::Catlip);
        config.vision.stem = vec![];
        config.vision.spatial_blocks = 1;
        (config.vision.width, config.vision.image) = (width, image);
        config
    }

    fn vocabulary(offsets: &[u32]) -> Vocabulary {
        let label = |&offset| Label { offset, name: format!("label {offset}"), count: 1 };
        Vocabulary { labels: offsets.iter().map(label).collect() }
    }

    fn parameters(config: &mut Config, labels: &Vocabulary, seed: u64) -> Vec<Parameter> {
        config.labels.count = labels.labels.len() as i64;
        let parameters = Parameters::new(seed, Device::Cpu);
        let _: Box<dyn Learner> = Box::new(MultiLabel::new(&parameters, config, vec![]));
        parameters.into_inner()
    }

    fn tensor<'a>(parameters: &'a [Parameter], name: &str) -> &'a Tensor {
        &parameters.iter().find(|parameter| parameter.name == name).unwrap().tensor
    }

    #[test]
    fn rows_of_the_same_synset_are_taken_and_the_rest_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let (old, new) = (vocabulary(&[30, 10, 20]), vocabulary(&[20, 40, 30]));
        let mut first = config(48, 64);
        let source = parameters(&mut first, &old, 1);
        State::new(&source, first.train.optimizer).write(&path, &first, &source).unwrap();

        let mut second = config(48, 32);
        let target = parameters(&mut second, &new, 2);
        let before = tensor(&target, "classifier.weight").i(1).copy();
        let report = transfer(&path, &second, &target, Some(Rows { old: &old, new: &new })).unwrap();
        assert_eq!((report.rows, report.anew.len()), (Some((2, 3)), 0), "{report}");
        let (from, to) = (tensor(&source, "classifier.weight"), tensor(&target, "classifier.weight"));
        assert!(to.i(0).equal(&from.i(2)) && to.i(2).equal(&from.i(0)) && to.i(1).equal(&before));
        let position = "vision_model.embeddings.position_embedding.weight";
        assert_eq!(tensor(&target, position).size(), [17, 48]);
        assert!(tensor(&target, position).i(0).equal(&tensor(&source, position).i(0)));

        let wrong = vocabulary(&[1, 2]);
        let error = transfer(&path, &second, &target, Some(Rows { old: &wrong, new: &new })).unwrap_err();
        assert!(error.to_string().contains("3 labels, the vocabulary given for it 2"), "{error}");
        let report = transfer(&path, &second, &target, None).unwrap();
        assert_eq!(report.anew, ["classifier.weight", "classifier.bias"], "nobody says which labels they are");
    }
}
