//! Short runs on generated pictures: they learn, and a run that was stopped ends with the bits of one that was not.

mod generated;

use std::fs;
use std::path::Path;

use edgelip_models::config::{Config, Objective, Precision, Text, TextTower};
use edgelip_models::data::{Batches, Texts};
use edgelip_models::evaluate::{LabelBank, accuracy, embed, embed_with};
use edgelip_models::model::Trained;
use edgelip_models::objective::{Contrastive, Learner, MultiLabel, TextSource};
use edgelip_models::parameters::Parameters;
use edgelip_models::publish::{publish, rescale};
use edgelip_models::tensor_file;
use edgelip_models::text::OwnTower;
use edgelip_models::train::{Metrics, Run, Stop, Stopwatch, Summary};
use edgelip_models::wordnet::{Label, Vocabulary};
use generated::{bank, config, dataset};
use tch::{Device, Kind};

fn train(config: &Config, folder: &Path, stop: Stop<'_>) -> Summary {
    train_with(1, config, folder, stop)
}

/// Trains with several learners that share their weights.
fn train_with(count: usize, config: &Config, folder: &Path, stop: Stop<'_>) -> Summary {
    tch::set_num_threads(1);
    let data = dataset(64, 1);
    let texts = Texts::collect(&data, &config.templates);
    let parameters = Parameters::new(config.seed, Device::Cpu);
    let learner = |parameters: &Parameters| -> Box<dyn Learner> {
        let texts = TextSource::Frozen(bank(&texts, config.vision.embedding));
        Box::new(Contrastive::new(parameters, config, texts))
    };
    let mut learners = vec![learner(&parameters)];
    let parameters = parameters.into_inner();
    learners.extend((1..count).map(|_| learner(&Parameters::sharing(&parameters))));
    let batches = Batches::new(&data, &texts, config, &[(64, 1.0)]);
    let run = Run { config, folder: folder.into(), reschedule: false, quiet: true };
    run.train(learners, &parameters, &batches, stop).unwrap()
}

fn top1(config: &Config, folder: &Path) -> f64 {
    let test = dataset(40, 2);
    let texts = Texts::collect(&test, &config.templates);
    let labels = LabelBank::new(&texts, &bank(&texts, config.vision.embedding), 1).unwrap();
    let model = Trained::open(&folder.join("checkpoint.safetensors"), Device::Cpu, None).unwrap();
    let images = embed(&model.image, &test, None, Device::Cpu);
    accuracy(&images.matmul(&labels.embeddings.transpose(0, 1)), &labels.labels, 1)
}

#[test]
fn every_contrastive_objective_learns_new_pictures_of_known_names() {
    for objective in [Objective::Clip, Objective::Mlip] {
        let (folder, config) = (tempfile::tempdir().unwrap(), config(objective, 200));
        let summary = train(&config, folder.path(), Stop::default());
        let first = Metrics::read(&folder.path().join("metrics.jsonl")).unwrap()[0].loss;
        assert!(summary.finished && summary.loss < 0.8 * first, "{objective:?}: {first} {summary:?}");
        let top1 = top1(&config, folder.path());
        assert!(top1 > 0.9, "{objective:?}: {top1}");
    }
}

#[test]
fn the_parts_shown_add_up_to_the_loss() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(Objective::Mlip, 3));
    train(&config, folder.path(), Stop::default());
    for row in Metrics::read(&folder.path().join("metrics.jsonl")).unwrap() {
        let sum = row.parts["spatial"] + 0.3 * row.parts["frequency"] + 0.3 * row.parts["tokens"];
        assert!((sum - row.loss).abs() < 1e-4, "{row:?}");
    }
}

#[test]
fn an_own_text_tower_and_accumulated_batches_learn_too() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), config(Objective::Mlip, 150));
    config.text = Text { tower: TextTower::Trained, tokens: 8, width: 16, heads: 2, blocks: 1, vocabulary: 8 };
    (config.train.batch, config.train.accumulate) = (8, 2);
    tch::set_num_threads(1);
    let data = dataset(64, 1);
    let texts = Texts::collect(&data, &config.templates);
    let words = ["a", "red", "blue", "pole", "beam"];
    let id = |word: &str| 1 + words.iter().position(|known| *known == word).unwrap() as i64;
    let ids = texts.strings.iter().map(|text| text.split(' ').map(id).collect()).collect();
    let parameters = Parameters::new(config.seed, Device::Cpu);
    let tower = OwnTower::new(&parameters, &config.text, config.vision.embedding, config.train.precision);
    let learner = Contrastive::new(&parameters, &config, TextSource::Trained { tower, ids });
    let batches = Batches::new(&data, &texts, &config, &[(64, 1.0)]);
    let run = Run { config: &config, folder: folder.path().into(), reschedule: false, quiet: true };
    run.train(vec![Box::new(learner)], &parameters.into_inner(), &batches, Stop::default()).unwrap();
    let rows = Metrics::read(&folder.path().join("metrics.jsonl")).unwrap();
    let hits =
        |rows: &[edgelip_models::train::Row]| rows.iter().map(|row| row.parts["hits"]).sum::<f64>() / rows.len() as f64;
    assert!(hits(&rows[..20]) < 0.6 && hits(&rows[130..]) > 0.9, "{} {}", hits(&rows[..20]), hits(&rows[130..]));
}

