//! `edgelip-train evaluate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use edgelip_models::data::{Dataset, Source, Texts};
use edgelip_models::evaluate::{Answers, LabelBank, embed, embed_with, likeness};
use edgelip_models::model::Trained;
use edgelip_models::text::Bank;
use edgelip_models::vision::unit;
use edgelip_models::wordnet::{Vocabulary, WordNet};
use serde_json::{Map, Value, json};
use tch::{Device, Tensor};

use super::comparison::{Measured, compare, print, write_csv, write_pairs};
use super::model_files::{LabelFiles, TextFiles, device, guard};
use super::photos::Photos;
use super::scores;
use super::variants::{Variant, VariantArgs};

/// Score a checkpoint's averaged weights: zero-shot, retrieval, probes, calibration, for each image size, merging rule and rate
///
/// Images with classes give zero-shot scores, images with sentences give recall; a catlip model's classifier is scored by its synsets. The
/// unchanged model comes first. Every other variant is compared with it on the same images: the cosine of the embeddings (the mean, and
/// what one image in a hundred is at or below), the share of images that get the same first label, and the difference in top-1 with its
/// 95 % interval (Wald's for paired shares, adjusted as by Agresti and Min, 2005). Plain `tome` at full size and about as many multiply-adds
/// (within 1.5 % of the unchanged model's), if that is among the variants, is the other yardstick: the difference in top-1, and in the share of
/// first labels that stay as they were.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train evaluate runs/mlip/checkpoint.safetensors --data val.parquet --minilm minilm --rates 0.3,0.5,0.7
  edgelip-train evaluate mlip-tiny/model.safetensors --data val.parquet --probe train-0.parquet --minilm minilm --json
  edgelip-train evaluate mlip-tiny/model.safetensors --data val.parquet --minilm minilm \\
    --rates 0.2,0.3,0.4,0.5,0.6,0.7 --rule ward,tome --guide 0,0.3 --image 64,56,48,40,32 --equal-macs --csv table.csv
  edgelip-train evaluate mlip-tiny/model.safetensors --data val.parquet --labels everyday.tsv --minilm minilm")]
pub struct Args {
    /// A run's checkpoint, or a published model
    model: PathBuf,
    #[command(flatten)]
    photos: Photos,
    /// Images of the same classes for the linear probe and the nearest neighbours
    #[arg(long, value_name = "PATH")]
    probe: Vec<Source>,
    #[command(flatten)]
    text: TextFiles,
    #[command(flatten)]
    labels: LabelFiles,
    #[command(flatten)]
    variants: VariantArgs,
    /// Names of a class that are used as prompts
    #[arg(long, value_name = "COUNT", default_value = "1")]
    names: NonZeroUsize,
    /// Print JSON, one object for each variant: the table of `edgelip-train plan`
    #[arg(long)]
    json: bool,
    /// Write the table as CSV too
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the paired differences of all variants of about equal cost as CSV
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Overwrite these files
    #[arg(long)]
    force: bool,
}

/// What images are held against.
enum Against {
    /// The synsets of a classifier, and the classes for a probe.
    Synsets { net: WordNet, vocabulary: Vocabulary, texts: Texts },
    /// Texts, and the classes among them.
    Texts { texts: Texts, bank: Bank, labels: Option<LabelBank> },
}

pub fn run(args: Args) -> Result<()> {
    for file in args.csv.iter().chain(&args.pairs) {
        guard(file, args.force)?;
    }
    let own = Trained::open(&args.model, device(), None)?;
    let variants = args.variants.variants(&own.config)?;
    let dataset = args.photos.read()?;
    let probe = args.photos.named(&args.probe)?;
    let against = against(&args, &own, &dataset)?;

    let mut measured: Vec<Measured> = Vec::new();
    let mut sized: Option<Trained> = None;
    for variant in variants {
        let model = match sized.take().filter(|model| model.config.vision.image == variant.image) {
            Some(model) => model,
            None => Trained::open_at(&args.model, device(), None, Some(variant.image))?,
        };
        let one = measure(&model, &variant, &dataset, &probe, &against, measured.first())?;
        eprintln!("{} done", variant.name());
        measured.push(Measured { variant, ..one });
        sized = Some(model);
    }
    compare(&mut measured);
    if let Some(file) = &args.csv {
        write_csv(file, &measured)?;
    }
    if let Some(file) = &args.pairs {
        write_pairs(file, &measured)?;
    }
    print(&measured, args.json)
}

