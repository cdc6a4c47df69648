//! Zero-shot classification: the label whose text is nearest (Radford et al., arXiv 2103.00020).

use tch::{Kind, Tensor};

use crate::data::{Group, Texts};
use crate::text::Bank;
use crate::vision::unit;

/// One embedding for each class: the mean over its names and templates.
#[derive(Debug)]
pub struct LabelBank {
    /// Unit vectors `[classes, E]`.
    pub embeddings: Tensor,
    /// The class of each image, −1 for images that have none.
    pub labels: Vec<i64>,
}

impl LabelBank {
    /// Averages the prompts of each class. Only the first `names` of a class's names are used.
    pub fn new(texts: &Texts, bank: &Bank, names: usize) -> Option<LabelBank> {
        let rows: Vec<Tensor> = texts
            .classes
            .iter()
            .map(|&group| match &texts.groups[group as usize] {
                Group::Class { texts, .. } => {
                    let prompts: Vec<usize> = texts.iter().take(names).flatten().copied().collect();
                    unit(&bank.pooled(&prompts).mean_dim([0].as_slice(), false, Kind::Float))
                }
                Group::Sentences(_) => unreachable!("only classes are listed as classes"),
            })
            .collect();
        (!rows.is_empty()).then(|| LabelBank { embeddings: Tensor::stack(&rows, 0), labels: texts.labels() })
    }

    /// Of the images that have a class, with unit embeddings `[images, E]` of all: cosines with every class `[images, classes]`, and the
    /// right class of each.
    pub fn cosines(&self, images: &Tensor) -> (Tensor, Vec<i64>) {
        let (rows, labels): (Vec<i64>, Vec<i64>) =
            (0..).zip(self.labels.iter().copied()).filter(|&(_, label)| label >= 0).unzip();
        let images = images.index_select(0, &Tensor::from_slice(&rows));
        (images.matmul(&self.embeddings.to_device(images.device()).transpose(0, 1)), labels)
    }
}

/// The share of rows of `scores [images, classes]` whose label is among the `k` highest.
pub fn accuracy(scores: &Tensor, labels: &[i64], k: i64) -> f64 {
    among(scores, labels, k).to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}

/// What a model called each image, and what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The class of the highest score.
    pub given: Vec<i64>,
    /// The right class.
    pub right: Vec<i64>,
}

impl Answers {
    /// From `scores [images, classes]` and the class of each image.
    pub fn new(scores: &Tensor, right: Vec<i64>) -> Answers {
        Answers { given: Vec::try_from(scores.argmax(1, false)).unwrap_or_default(), right }
    }

    /// Whether each image was given its class.
    pub fn hits(&self) -> Vec<bool> {
        self.same(&self.right)
    }

    /// Whether each image was given the same class as another model gave it, right or wrong.
    pub fn agrees(&self, other: &Answers) -> Vec<bool> {
        self.same(&other.given)
    }

    fn same(&self, classes: &[i64]) -> Vec<bool> {
        self.given.iter().zip(classes).map(|(a, b)| a == b).collect()
    }
}

fn among(scores: &Tensor, labels: &[i64], k: i64) -> Tensor {
    let wanted = Tensor::from_slice(labels).unsqueeze(1);
    let (_, best) = scores.topk(k.min(scores.size()[1]), 1, true, true);
    best.eq_tensor(&wanted).any_dim(1, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_one_and_top_two_by_hand() {
        let scores = Tensor::from_slice(&[3f32, 2.0, 1.0, 0.0, 5.0, 4.0, 1.0, 2.0, 9.0]).view([3, 3]);
        assert!((accuracy(&scores, &[0, 2, 0], 1) - 1.0 / 3.0).abs() < 1e-12);
        assert!((accuracy(&scores, &[0, 2, 0], 2) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(accuracy(&scores, &[0, 2, 0], 5), 1.0);
        let answers = Answers::new(&scores, vec![0, 2, 0]);
        assert_eq!((answers.given.as_slice(), answers.hits()), ([0, 1, 2].as_slice(), vec![true, false, false]));
        assert_eq!(answers.agrees(&Answers::new(&scores, vec![])), [true; 3]);
    }
}
