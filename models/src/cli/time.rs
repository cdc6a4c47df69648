//! `edgelip-train time`.

use std::path::PathBuf;

use anyhow::Result;
use comfy_table::Table;
use edgelip_models::config::Config;
use edgelip_models::data::{Batches, Source, Texts};
use edgelip_models::train::Stopwatch;
use serde_json::json;

use super::learning::Learning;
use super::say;
use super::train::read;

/// Time the training steps of several configurations, by turns on the same data
///
/// A step is forward pass, backward pass and optimiser; making batches and embedding texts beforehand do not count. By turns, so that what
/// else the machine does meets all alike; the least time is what it takes undisturbed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  edgelip-train time configs/clip.toml configs/mlip.toml configs/catlip.toml --data captions.parquet --minilm minilm \\
    --wordnet /usr/share/wordnet --vocabulary synsets.tsv --steps 20")]
pub struct Args {
    /// What to train, TOML files; the first is what the others are held against
    #[arg(required = true)]
    configs: Vec<PathBuf>,
    /// Parquet file, tar shard or folder of class folders
    #[arg(long = "data", value_name = "PATH", required = true)]
    sources: Vec<Source>,
    #[command(flatten)]
    learning: Learning,
    /// Steps of each that are timed, after two that are not
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Print JSON, one object for each configuration
    #[arg(long)]
    json: bool,
}

/// Steps before the clock starts.
const WARM: usize = 2;

pub fn run(args: Args) -> Result<()> {
    let (dataset, weights) = read(&args.sources)?;
    let (mut prepared, mut learning) = (Vec::new(), Vec::new());
    for path in &args.configs {
        let mut config = Config::read(path)?;
        let texts = Texts::collect(&dataset, &config.templates);
        let (learners, parameters) = args.learning.learners(&mut config, &dataset, &texts)?;
        learning.push(learners);
        prepared.push((config, texts, parameters));
    }
    let batches: Vec<Batches> =
        prepared.iter().map(|(config, texts, _)| Batches::new(&dataset, texts, config, &weights)).collect();
    let steps = args.steps.max(1);
    let mut seconds = vec![Vec::new(); prepared.len()];
    std::thread::scope(|scope| {
        let mut watches = Vec::new();
        for (((config, _, parameters), batches), learners) in prepared.iter().zip(&batches).zip(learning) {
            watches.push(Stopwatch::new(scope, config, learners, parameters, batches)?);
        }
        for step in 0..WARM + steps {
            for (watch, seconds) in watches.iter_mut().zip(&mut seconds) {
                let taken = watch.step()?;
                if step >= WARM {
                    seconds.push(taken);
                }
            }
            eprintln!("step {} of {}", step + 1, WARM + steps);
        }
        anyhow::Ok(())
    })?;

    let mut table = Table::new();
    table.set_header(["configuration", "images a step", "least", "median", "mean", "median against the first"]);
    let mut first = None;
    for ((path, (config, ..)), seconds) in args.configs.iter().zip(&prepared).zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        let (least, median) = (seconds[0], seconds[seconds.len() / 2]);
        let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
        let images = config.train.batch * config.train.accumulate;
        let against = median / *first.get_or_insert(median);
        if args.json {
            let row = json!({
                "config": path, "objective": config.objective, "images": images, "steps": seconds.len(), "seconds_least": least,
                "seconds_median": median, "seconds_mean": mean, "median_against_first": against,
            });
            say(row)?;
        }
        let milliseconds = |seconds: f64| format!("{:.0} ms", seconds * 1e3);
        let name = path.display().to_string();
        let cells = [name, images.to_string(), milliseconds(least), milliseconds(median), milliseconds(mean)];
        table.add_row(cells.into_iter().chain([format!("{against:.2}")]));
    }
    if !args.json {
        say(table)?;
    }
    Ok(())
}
