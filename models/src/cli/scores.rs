//! The scores of one row of the table.

use anyhow::{Result, bail};
use edgelip_models::data::{Dataset, Group, Texts};
use edgelip_models::evaluate::{
    Answers, LabelBank, accuracy, expected_error, linear_probe, mean_average_precision, nearest_neighbours, recall,
};
use edgelip_models::text::Bank;
use edgelip_models::wordnet::{Vocabulary, WordNet};
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

/// Zero-shot top-1 and top-5 and the calibration of the images that have a class; what each of them was called.
pub fn classification(row: &mut Map<String, Value>, images: &Tensor, bank: &LabelBank, scale: f64) -> Answers {
    let (cosines, labels) = bank.cosines(images);
    let scores = cosines * scale;
    row.insert("top1".into(), json!(accuracy(&scores, &labels, 1)));
    row.insert("top5".into(), json!(accuracy(&scores, &labels, 5)));
    row.insert("calibration_error".into(), json!(expected_error(&scores, &labels)));
    Answers::new(&scores, labels)
}

/// Recall between the images that have sentences and these.
pub fn sentences(row: &mut Map<String, Value>, images: &Tensor, texts: &Texts, bank: &Bank) {
    let (mut with, mut sentences, mut owner) = (Vec::new(), Vec::new(), Vec::new());
    for (image, &group) in texts.of_image.iter().enumerate() {
        if let Group::Sentences(of_image) = &texts.groups[group as usize] {
            owner.extend(of_image.iter().map(|_| with.len() as i64));
            sentences.extend(of_image);
            with.push(image as i64);
        }
    }
    if with.is_empty() {
        return;
    }
    let images = images.index_select(0, &Tensor::from_slice(&with));
    let found = recall(&images, &bank.pooled(&sentences).to_device(images.device()), &owner);
    for (i, k) in [1, 5, 10].iter().enumerate() {
        row.insert(format!("text_at_{k}"), json!(found.image_to_text[i]));
        row.insert(format!("image_at_{k}"), json!(found.text_to_image[i]));
    }
}

/// Linear probe and nearest neighbours, learned from other images of the same classes.
pub fn probes(
    row: &mut Map<String, Value>,
    train: &Tensor,
    probe: &Dataset,
    test: &Tensor,
    texts: &Texts,
) -> Result<()> {
    let class = |id: &str| {
        texts
            .classes
            .iter()
            .position(|&group| matches!(&texts.groups[group as usize], Group::Class { id: of, .. } if of == id))
    };
    let known: Vec<(i64, i64)> = (0..probe.items.len())
        .filter_map(|i| Some((i as i64, class(probe.items[i].class.as_deref()?)? as i64)))
        .collect();
    if known.is_empty() {
        bail!("--probe and --data have no class in common");
    }
    let (rows, train_labels): (Vec<i64>, Vec<i64>) = known.into_iter().unzip();
    let train = train.index_select(0, &Tensor::from_slice(&rows));
    let (tested, labels): (Vec<i64>, Vec<i64>) = (0..).zip(texts.labels()).filter(|&(_, label)| label >= 0).unzip();
    let test = test.index_select(0, &Tensor::from_slice(&tested));
    let classes = texts.classes.len() as i64;
    let linear = linear_probe(&train, &train_labels, &test, classes, 1e-5);
    row.insert("linear_probe".into(), json!(accuracy(&linear, &labels, 1)));
    let nearest = nearest_neighbours(&train.to_kind(Kind::Float), &train_labels, &test, classes, 20);
    row.insert("nearest_neighbours".into(), json!(accuracy(&nearest, &labels, 1)));
    Ok(())
}

/// A `catlip` model's scores: zero-shot among the data's classes by the classifier's rows of their WordNet ids, and the mean average
/// precision of all labels. What each image of such a class was called.
pub fn labels(
    row: &mut Map<String, Value>,
    logits: &Tensor,
    dataset: &Dataset,
    net: &WordNet,
    vocabulary: &Vocabulary,
) -> Answers {
    let mut answers = Answers::default();
    let mut classes: Vec<usize> =
        dataset.items.iter().filter_map(|item| vocabulary.row(item.class.as_deref()?)).collect();
    classes.sort_unstable();
    classes.dedup();
    let known: Vec<(i64, i64)> = (0..)
        .zip(&dataset.items)
        .filter_map(|(i, item)| Some((i, classes.binary_search(&vocabulary.row(item.class.as_deref()?)?).ok()? as i64)))
        .collect();
    if !known.is_empty() {
        let (images, labels): (Vec<i64>, Vec<i64>) = known.into_iter().unzip();
        let columns: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
        let scores =
            logits.index_select(0, &Tensor::from_slice(&images)).index_select(1, &Tensor::from_slice(&columns));
        row.insert("classes".into(), json!(classes.len()));
        row.insert("top1".into(), json!(accuracy(&scores, &labels, 1)));
        row.insert("top5".into(), json!(accuracy(&scores, &labels, 5)));
        row.insert("calibration_error".into(), json!(expected_error(&scores, &labels)));
        answers = Answers::new(&scores, labels);
    }
    let targets: Vec<Vec<bool>> = vocabulary
        .targets(dataset, net)
        .iter()
        .map(|present| (0..vocabulary.labels.len() as i64).map(|label| present.contains(&label)).collect())
        .collect();
    let scores: Vec<Vec<f32>> =
        (0..logits.size()[0]).map(|i| Vec::try_from(logits.get(i)).unwrap_or_default()).collect();
    row.insert("mean_average_precision".into(), json!(mean_average_precision(&scores, &targets)));
    answers
}