#[test]
fn labels_are_learned_with_and_without_mixup() {
    for mixup in [0.0, 0.2] {
        let (folder, mut config) = (tempfile::tempdir().unwrap(), config(Objective::Catlip, 300));
        config.augment.mixup = mixup;
        config.labels.count = 4;
        tch::set_num_threads(1);
        let data = dataset(64, 1);
        let texts = Texts::collect(&data, &config.templates);
        // Of the labels red, blue, pole and beam each picture has two.
        let targets = (0..64).map(|i| vec![(i % 4) / 2, 2 + i % 2]).collect();
        let parameters = Parameters::new(config.seed, Device::Cpu);
        let learner = MultiLabel::new(&parameters, &config, targets);
        let batches = Batches::new(&data, &texts, &config, &[(64, 1.0)]);
        let run = Run { config: &config, folder: folder.path().into(), reschedule: false, quiet: true };
        run.train(vec![Box::new(learner)], &parameters.into_inner(), &batches, Stop::default()).unwrap();

        let model = Trained::open(&run.checkpoint(), Device::Cpu, None).unwrap();
        let test = dataset(40, 2);
        let features = embed_with(&model.image, &test, None, Device::Cpu, &|features| features.spatial);
        let logits = tch::no_grad(|| model.classifier.unwrap().forward(&features));
        let right = (0..40).filter(|&i| {
            let at = |label: i64| logits.double_value(&[i, label]);
            (at(0) > at(1)) == (i % 4 < 2) && (at(2) > at(3)) == (i % 2 == 0)
        });
        let right = right.count();
        assert!(right > 35, "mixup {mixup}: {right} of 40");
    }
}

#[test]
fn a_published_model_is_the_average_in_half_precision() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(Objective::Mlip, 20));
    train(&config, folder.path(), Stop::default());
    let published = folder.path().join("published");
    publish(&folder.path().join("checkpoint.safetensors"), &published, None, None).unwrap();
    let [run, out] = [folder.path().join("checkpoint.safetensors"), published.join("model.safetensors")]
        .map(|path| Trained::open(&path, Device::Cpu, None).unwrap());
    let data = dataset(8, 5);
    let cosines = (embed(&run.image, &data, None, Device::Cpu) * embed(&out.image, &data, None, Device::Cpu))
        .sum_dim_intlist([1].as_slice(), false, Kind::Float);
    assert!(cosines.min().double_value(&[]) > 0.99999);
    assert!((run.scale - out.scale).abs() < 1e-6);
    let names = tensor_file::read(&published.join("model.safetensors")).unwrap();
    let names: Vec<&str> = names.names().collect();
    assert!(
        names.contains(&"vision_model.encoder.layers.2.self_attn.q_proj.weight") && !names.contains(&"logit_scale")
    );
}

#[test]
fn a_calibrated_scale_is_published_and_forgotten_by_a_run_that_goes_on() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(Objective::Clip, 20));
    train(&config, folder.path(), Stop { steps: Some(10), ..Stop::default() });
    let (run, published) = (folder.path().join("checkpoint.safetensors"), folder.path().join("published"));
    let scale = || Trained::open(&run, Device::Cpu, None).unwrap().scale;
    let learned = scale();
    rescale(&run, 3.5f64.ln()).unwrap();
    assert!((scale() - 3.5).abs() < 1e-9 && (learned - 3.5).abs() > 1.0);
    publish(&run, &published, None, None).unwrap();
    let has_scale = |scale: f64| {
        let words = fs::read(published.join("config.json")).unwrap();
        let words: serde_json::Value = serde_json::from_slice(&words).unwrap();
        assert_eq!(words["logit_scale_init_value"], scale.ln());
        let out = Trained::open(&published.join("model.safetensors"), Device::Cpu, None).unwrap();
        assert!((out.scale - scale).abs() < 1e-9);
    };
    has_scale(3.5);
    rescale(&published.join("model.safetensors"), 2.5f64.ln()).unwrap();
    has_scale(2.5);
    train(&config, folder.path(), Stop::default());
    assert!((scale() - learned).abs() < 1.0, "{}", scale());
}

