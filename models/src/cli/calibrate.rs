//! `edgelip-train calibrate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use comfy_table::Table;
use edgelip_models::data::Texts;
use edgelip_models::evaluate::{LabelBank, embed, expected_error, fit_scale, negative_log_likelihood};
use edgelip_models::model::Trained;
use edgelip_models::publish;
use serde_json::json;
use tch::Tensor;

use super::merge_args::MergeArgs;
use super::model_files::{TextFiles, device};
use super::photos::Photos;
use super::say;

/// Fit a model's logit scale to photos held out of its training, so that its probabilities mean what they say
///
/// One scale, at which the right classes of these photos are most likely (Guo et al., 2017: temperature scaling), goes into the checkpoint, for
/// `evaluate` and `publish`, or into the published model, to be exported again; no label changes its place. Weights stay as they are, and a run
/// that goes on forgets the scale. Photos that it was trained on make it too sure of itself, and photos that it was fitted to are no longer fit
/// to judge its probabilities: `--limit COUNT` fits it to some, and `evaluate --limit COUNT --others` judges it by the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train calibrate runs/mlip/checkpoint.safetensors --data held-out.parquet --minilm minilm --rates 0,0.5
  edgelip-train calibrate mlip-tiny/model.safetensors --data val.parquet --limit 1000 --minilm minilm --rates 0,0.5
  edgelip-train calibrate runs/micro/checkpoint.safetensors --data held-out.parquet --labels labels.tsv --minilm minilm --dry-run")]
pub struct Args {
    /// A run's checkpoint, or a published model
    model: PathBuf,
    #[command(flatten)]
    photos: Photos,
    #[command(flatten)]
    text: TextFiles,
    /// Compression rates that are fitted together
    #[arg(long, value_delimiter = ',', default_value = "0")]
    rates: Vec<f64>,
    #[command(flatten)]
    merging: MergeArgs,
    /// Names of a class that are used as prompts
    #[arg(long, value_name = "COUNT", default_value = "1")]
    names: NonZeroUsize,
    /// Leave the model as it is
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one object for each rate
    #[arg(long)]
    json: bool,
}

/// What the photos say at one scale.
struct Fit {
    scale: f64,
    likelihood: f64,
    error: f64,
}

impl Fit {
    fn new(cosines: &Tensor, labels: &[i64], scale: f64) -> Fit {
        let logits = cosines * scale;
        Fit { scale, likelihood: negative_log_likelihood(&logits, labels), error: expected_error(&logits, labels) }
    }
}

/// Whether a scale fits.
pub fn run(args: Args) -> Result<bool> {
    let model = Trained::open(&args.model, device(), None)?;
    if model.classifier.is_some() {
        bail!("a catlip model has no logit scale");
    }
    let dataset = args.photos.read()?;
    let texts = Texts::collect(&dataset, &model.config.templates);
    let bank = LabelBank::new(&texts, &args.text.bank(&model, &texts)?, args.names.get());
    let bank = bank.context("no image in --data has a class")?;

    let (mut cosines, mut labels) = (Vec::new(), Vec::new());
    for &rate in &args.rates {
        let (merge, _) = args.merging.at(&model.config, rate)?;
        let (of_rate, right) = bank.cosines(&embed(&model.image, &dataset, merge.as_ref(), device()));
        cosines.push(of_rate);
        labels.push(right);
    }
    let Some(scale) = fit_scale(&Tensor::cat(&cosines, 0), &labels.concat()) else {
        eprintln!("no scale fits best: the photos are all right, or no better than chance");
        return Ok(false);
    };

    let mut table = Table::new();
    table.set_header(["rate", "photos", "scale", "nats a photo", "calibration error"]);
    for ((rate, cosines), labels) in args.rates.iter().zip(&cosines).zip(&labels) {
        for fit in [model.scale, scale].map(|scale| Fit::new(cosines, labels, scale)) {
            let Fit { scale, likelihood, error } = fit;
            if args.json {
                let line = json!({ "rate": rate, "photos": labels.len(), "scale": scale, "nats": likelihood, "calibration_error": error });
                say(line)?;
            }
            let [rate, photos] = [format!("{rate}"), format!("{}", labels.len())];
            let error = format!("{:.1} %", 100.0 * error);
            table.add_row([rate, photos, format!("{scale:.2}"), format!("{likelihood:.4}"), error]);
        }
    }
    if !args.json {
        say(table)?;
    }
    if !args.dry_run {
        publish::rescale(&args.model, scale.ln())?;
        eprintln!("{} now has the scale {scale:.2}", args.model.display());
    }
    Ok(true)
}