fn against(args: &Args, model: &Trained, dataset: &Dataset) -> Result<Against> {
    let texts = Texts::collect(dataset, &model.config.templates);
    if model.classifier.is_some() {
        if args.photos.labels.is_some() {
            bail!("a catlip model knows its synsets only: leave --labels out");
        }
        let (net, vocabulary) = args.labels.open()?;
        let (known, learned) = (vocabulary.labels.len() as i64, model.config.labels.count);
        if known != learned {
            bail!(
                "the model has learned {learned} synsets, the vocabulary has {known}: give it the one it was trained with"
            );
        }
        return Ok(Against::Synsets { net, vocabulary, texts });
    }
    let bank = args.text.bank(model, &texts)?;
    let labels = LabelBank::new(&texts, &bank, args.names.get());
    Ok(Against::Texts { texts, bank, labels })
}

/// The scores of one variant; `full` is the unchanged model's.
fn measure(
    model: &Trained,
    variant: &Variant,
    dataset: &Dataset,
    probe: &Dataset,
    against: &Against,
    full: Option<&Measured>,
) -> Result<Measured> {
    let merge = variant.merge.as_ref();
    let mut scored = Map::new();
    let (embeddings, answers) = match (against, &model.classifier) {
        (Against::Synsets { net, vocabulary, texts }, Some(classifier)) => {
            let features = embed_with(&model.image, dataset, merge, device(), &|features| features.spatial);
            let logits: Tensor = tch::no_grad(|| classifier.forward(&features.to_device(device())));
            let answers = scores::labels(&mut scored, &logits.to_device(Device::Cpu), dataset, net, vocabulary);
            if !probe.items.is_empty() {
                let train = embed(&model.image, probe, merge, device());
                scores::probes(&mut scored, &train, probe, &unit(&features), texts)?;
            }
            (features, answers)
        }
        (Against::Texts { texts, bank, labels }, _) => {
            let images = embed(&model.image, dataset, merge, device());
            let answers = labels.as_ref().map_or_else(Answers::default, |labels| {
                scores::classification(&mut scored, &images, labels, model.scale)
            });
            scores::sentences(&mut scored, &images, texts, bank);
            if !probe.items.is_empty() {
                let train = embed(&model.image, probe, merge, device());
                scores::probes(&mut scored, &train, probe, &images, texts)?;
            }
            (images, answers)
        }
        (Against::Synsets { .. }, None) => bail!("the model has no classifier"),
    };
    let like = likeness(&embeddings, full.map_or(&embeddings, |full| &full.embeddings));
    let merging = variant.merge.as_ref();
    let mut row: Map<String, Value> = Map::new();
    row.insert("image".into(), json!(variant.image));
    row.insert("rule".into(), json!(variant.rule()));
    row.insert("guide".into(), json!(merging.map_or(0.0, |merge| merge.guide)));
    row.insert("rate".into(), json!(variant.rate));
    row.insert("macs".into(), json!(variant.macs));
    row.insert("saved".into(), json!(variant.saved));
    row.insert("merged".into(), json!(merging.map_or(&[][..], |merge| &merge.counts)));
    row.insert("cosine".into(), json!(like.mean));
    row.insert("cosine_worst".into(), json!(like.worst));
    row.extend(scored);
    Ok(Measured { variant: variant.clone(), row, embeddings, answers })
}