#[test]
fn a_model_published_for_smaller_images_is_the_model_opened_for_them() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(Objective::Mlip, 200));
    train(&config, folder.path(), Stop::default());
    let (run, published) = (folder.path().join("checkpoint.safetensors"), folder.path().join("published"));
    publish(&run, &published, Some(12), None).unwrap();
    let out = Trained::open(&published.join("model.safetensors"), Device::Cpu, None).unwrap();
    assert_eq!(out.config.vision.image, 12);
    let small = Trained::open_at(&run, Device::Cpu, None, Some(12)).unwrap();
    let (data, test) = (dataset(8, 5), dataset(40, 2));
    let embed = |model: &Trained| embed(&model.image, &data, None, Device::Cpu);
    let cosines = (embed(&small) * embed(&out)).sum_dim_intlist([1].as_slice(), false, Kind::Float);
    assert!(cosines.min().double_value(&[]) > 0.99999);
    // Bars are bars on a grid of 3 × 3 too.
    let texts = Texts::collect(&test, &config.templates);
    let labels = LabelBank::new(&texts, &bank(&texts, config.vision.embedding), 1).unwrap();
    let images = edgelip_models::evaluate::embed(&small.image, &test, None, Device::Cpu);
    let top1 = accuracy(&images.matmul(&labels.embeddings.transpose(0, 1)), &labels.labels, 1);
    assert!(top1 > 0.7, "{top1}");
    let error = Trained::open_at(&run, Device::Cpu, None, Some(13)).unwrap_err().to_string();
    assert!(error.contains("not a multiple"), "{error}");
}

#[test]
fn a_stopped_run_ends_with_the_same_bits() {
    for precision in [Precision::F32, Precision::Bf16] {
        let mut config = config(Objective::Mlip, 12);
        config.train.precision = precision;
        config.train.accumulate = 2;
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        train(&config, whole.path(), Stop::default());
        for _ in 0..3 {
            train(&config, parts.path(), Stop { steps: Some(5), ..Stop::default() });
        }
        let tensors = |folder: &Path| {
            let bytes = fs::read(folder.join("checkpoint.safetensors")).unwrap();
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            bytes[8 + header..].to_vec()
        };
        assert!(tensors(whole.path()) == tensors(parts.path()), "{precision:?}");
        let curve = |folder: &Path| {
            let rows = Metrics::read(&folder.join("metrics.jsonl")).unwrap();
            rows.into_iter().map(|row| (row.step, row.loss.to_bits())).collect::<Vec<_>>()
        };
        assert_eq!(curve(whole.path()), curve(parts.path()));
        assert_eq!(curve(whole.path()).len(), 12);
    }
}

#[test]
fn passes_at_once_give_the_bits_of_passes_in_turn() {
    let mut config = config(Objective::Mlip, 6);
    config.train.accumulate = 3;
    let curve = |count| {
        let folder = tempfile::tempdir().unwrap();
        train_with(count, &config, folder.path(), Stop::default());
        let rows = Metrics::read(&folder.path().join("metrics.jsonl")).unwrap();
        rows.into_iter().map(|row| (row.loss.to_bits(), row.gradient.to_bits())).collect::<Vec<_>>()
    };
    let alone = curve(1);
    assert_eq!(alone, curve(2));
    assert_eq!(alone, curve(3));
}

#[test]
fn a_kill_between_checkpoints_takes_the_lost_steps_again() {
    let config = config(Objective::Clip, 10);
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(&config, whole.path(), Stop::default());
    train(&config, killed.path(), Stop { steps: Some(4), ..Stop::default() });
    let checkpoint = killed.path().join("checkpoint.safetensors");
    let saved = fs::read(&checkpoint).unwrap();
    train(&config, killed.path(), Stop { steps: Some(3), ..Stop::default() });
    // What a kill leaves: the older checkpoint, and half of the next.
    fs::write(&checkpoint, &saved).unwrap();
    fs::write(killed.path().join("checkpoint.safetensors.partial"), &saved[..100]).unwrap();
    train(&config, killed.path(), Stop::default());
    let losses = |folder: &Path| {
        Metrics::read(&folder.join("metrics.jsonl")).unwrap().iter().map(|row| row.loss).collect::<Vec<_>>()
    };
    assert_eq!(losses(whole.path()), losses(killed.path()));
}

