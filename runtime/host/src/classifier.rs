//! From an image to scored labels.

use std::path::Path;

use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Labels, Score, classify};

use crate::Error;
use crate::engine::{Output, check_finite, native};
use crate::image_tower::{ImageTower, Options};
use crate::label_bank::LabelBank;

/// CLIP's logit scale, for foreign embedding models whose file does not tell theirs.
const DEFAULT_SCALE: f32 = 100.0;

/// An image tower and labels to choose from.
///
/// All memory is allocated by [`Classifier::open`] and [`Classifier::reserve`]; [`Classifier::load`] and [`Classifier::run`] on the
/// native engine allocate nothing.
pub struct Classifier<'a> {
    tower: ImageTower<'a>,
    bank: Bank<'a>,
    scale: f32,
    bias: f32,
    score: Score,
    logits: Vec<f32>,
    scores: Vec<f32>,
}

/// Where the labels come from.
enum Bank<'a> {
    /// The model file.
    File(Labels<'a>),
    /// A text tower, just now.
    Made(LabelBank),
    /// The graph has its own classes; names for them, if known.
    Graph(Vec<String>),
    /// None yet.
    Missing,
}

impl<'a> Bank<'a> {
    fn new(labels: LabelSource, tower: &ImageTower<'a>) -> Result<Self, Error> {
        let unusable = |reason: &str| Err(Error::Unusable(reason.into()));
        match (labels, tower.vision()) {
            (LabelSource::Model, Some(vision)) => match vision.labels() {
                Some(labels) => Ok(Bank::File(labels)),
                None => {
                    unusable("the model has no labels; give --labels and --text, or make them with `edgelip labels`")
                }
            },
            (LabelSource::Bank(bank), vision) => match vision.map(|vision| vision.shape().embedding) {
                Some(width) if width != bank.embedding() => Err(Error::Unusable(format!(
                    "the image tower's embeddings have {width} values, the text tower's {}: they do not belong together",
                    bank.embedding()
                ))),
                _ => Ok(Bank::Made(bank)),
            },
            (LabelSource::Names(_), Some(_)) => unusable("labels need a text tower: give it with --text"),
            (LabelSource::Names(names), None) => Ok(Bank::Graph(names)),
            (LabelSource::Model, None) => Ok(Bank::Graph(Vec::new())),
            (LabelSource::None, _) => Ok(Bank::Missing),
        }
    }
}

/// Where a classifier's labels come from.
#[derive(Debug, Clone, Default)]
pub enum LabelSource {
    /// The model file.
    #[default]
    Model,
    /// A bank made by a text tower.
    Bank(LabelBank),
    /// Names for the logits of a foreign classifier.
    Names(Vec<String>),
    /// None yet: [`Classifier::set_labels`] gives them.
    None,
}

impl<'a> Classifier<'a> {
    /// Opens a model file's bytes; see [`ImageTower::open`].
    ///
    /// # Errors
    /// As [`ImageTower::open`]; [`Error::Unusable`] if there are no labels or they do not fit the model.
    pub fn open(bytes: &'a [u8], path: &Path, options: &Options, labels: LabelSource) -> Result<Self, Error> {
        let tower = ImageTower::open(bytes, path, options)?;
        let (scale, bias, score) = match tower.vision() {
            Some(vision) => (vision.logit_scale(), vision.logit_bias(), vision.score()),
            None => (DEFAULT_SCALE, 0.0, Score::Softmax),
        };
        let bank = Bank::Missing;
        let mut classifier = Classifier { tower, bank, scale, bias, score, logits: Vec::new(), scores: Vec::new() };
        classifier.set_labels(labels)?;
        Ok(classifier)
    }

    /// Chooses from other labels from now on. After an error the earlier ones stay.
    ///
    /// # Errors
    /// [`Error::Unusable`] if there are no labels or they do not fit the model.
    pub fn set_labels(&mut self, labels: LabelSource) -> Result<(), Error> {
        self.bank = Bank::new(labels, &self.tower)?;
        let count = match &self.bank {
            Bank::File(labels) => labels.len(),
            Bank::Made(bank) => bank.names().len(),
            Bank::Graph(_) | Bank::Missing => 0,
        };
        self.logits.resize(count, 0.0);
        self.scores.resize(count, 0.0);
        Ok(())
    }

    /// Makes room for images up to this size; see [`ImageTower::reserve`].
    ///
    /// # Errors
    /// As [`ImageTower::reserve`].
    pub fn reserve(&mut self, height: usize, width: usize) -> Result<(), Error> {
        self.tower.reserve(height, width)
    }

    /// Preprocesses an image, which may be dropped then: it is often the largest thing in memory.
    ///
    /// # Errors
    /// As [`ImageTower::load`].
    pub fn load(&mut self, image: Rgb<'_>) -> Result<(), Error> {
        self.tower.load(image)
    }

