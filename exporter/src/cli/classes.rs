//! The rows of a checkpoint's classifier as a label bank: labels without a text tower.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use edgelip::label_set::LabelSet;
use edgelip::onnx::{OnnxModel, attach_classifier};
use edgelip_export::layout::Layout;
use edgelip_export::source::{Score, Source};
use edgelip_export::vocabulary::Vocabulary;
use edgelip_export::wordnet::WordNet;

use super::args::Args;
use super::warn;

/// Rows with names.
pub struct Classes {
    names: Vec<String>,
    /// `[names, embedding]`
    weights: Vec<f32>,
    biases: Vec<f32>,
    /// Whether rows are synsets, of which an image may show several.
    are_synsets: bool,
}

impl Classes {
    /// The rows that are asked for: those of `--labels`, or all; `None` without a classifier, or if nobody says what its rows are called.
    pub fn read(args: &Args, source: &Layout) -> Result<Option<Classes>> {
        let Some(count) = source.classes() else {
            for (name, given) in [("--vocabulary", args.vocabulary.is_some()), ("--wordnet", args.wordnet.is_some())] {
                ensure!(!given, "{name} is about the rows of a classifier, which {} lacks", args.checkpoint.display());
            }
            return Ok(None);
        };
        let unused = [
            ("--text-model", args.text_model.is_some()),
            ("--template", !args.template.is_empty()),
            ("--templates", args.templates.is_some()),
        ];
        if let Some((name, _)) = unused.into_iter().find(|&(_, given)| given) {
            bail!("{name} is about prompts; the labels of {} are rows of its classifier", args.checkpoint.display());
        }
        let net = args.wordnet.as_deref().map(WordNet::read).transpose()?;
        let own = if args.vocabulary.is_none() { source.class_names()? } else { None };
        let vocabulary = if let Some(path) = &args.vocabulary {
            Vocabulary::read(path, count, net.as_ref())?
        } else if let Some(names) = own {
            ensure!(net.is_none(), "--wordnet names synsets: give --vocabulary FILE too");
            Vocabulary::of_names(&args.checkpoint.display().to_string(), names)?
        } else {
            let hint = "give --vocabulary FILE, such as datacomp_1_2B_vocab.pkl with --wordnet FOLDER, or --vocabulary imagenet";
            ensure!(args.labels.is_none(), "nothing says what the {count} rows of the classifier are called: {hint}");
            ensure!(net.is_none(), "--wordnet names synsets: give --vocabulary FILE too");
            warn(format!("no labels: nothing says what the {count} rows of the classifier are called; {hint}"));
            return Ok(None);
        };
        let (rows, names): (Vec<usize>, _) = match &args.labels {
            None => ((0..count).collect(), vocabulary.names().to_vec()),
            Some(labels) => chosen(labels, &vocabulary, net.as_ref())?,
        };
        let embedding = source.model().embedding;
        let (weight, bias) = (source.tensor("classifier.weight")?.data, source.tensor("classifier.bias")?.data);
        Ok(Some(Classes {
            names,
            weights: rows.iter().flat_map(|row| &weight[row * embedding..][..embedding]).copied().collect(),
            biases: rows.iter().map(|&row| bias[row]).collect(),
            are_synsets: vocabulary.are_synsets(),
        }))
    }

    /// How their logits become scores, if that is known: CatLIP's are learned one by one.
    pub fn score(&self) -> Option<Score> {
        self.are_synsets.then_some(Score::Sigmoid)
    }

    /// How many labels they make.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Gives a model its label bank.
    pub fn attach(&self, model: &mut OnnxModel<'_>, embedding: usize) -> Result<()> {
        Ok(attach_classifier(model, &self.names, &self.weights, embedding, &self.biases)?)
    }
}

/// Rows and names of the labels in a file.
fn chosen(labels: &Path, vocabulary: &Vocabulary, net: Option<&WordNet>) -> Result<(Vec<usize>, Vec<String>)> {
    let set = LabelSet::resolve(labels)?;
    let origin = labels.display().to_string();
    if let Some(label) = set.labels().iter().find(|label| !label.prompts.is_empty()) {
        bail!("{origin}: label `{}` has prompts, but labels are rows of the classifier here", label.name);
    }
    let names = set.names();
    Ok((vocabulary.rows(&origin, &names, net)?, names))
}