#[test]
fn another_configuration_does_not_resume() {
    let folder = tempfile::tempdir().unwrap();
    let first = config(Objective::Clip, 4);
    train(&first, folder.path(), Stop { steps: Some(2), ..Stop::default() });
    let mut second = first.clone();
    second.train.learning_rate *= 2.0;
    let data = dataset(64, 1);
    let texts = Texts::collect(&data, &second.templates);
    let parameters = Parameters::new(second.seed, Device::Cpu);
    let learner = Contrastive::new(&parameters, &second, TextSource::Frozen(bank(&texts, 24)));
    let batches = Batches::new(&data, &texts, &second, &[(64, 1.0)]);
    let run = Run { config: &second, folder: folder.path().into(), reschedule: false, quiet: true };
    let error = run
        .train(vec![Box::new(learner)], &parameters.into_inner(), &batches, Stop::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("another configuration"), "{error}");
}

/// The synsets that stand in for red, blue, pole and beam.
fn vocabulary() -> Vocabulary {
    let label = |(offset, name): (u32, &str)| Label { offset, name: name.into(), count: 1 };
    Vocabulary { labels: (1..).zip(["red", "blue", "pole", "beam"]).map(label).collect() }
}

/// Trains a classifier of them on pictures that have two each.
fn train_labels(config: &Config, folder: &Path, stop: Stop<'_>) -> Summary {
    tch::set_num_threads(1);
    let data = dataset(64, 1);
    let texts = Texts::collect(&data, &config.templates);
    let targets = (0..64).map(|i| vec![(i % 4) / 2, 2 + i % 2]).collect();
    let parameters = Parameters::new(config.seed, Device::Cpu);
    let learner: Box<dyn Learner> = Box::new(MultiLabel::new(&parameters, config, targets));
    let batches = Batches::new(&data, &texts, config, &[(64, 1.0)]);
    let run = Run { config, folder: folder.into(), reschedule: false, quiet: true };
    run.train(vec![learner], &parameters.into_inner(), &batches, stop).unwrap()
}

#[test]
fn batches_of_several_sides_learn_and_resume_with_the_same_bits() {
    let mut config = config(Objective::Catlip, 120);
    config.labels.count = 4;
    config.train.sides = vec![12, 16, 20];
    config.check().unwrap();
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let summary = train_labels(&config, whole.path(), Stop::default());
    let rows = |folder: &Path| Metrics::read(&folder.join("metrics.jsonl")).unwrap();
    let first = rows(whole.path())[0].loss;
    assert!(summary.finished && summary.loss < 0.7 * first, "{first} {summary:?}");
    for _ in 0..3 {
        train_labels(&config, parts.path(), Stop { steps: Some(50), ..Stop::default() });
    }
    let losses = |folder: &Path| rows(folder).iter().map(|row| row.loss.to_bits()).collect::<Vec<_>>();
    assert_eq!(losses(whole.path()), losses(parts.path()));
}

#[test]
fn a_published_classifier_is_a_bank_of_named_labels() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), config(Objective::Catlip, 3));
    config.labels.count = 4;
    train_labels(&config, folder.path(), Stop::default());
    let (run, published) = (folder.path().join("checkpoint.safetensors"), folder.path().join("published"));
    let error = publish(&run, &published, None, None).unwrap_err().to_string();
    assert!(error.contains("vocabulary of 4 synsets"), "{error}");
    publish(&run, &published, None, Some(&vocabulary())).unwrap();
    let mut tensors = tensor_file::read(&published.join("model.safetensors")).unwrap();
    assert_eq!(tensors.take("classifier.weight").unwrap().size(), [4, 32]);
    assert_eq!(tensors.take("classifier.bias").unwrap().size(), [4]);
    let words: serde_json::Value = serde_json::from_slice(&fs::read(published.join("config.json")).unwrap()).unwrap();
    assert_eq!(words["id2label"]["2"], "pole");
    assert_eq!(Vocabulary::read(&published.join("synsets.tsv")).unwrap(), vocabulary());
    let out = Trained::open(&published.join("model.safetensors"), Device::Cpu, None).unwrap();
    assert!(out.classifier.is_some());
}

#[test]
fn steps_are_timed_without_a_trace() {
    let config = config(Objective::Clip, 4);
    tch::set_num_threads(1);
    let data = dataset(64, 1);
    let texts = Texts::collect(&data, &config.templates);
    let parameters = Parameters::new(config.seed, Device::Cpu);
    let source = TextSource::Frozen(bank(&texts, config.vision.embedding));
    let learner: Box<dyn Learner> = Box::new(Contrastive::new(&parameters, &config, source));
    let (parameters, batches) = (parameters.into_inner(), Batches::new(&data, &texts, &config, &[(64, 1.0)]));
    let before = parameters[0].tensor.copy();
    std::thread::scope(|scope| {
        let mut watch = Stopwatch::new(scope, &config, vec![learner], &parameters, &batches).unwrap();
        assert!((0..3).all(|_| watch.step().unwrap() > 0.0));
    });
    assert!(!parameters[0].tensor.equal(&before), "the steps were taken");
}
