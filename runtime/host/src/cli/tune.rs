//! `edgelip tune`: the least compression that is fast enough on this machine.

use std::io::Write;

use anyhow::{Result, bail};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::bench::lineup::{LengthArgs, LineupArgs, parse_amount};
use super::bench::report::Row;
use super::bench::{answer_fresh, measured};
use super::inspect_text::print_table;
use super::{Outcome, complain, print_json};

/// Find the least compressed model that is fast enough here
#[derive(clap::Args)]
#[command(after_help = "\
Measures all models in turn on this machine, and picks the one that saves the fewest multiply-adds among those within the budget. \
The budget is for the image tower alone, without decoding and preprocessing. Exits with 1 if no model is fast enough.

Examples:
  edgelip tune --budget-ms 50 model-*.onnx
  edgelip tune --budget-ms 33.3 --by p90 --threads 4 model-*.onnx --json")]
pub struct Args {
    #[command(flatten)]
    lineup: LineupArgs,

    /// Most milliseconds that an image may take
    #[arg(long, value_name = "MS", value_parser = parse_amount)]
    budget_ms: f64,

    /// Which time must be within the budget
    #[arg(long, value_enum, default_value_t, value_name = "TIME")]
    by: By,

    #[command(flatten)]
    length: LengthArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A time of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    /// half of the runs take no longer
    #[default]
    Median,
    /// nine in ten runs take no longer
    P90,
}

impl By {
    fn of(self, row: &Row) -> f64 {
        match self {
            By::Median => row.median_ms,
            By::P90 => row.p90_ms,
        }
    }
}

/// The answer. The field names are stable.
#[derive(Serialize)]
struct Answer {
    budget_ms: f64,
    by: By,
    processor: Option<String>,
    throttled: Option<bool>,
    /// The model to take; `None` if none is fast enough.
    chosen: Option<Choice>,
    /// All of them, the least compressed first.
    models: Vec<Choice>,
}

#[derive(Clone, Serialize)]
struct Choice {
    model: String,
    engine: String,
    threads: usize,
    compression: Option<f64>,
    median_ms: f64,
    p90_ms: f64,
    within_budget: bool,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    if args.lineup.fresh.is_some() {
        return answer_fresh(&args.lineup, out);
    }
    let mut report = measured(&args.lineup, args.length)?;
    if report.models.is_empty() {
        bail!("no models");
    }
    report.models.sort_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(std::cmp::Ordering::Equal));
    let models: Vec<Choice> = report.models.iter().map(|row| choice(row, args)).collect();
    let answer = Answer {
        budget_ms: args.budget_ms,
        by: args.by,
        processor: report.processor,
        throttled: report.throttled,
        chosen: models.iter().find(|model| model.within_budget).cloned(),
        models,
    };
    if args.json {
        print_json(out, &answer)?;
    } else {
        print(&answer, out)?;
    }
    if answer.chosen.is_some() {
        return Ok(Outcome::Done);
    }
    out.flush()?;
    let fastest = report.models.iter().min_by(|a, b| args.by.of(a).total_cmp(&args.by.of(b)));
    if let Some(fastest) = fastest {
        complain(format!(
            "no model is within {} ms; the fastest, {}, takes {:.2} ms: compress more, store int8, or lend more threads",
            args.budget_ms,
            fastest.model,
            args.by.of(fastest)
        ));
    }
    Ok(Outcome::Failed)
}

/// The least compressed first, and of those the fastest.
fn order(row: &Row) -> (f64, f64) {
    // Shares of one schedule differ by rounding alone.
    ((1e4 * row.compression.unwrap_or(0.0)).round(), row.median_ms)
}

fn choice(row: &Row, args: &Args) -> Choice {
    Choice {
        model: row.model.clone(),
        engine: row.engine.clone(),
        threads: row.threads,
        compression: row.compression,
        median_ms: row.median_ms,
        p90_ms: row.p90_ms,
        within_budget: args.by.of(row) <= args.budget_ms,
    }
}

fn print(answer: &Answer, out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["model", "engine", "threads", "compression", "median ms", "p90 ms", "within budget"]);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for model in &answer.models {
        table.add_row([
            model.model.clone(),
            model.engine.clone(),
            model.threads.to_string(),
            model.compression.map_or_else(|| "-".into(), percent),
            format!("{:.2}", model.median_ms),
            format!("{:.2}", model.p90_ms),
            if model.within_budget { "yes" } else { "no" }.into(),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_table(&table, out)?;
    if let Some(chosen) = &answer.chosen {
        let threads = if chosen.threads == 1 { "thread" } else { "threads" };
        writeln!(
            out,
            "\nTake {}: {:.2} ms, p90 {:.2} ms, on {} {threads}; the budget is {} ms.",
            chosen.model, chosen.median_ms, chosen.p90_ms, chosen.threads, answer.budget_ms
        )?;
    }
    if answer.throttled == Some(true) {
        super::warn("the processor was slowed down meanwhile, for heat or want of power");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_compressed_comes_first_and_then_the_fastest() {
        let row = |compression, median_ms| Row { compression: Some(compression), median_ms, ..Row::default() };
        let mut rows = [row(0.4, 5.0), row(0.200_001, 9.0), row(0.2, 7.0), row(0.0, 20.0)];
        rows.sort_by(|a, b| order(a).partial_cmp(&order(b)).unwrap());
        assert_eq!(rows.map(|row| row.median_ms), [20.0, 7.0, 9.0, 5.0]);
    }
}