    /// Runs the tower on the loaded image and scores the labels.
    ///
    /// # Errors
    /// [`Error::Runtime`] or [`Error::Tract`]; [`Error::Unusable`] if a foreign graph gives something that the labels do not fit.
    pub fn run(&mut self) -> Result<Scores<'_>, Error> {
        let Classifier { tower, bank, scale, bias, score, logits, scores } = self;
        let output = tower.run()?;
        match &*bank {
            Bank::File(labels) => product(output, labels, *scale, *bias, logits)?,
            Bank::Made(made) => product(output, &made.labels()?, *scale, *bias, logits)?,
            Bank::Graph(names) => from_graph(output, names, logits, scores)?,
            Bank::Missing => return Err(Error::Unusable("there are no labels to choose from".into())),
        }
        check_finite(logits)?;
        scores.copy_from_slice(logits);
        match score {
            Score::Softmax => classify::softmax(scores),
            Score::Sigmoid => classify::sigmoid(scores),
        }
        Ok(Scores { bank, logits, scores })
    }

    /// [`Classifier::load`] and [`Classifier::run`].
    ///
    /// # Errors
    /// As both.
    pub fn classify(&mut self, image: Rgb<'_>) -> Result<Scores<'_>, Error> {
        self.load(image)?;
        self.run()
    }

    /// The image's embedding `[E]`, l2-normalised.
    ///
    /// # Errors
    /// As [`Classifier::load`] and [`Classifier::run`]; [`Error::Unusable`] if a foreign graph gives none.
    pub fn embed(&mut self, image: Rgb<'_>) -> Result<&[f32], Error> {
        self.load(image)?;
        let embedding = self.tower.run()?.embedding;
        embedding.ok_or_else(|| Error::Unusable("the graph gives logits, no embedding".into()))
    }

    /// The labels' names, in the order of the scores; a foreign classifier's only as far as they were given.
    pub fn names(&self) -> Vec<&str> {
        match &self.bank {
            Bank::File(labels) => labels.names().collect(),
            Bank::Made(bank) => bank.names().iter().map(String::as_str).collect(),
            Bank::Graph(names) => names.iter().map(String::as_str).collect(),
            Bank::Missing => Vec::new(),
        }
    }

    /// The image tower.
    pub fn tower(&self) -> &ImageTower<'a> {
        &self.tower
    }

    /// Lets later runs remember which patches end in which token; see [`ImageTower::tokens`].
    pub fn trace(&mut self) {
        self.tower.trace();
    }
}

fn product(output: Output<'_>, labels: &Labels<'_>, scale: f32, bias: f32, logits: &mut [f32]) -> Result<(), Error> {
    let embedding = output.embedding.ok_or_else(|| {
        Error::Unusable("the graph gives logits, no embedding: name its classes with --labels, without --text".into())
    })?;
    let width = labels.rows().next().map_or(0, <[f32]>::len);
    if embedding.len() != width {
        return Err(Error::Unusable(format!(
            "the graph's embedding has {} values, the labels' {width}: they do not belong together",
            embedding.len()
        )));
    }
    Ok(classify::logits(&native::kernels(), embedding, labels, scale, bias, logits)?)
}

fn from_graph(output: Output<'_>, names: &[String], logits: &mut Vec<f32>, scores: &mut Vec<f32>) -> Result<(), Error> {
    let given = output.logits.ok_or_else(|| {
        Error::Unusable(
            "the graph gives an embedding: labels for it need a text tower, give --labels and --text".into(),
        )
    })?;
    if !names.is_empty() && names.len() != given.len() {
        return Err(Error::Unusable(format!("{} labels for a graph with {} classes", names.len(), given.len())));
    }
    logits.clear();
    logits.extend_from_slice(given);
    scores.resize(given.len(), 0.0);
    Ok(())
}

/// The labels' scores for one image, borrowed from the classifier until the next one.
pub struct Scores<'s> {
    bank: &'s Bank<'s>,
    /// `[labels]`, before softmax or sigmoid.
    pub logits: &'s [f32],
    /// `[labels]`, between 0 and 1.
    pub scores: &'s [f32],
}

/// One label's result.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Scored {
    /// The label.
    pub label: String,
    /// Between 0 and 1.
    pub score: f32,
    /// Before softmax or sigmoid.
    pub logit: f32,
}

impl Scores<'_> {
    /// The best `count` labels, best first; of equal ones the earlier.
    pub fn top(&self, count: usize) -> Vec<Scored> {
        let scored =
            |index: usize| Scored { label: self.name(index), score: self.scores[index], logit: self.logits[index] };
        self.order(count).into_iter().map(scored).collect()
    }

    /// The same labels' indices.
    pub fn order(&self, count: usize) -> Vec<usize> {
        let mut order = vec![0; count.min(self.scores.len())];
        let found = classify::top_k(self.scores, &mut order);
        order.truncate(found);
        order
    }

    fn name(&self, index: usize) -> String {
        let name = match self.bank {
            Bank::File(labels) => labels.name(index).map(str::to_string),
            Bank::Made(bank) => bank.names().get(index).cloned(),
            Bank::Graph(names) => names.get(index).cloned(),
            Bank::Missing => None,
        };
        name.unwrap_or_else(|| format!("class {index}"))
    }
}
