//! What `train` and `time` learn with.

use anyhow::{Result, bail};
use edgelip_models::config::{Config, Objective, TextTower};
use edgelip_models::data::{Dataset, Texts};
use edgelip_models::objective::{Contrastive, Learner, MultiLabel, TextSource};
use edgelip_models::parameters::{Parameter, Parameters};
use edgelip_models::text::{Bank, Encoder, OwnTower};
use edgelip_models::wordnet::Vocabulary;

use super::model_files::{LabelFiles, TextFiles, device};

/// Arguments of what learns.
#[derive(Debug, clap::Args)]
pub struct Learning {
    #[command(flatten)]
    text: TextFiles,
    #[command(flatten)]
    labels: LabelFiles,
    /// Passes of a step (train.accumulate) that run at once, in threads of their own
    #[arg(long, value_name = "PASSES", default_value_t = 1)]
    at_once: usize,
}

/// Learners that share their weights.
pub type Learners = Vec<Box<dyn Learner>>;

impl Learning {
    /// The synsets that a `catlip` configuration learns.
    pub fn vocabulary(&self) -> Result<Vocabulary> {
        self.labels.vocabulary()
    }

    /// What learns, as many times as passes run at once, and what it learns; a `catlip` configuration gets its number of labels.
    pub fn learners(
        &self,
        config: &mut Config,
        dataset: &Dataset,
        texts: &Texts,
    ) -> Result<(Learners, Vec<Parameter>)> {
        let targets = match config.objective {
            Objective::Catlip => {
                let (net, vocabulary) = self.labels.open()?;
                config.labels.count = vocabulary.labels.len() as i64;
                eprintln!("{} synsets", config.labels.count);
                Targets::Labels(vocabulary.targets(dataset, &net))
            }
            Objective::Clip | Objective::Mlip => targets(&self.text, config, texts)?,
        };
        let parameters = Parameters::new(config.seed, device());
        let mut learners = vec![targets.learner(&parameters, config)];
        let parameters = parameters.into_inner();
        for _ in 1..self.at_once.clamp(1, config.train.accumulate) {
            learners.push(targets.learner(&Parameters::sharing(&parameters), config));
        }
        Ok((learners, parameters))
    }
}

/// What images are held against.
enum Targets {
    /// Labels of each image.
    Labels(Vec<Vec<i64>>),
    /// Embeddings of all texts.
    Frozen(Bank),
    /// Token ids of all texts, for a tower that learns.
    Trained(Vec<Vec<i64>>),
}

impl Targets {
    /// A learner; a trained text tower's parameters come before the image tower's.
    fn learner(&self, parameters: &Parameters, config: &Config) -> Box<dyn Learner> {
        let texts = match self {
            Targets::Labels(labels) => return Box::new(MultiLabel::new(parameters, config, labels.clone())),
            Targets::Frozen(bank) => TextSource::Frozen(bank.share()),
            Targets::Trained(ids) => {
                let tower = OwnTower::new(parameters, &config.text, config.vision.embedding, config.train.precision);
                TextSource::Trained { tower, ids: ids.clone() }
            }
        };
        Box::new(Contrastive::new(parameters, config, texts))
    }
}

/// The texts as the configuration's text tower takes them.
fn targets(files: &TextFiles, config: &Config, texts: &Texts) -> Result<Targets> {
    let tokenizer = files.tokenizer(config.text.tokens)?;
    Ok(match config.text.tower {
        TextTower::Frozen => {
            let with_tokens = config.contrast.tokens > 0.0;
            let minilm = files.minilm()?;
            if minilm.width() != config.vision.embedding {
                bail!("the text tower gives {} values: set vision.embedding to that", minilm.width());
            }
            Targets::Frozen(Bank::embed(&texts.strings, &minilm, &tokenizer, with_tokens, files.cache.as_deref())?)
        }
        TextTower::Trained => {
            if tokenizer.vocabulary() as i64 > config.text.vocabulary {
                bail!("the tokenizer has {} ids: set text.vocabulary to that", tokenizer.vocabulary());
            }
            Targets::Trained(texts.strings.iter().map(|text| tokenizer.ids(text)).collect())
        }
    })
}
