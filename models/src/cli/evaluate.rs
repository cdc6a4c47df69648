//! `edgelip-train evaluate`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use comfy_table::Table;
use edgelip_models::data::{Dataset, Source, Texts};
use edgelip_models::evaluate::{LabelBank, embed, embed_with};
use edgelip_models::model::Trained;
use edgelip_models::text::{Bank, Encoder};
use edgelip_models::vision::Merge;
use serde_json::{Map, Value, json};
use tch::Device;

use super::merge_args::MergeArgs;
use super::model_files::{TextFiles, device};
use super::scores;
use super::train::LabelFiles;

/// Score a checkpoint's averaged weights: zero-shot, retrieval, probes, calibration, at each compression rate
///
/// Images with classes give zero-shot scores, images with sentences give recall; a catlip model's classifier is scored by its synsets.
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
    #[command(flatten)]
    labels: LabelFiles,
    /// Compression rates
    #[arg(long, value_delimiter = ',', default_value = "0")]
    rates: Vec<f64>,
    #[command(flatten)]
    merging: MergeArgs,
    /// Names of a class that are used as prompts
    #[arg(long, default_value_t = 1)]
    names: usize,
    /// Print JSON, one object for each rate
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let model = Trained::open(&args.model, device(), None)?;
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
    let texts = Texts::collect(&dataset, &model.config.templates);
    let rows = match &model.classifier {
        Some(classifier) => {
            let (net, vocabulary) = args.labels.open()?;
            each_rate(&args, &model, |row, merge| {
                let features = embed_with(&model.image, &dataset, merge, device(), &|features| features.spatial);
                let logits = tch::no_grad(|| classifier.forward(&features.to_device(device()))).to_device(Device::Cpu);
                scores::labels(row, &logits, &dataset, &net, &vocabulary);
                Ok(())
            })?
        }
        None => {
            let tokenizer = args.text.tokenizer(model.config.text.tokens)?;
            let encoder: &dyn Encoder = match &model.text {
                Some(own) => own,
                None => &args.text.minilm()?,
            };
            let bank = Bank::embed(&texts.strings, encoder, &tokenizer, false, args.text.cache.as_deref())?;
            let labels = LabelBank::new(&dataset, &texts, &bank, args.names);
            each_rate(&args, &model, |row, merge| {
                let images = embed(&model.image, &dataset, merge, device());
                if let Some(labels) = &labels {
                    scores::classification(row, &images, labels, model.scale);
                }
                scores::sentences(row, &images, &texts, &bank);
                if !probe.items.is_empty() {
                    let labels = labels.as_ref().context("--probe needs images with classes in --data")?;
                    let train = embed(&model.image, &probe, merge, device());
                    scores::probes(row, &train, &probe, &images, &texts, labels)?;
                }
                Ok(())
            })?
        }
    };
    print(&rows, args.json)
}

/// A row of scores for each compression rate.
fn each_rate(
    args: &Args,
    model: &Trained,
    mut score: impl FnMut(&mut Map<String, Value>, Option<&Merge>) -> Result<()>,
) -> Result<Vec<Map<String, Value>>> {
    let one = |&rate: &f64| {
        let (merge, saving) = args.merging.at(&model.config, rate)?;
        let mut row = Map::new();
        row.insert("rate".into(), json!(rate));
        row.insert("saved".into(), json!(saving));
        score(&mut row, merge.as_ref())?;
        eprintln!("rate {rate} done");
        Ok(row)
    };
    args.rates.iter().map(one).collect()
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
