//! `edgelip-train plan`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use comfy_table::Table;
use edgelip_models::evaluate::Interval;
use edgelip_models::planner::{Choice, Entry, Way, choose, full_macs};
use serde_json::json;

use super::say;

/// Savings of the table that is printed without a budget.
const SAVINGS: [f64; 8] = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

/// Pick image size and merging for a budget of multiply-adds, from a table that `evaluate --json` measured
///
/// Without a budget, the pick for each of a row of savings. Intervals are of 95 % and paired, against the unchanged model.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edgelip-train evaluate mlip-tiny/model.safetensors --data val.parquet --minilm minilm \\
    --rates 0.2,0.4,0.6 --image 64,56,48,40 --equal-macs --json > table.jsonl
  edgelip-train plan --table table.jsonl --budget-macs 150e6
  edgelip-train plan --table table.jsonl --saving 0.5 --json")]
pub struct Args {
    /// Lines of JSON, one a variant
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// The most multiply-adds for one image
    #[arg(long, value_name = "COUNT", conflicts_with = "saving")]
    budget_macs: Option<f64>,
    /// The least share of the unchanged model's multiply-adds to save
    #[arg(long, value_name = "SHARE")]
    saving: Option<f64>,
    /// Print JSON, one object for each budget
    #[arg(long)]
    json: bool,
}

/// Whether anything fits.
pub fn run(args: Args) -> Result<bool> {
    let entries = read(&args.table)?;
    let name = args.table.display();
    let full = full_macs(&entries)
        .with_context(|| format!("{name} has no line of the unchanged model: write it with `evaluate --json`"))?;
    // A measured variant rarely saves a round share to the last digit.
    let budget = |saving: f64| (full as f64 * (1.0 - saving + 0.005)).floor() as i64;
    let budgets = match (args.budget_macs, args.saving) {
        (Some(macs), _) if macs.is_finite() && macs > 0.0 => vec![macs as i64],
        (Some(macs), _) => bail!("--budget-macs {macs} is not a positive number"),
        (_, Some(saving)) if (0.0..1.0).contains(&saving) => vec![budget(saving)],
        (_, Some(saving)) => bail!("--saving {saving} is not at least 0 and less than 1"),
        _ => SAVINGS.iter().map(|&saving| budget(saving)).collect(),
    };
    let one = args.budget_macs.is_some() || args.saving.is_some();
    let choices: Vec<Choice> = budgets.iter().filter_map(|&budget| choose(&entries, budget)).collect();
    if choices.is_empty() {
        let least = entries.iter().map(|entry| entry.macs).min().unwrap_or(0);
        eprintln!("nothing in {name} fits {} multiply-adds: the cheapest variant has {least}", budgets[0]);
        return Ok(false);
    }
    if args.json {
        for choice in &choices {
            say(json!(choice))?;
        }
        return Ok(true);
    }
    let mut table = Table::new();
    table.set_header([
        "budget",
        "way",
        "image",
        "merging",
        "saves",
        "top-1",
        "against the unchanged model",
        "the other ways",
    ]);
    for choice in &choices {
        let others: Vec<String> = choice
            .others
            .iter()
            .filter(|other| other.way != Way::Full)
            .map(|other| {
                let clear = if other.clearly_worse == Some(false) { " (no clear difference)" } else { "" };
                format!("{}: {} → {:.1} %{clear}", other.way, variant(&other.best), other.best.top1 * 100.0)
            })
            .collect();
        table.add_row([
            millions(choice.budget_macs),
            choice.way.to_string(),
            format!("{} px", choice.chosen.image),
            merging(&choice.chosen),
            format!("{:.1} %", choice.chosen.saved * 100.0),
            format!("{:.1} %", choice.chosen.top1 * 100.0),
            choice.chosen.versus_full.map_or_else(String::new, points),
            others.join("\n"),
        ]);
    }
    say(table)?;
    if one {
        say(how(&choices[0].chosen, choices[0].way))?;
    }
    Ok(true)
}

fn read(path: &std::path::Path) -> Result<Vec<Entry>> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("{name}"))?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("{name}: line {} is not a variant's of `evaluate --json`", number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

/// What makes the chosen variant.
fn how(entry: &Entry, way: Way) -> String {
    let size = match way {
        Way::Resizing | Way::Both => format!("edgelip-train publish CHECKPOINT --image {} --out MODEL; ", entry.image),
        Way::Full | Way::Merging => String::new(),
    };
    let merging = match &entry.rule {
        Some(rule) => format!(" --compression {:.3} --merge {rule} --guide {}", entry.rate, entry.guide),
        None => String::new(),
    };
    format!("{size}edgelip-export MODEL{merging} -o FILE")
}

fn variant(entry: &Entry) -> String {
    match merging(entry).as_str() {
        "" => format!("{} px", entry.image),
        merging => format!("{} px, {merging}", entry.image),
    }
}

fn merging(entry: &Entry) -> String {
    match &entry.rule {
        Some(rule) if entry.guide > 0.0 => format!("{rule}, guide {}, rate {:.2}", entry.guide, entry.rate),
        Some(rule) => format!("{rule}, rate {:.2}", entry.rate),
        None => String::new(),
    }
}

fn millions(macs: i64) -> String {
    format!("{:.1} M", macs as f64 / 1e6)
}

/// A difference in points with its interval.
pub fn points(interval: Interval) -> String {
    format!("{:+.1} [{:+.1}, {:+.1}]", interval.value * 100.0, interval.low * 100.0, interval.high * 100.0)
}
