//! `edgelip-train evaluate`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use comfy_table::Table;
use edgelip_models::config::{Config, Objective, Rule, Spread};
use edgelip_models::data::{Dataset, Group, Source, Texts};
use edgelip_models::evaluate::{LabelBank, accuracy, embed, expected_error, linear_probe, nearest_neighbours, recall};
use edgelip_models::merging::plan;
use edgelip_models::model::Trained;
use edgelip_models::text::Bank;
use edgelip_models::vision::Merge;
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::model_files::{TextFiles, device};

/// Score a checkpoint's averaged weights: zero-shot, retrieval, probes, calibration, at each compression rate
///
/// Images with classes give zero-shot scores, images with sentences give recall.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train evaluate runs/mlip/checkpoint.safetensors --data val.parquet --minilm minilm --rates 0,0.3,0.5,0.7
  edgelip-train evaluate mlip-tiny/model.safetensors --data val.parquet --probe train-0.parquet --minilm minilm --json")]
pub struct Args {
    /// A run's checkpoint, or a published model
    model: PathBuf,
    /// Images to score
    #[arg(long = "data", value_name = "PATH", required = true)]
    data: Vec<Source>,
    /// Images of the same classes for the linear probe and the nearest neighbours
    #[arg(long, value_name = "PATH")]
    probe: Vec<Source>,
    #[command(flatten)]
    text: TextFiles,
    /// Compression rates
    #[arg(long, value_delimiter = ',', default_value = "0")]
    rates: Vec<f64>,
    /// Merging rule, instead of the one the model was trained with
    #[arg(long, value_parser = ["ward", "tome"])]
    rule: Option<String>,
    /// Strength of the guide, instead of the one the model was trained with
    #[arg(long)]
    guide: Option<f64>,
    /// Names of a class that are used as prompts
    #[arg(long, default_value_t = 1)]
    names: usize,
    /// Print JSON, one object for each rate
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let model = Trained::open(&args.model, device())?;
    let config = &model.config;
    if config.objective == Objective::Catlip {
        bail!("catlip models are scored with `evaluate-labels`");
    }
    let (minilm, tokenizer) = args.text.open(config.text.tokens)?;
    let read = |sources: &[Source]| -> Result<Dataset> {
        let mut all = Dataset::default();
        for source in sources {
            all.extend(Dataset::read(&source.path)?);
        }
        Ok(all)
    };
    let dataset = read(&args.data)?;
    eprintln!("{} images, {}", dataset.items.len(), dataset.skipped);
    let probe = read(&args.probe)?;
    let texts = Texts::collect(&dataset, &config.templates);
    let bank = Bank::embed(&texts.strings, &minilm, &tokenizer, false, args.text.cache.as_deref())?;
    let labels = LabelBank::new(&dataset, &texts, &bank, args.names);

    let mut rows = Vec::new();
    for &rate in &args.rates {
        let (merge, saving) = merging(&args, config, rate)?;
        let images = embed(&model.image, &dataset, merge.as_ref(), device());
        let mut row = Map::new();
        row.insert("rate".into(), json!(rate));
        row.insert("saved".into(), json!(saving));
        if let Some(labels) = &labels {
            classification(&mut row, &images, labels, model.scale);
        }
        sentences(&mut row, &images, &texts, &bank);
        if !probe.items.is_empty() {
            let labels = labels.as_ref().context("--probe needs images with classes in --data")?;
            let train = embed(&model.image, &probe, merge.as_ref(), device());
            probes(&mut row, &train, &probe, &images, &texts, labels)?;
        }
        eprintln!("rate {rate} done");
        rows.push(row);
    }
    print(&rows, args.json)
}

/// How tokens merge at a rate, and what that saves.
fn merging(args: &Args, config: &Config, rate: f64) -> Result<(Option<Merge>, f64)> {
    let trained = config.merging.as_ref();
    let rule = match args.rule.as_deref() {
        Some("tome") => Rule::Tome,
        Some(_) => Rule::Ward,
        None => trained.map_or(Rule::Ward, |merging| merging.rule),
    };
    let spread = trained.map_or(Spread::Auto, |merging| merging.spread);
    let schedule = plan(&config.vision, rule, spread, rate)?;
    let guide = args.guide.unwrap_or(trained.map_or(0.0, |merging| merging.guide));
    let semantic = trained.map_or(0.5, |merging| merging.semantic);
    let merge = (rate > 0.0).then_some(Merge { rule, counts: schedule.merged, guide, semantic });
    Ok((merge, schedule.saving))
}

fn classification(row: &mut Map<String, Value>, images: &Tensor, bank: &LabelBank, scale: f64) {
    let labelled: Vec<i64> = (0..bank.labels.len() as i64).filter(|&i| bank.labels[i as usize] >= 0).collect();
    let labels: Vec<i64> = labelled.iter().map(|&i| bank.labels[i as usize]).collect();
    let images = images.index_select(0, &Tensor::from_slice(&labelled));
    let scores = images.matmul(&bank.embeddings.to_device(images.device()).transpose(0, 1)) * scale;
    row.insert("top1".into(), json!(accuracy(&scores, &labels, 1)));
    row.insert("top5".into(), json!(accuracy(&scores, &labels, 5)));
    row.insert("calibration_error".into(), json!(expected_error(&scores, &labels)));
}

fn sentences(row: &mut Map<String, Value>, images: &Tensor, texts: &Texts, bank: &Bank) {
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

fn probes(row: &mut Map<String, Value>, train: &Tensor, probe: &Dataset, test: &Tensor, texts: &Texts, bank: &LabelBank) -> Result<()> {
    let class = |id: &str| {
        texts.classes.iter().position(|&group| matches!(&texts.groups[group as usize], Group::Class { id: of, .. } if of == id))
    };
    let known: Vec<(i64, i64)> = (0..probe.items.len())
        .filter_map(|i| Some((i as i64, class(probe.items[i].class.as_deref()?)? as i64)))
        .collect();
    if known.is_empty() {
        bail!("--probe and --data have no class in common");
    }
    let (rows, train_labels): (Vec<i64>, Vec<i64>) = known.into_iter().unzip();
    let train = train.index_select(0, &Tensor::from_slice(&rows));
    let tested: Vec<i64> = (0..bank.labels.len() as i64).filter(|&i| bank.labels[i as usize] >= 0).collect();
    let labels: Vec<i64> = tested.iter().map(|&i| bank.labels[i as usize]).collect();
    let test = test.index_select(0, &Tensor::from_slice(&tested));
    let classes = texts.classes.len() as i64;
    let linear = linear_probe(&train, &train_labels, &test, classes, 1e-5);
    row.insert("linear_probe".into(), json!(accuracy(&linear, &labels, 1)));
    let nearest = nearest_neighbours(&train.to_kind(Kind::Float), &train_labels, &test, classes, 20);
    row.insert("nearest_neighbours".into(), json!(accuracy(&nearest, &labels, 1)));
    Ok(())
}

fn print(rows: &[Map<String, Value>], as_json: bool) -> Result<()> {
    if as_json {
        for row in rows {
            println!("{}", serde_json::to_string(row)?);
        }
        return Ok(());
    }
    let Some(first) = rows.first() else { return Ok(()) };
    let mut table = Table::new();
    table.set_header(first.keys());
    for row in rows {
        table.add_row(row.iter().map(|(name, value)| match value.as_f64() {
            Some(number) if name == "rate" => format!("{number}"),
            Some(number) => format!("{:.1} %", number * 100.0),
            None => value.to_string(),
        }));
    }
    println!("{table}");
    Ok(())
}
