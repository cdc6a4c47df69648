//! Measurements as a table, JSON or CSV.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use edgelip::output::Output;
use serde::Serialize;

use super::super::inspect_text::{count, print_table, size};

/// All that were measured on one machine. The field names are stable.
#[derive(Serialize)]
pub struct Report {
    pub version: String,
    /// The native engine's instruction set.
    pub kernels: Option<String>,
    pub processor: Option<String>,
    pub governor: Option<String>,
    /// At the end.
    pub temperature_celsius: Option<f64>,
    /// Whether the processor was slowed down meanwhile.
    pub throttled: Option<bool>,
    /// Of this process, with all models loaded.
    pub peak_rss_bytes: Option<u64>,
    pub models: Vec<Row>,
}

/// One model on one engine. Times are of the tower alone.
#[derive(Clone, Default, Serialize)]
pub struct Row {
    pub model: String,
    pub engine: String,
    pub threads: usize,
    pub tower: String,
    pub precision: Option<String>,
    pub file_bytes: usize,
    /// Image tokens before merging, or tokens of the text.
    pub tokens: Option<usize>,
    pub macs: Option<u64>,
    /// Share of the unmerged tower's multiply-adds that merging saves.
    pub compression: Option<f64>,
    /// From the start of a process of its own to its first answer.
    pub start_ms: Option<f64>,
    /// Mapping, checking and allocating.
    pub load_ms: f64,
    /// The first run, which reads the weights from disk or its cache.
    pub first_ms: f64,
    /// Resize and crop of the photo; nothing without one.
    pub preprocess_ms: Option<f64>,
    pub rounds: usize,
    pub min_ms: f64,
    pub median_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub scratch_bytes: Option<usize>,
    /// What loading and the first run added to this process.
    pub resident_bytes: Option<u64>,
    /// Most memory of a process of its own, up to its first answer.
    pub peak_rss_bytes: Option<u64>,
    /// Cosine of its embedding with that of the first engine on the same model.
    pub cosine: Option<f64>,
    /// Median over the rounds of its time over the first engine's on the same model with as many threads.
    pub time_ratio: Option<f64>,
    /// The same of the shortest times.
    pub min_ratio: Option<f64>,
    /// Share of the first model's multiply-adds that this one saves.
    pub macs_saved: Option<f64>,
    /// Share of the first model's time, on the same engine and threads, that this one saves: median over the rounds.
    pub time_saved: Option<f64>,
    /// The time saved as a share of the multiply-adds saved, both against the first model of the same precision.
    pub realised: Option<f64>,
    /// Share of the labelled photos whose best label is right.
    pub accuracy: Option<f64>,
}

/// A column of the table: its header, and what it shows of a row.
type Column = (&'static str, fn(&Row) -> Option<String>);

fn time(ms: f64) -> Option<String> {
    Some(format!("{ms:.2}"))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn bytes(number: u64) -> String {
    size(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Columns that are left out where no row has anything to show.
const COLUMNS: [Column; 20] = [
    ("engine", |row| Some(row.engine.clone())),
    ("threads", |row| Some(row.threads.to_string())),
    ("start ms", |row| row.start_ms.and_then(time)),
    ("load", |row| time(row.load_ms)),
    ("first", |row| time(row.first_ms)),
    ("min", |row| time(row.min_ms)),
    ("median", |row| time(row.median_ms)),
    ("p90", |row| time(row.p90_ms)),
    ("p99", |row| time(row.p99_ms)),
    ("x first engine", |row| row.time_ratio.map(|ratio| format!("{ratio:.3}"))),
    ("cosine", |row| row.cosine.map(|cosine| format!("{cosine:.6}"))),
    ("peak", |row| row.peak_rss_bytes.map(bytes)),
    ("scratch", |row| row.scratch_bytes.map(size)),
    ("MACs", |row| row.macs.map(count)),
    ("compression", |row| row.compression.filter(|share| *share > 0.0).map(percent)),
    ("MACs saved", |row| row.macs_saved.map(percent)),
    ("time saved", |row| row.time_saved.map(percent)),
    ("realised", |row| row.realised.map(percent)),
    ("accuracy", |row| row.accuracy.map(percent)),
    ("resize ms", |row| row.preprocess_ms.and_then(time)),
];

/// Prints a table.
pub fn print(report: &Report, out: &mut dyn Write) -> Result<()> {
    let rows = &report.models;
    let same = |show: fn(&Row) -> Option<String>| rows.iter().all(|row| show(row) == show(&rows[0]));
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| rows.iter().any(|row| column.1(row).is_some()))
        .filter(|column| !["engine", "threads"].contains(&column.0) || !same(column.1))
        .filter(|column| column.0 != "compression" || rows.iter().all(|row| row.macs_saved.is_none()))
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["model"].into_iter().chain(columns.iter().map(|column| column.0)));
    for row in rows {
        let cells = columns.iter().map(|column| column.1(row).unwrap_or_else(|| "-".into()));
        table.add_row([row.model.clone()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_table(&table, out)?;
    let memory = report.peak_rss_bytes.map_or_else(String::new, |peak| format!(", peak memory {}", bytes(peak)));
    writeln!(out, "\n  {}{memory}", machine(report))?;
    Ok(())
}

/// What all rows have in common, and the machine.
pub fn machine(report: &Report) -> String {
    let common = |show: fn(&Row) -> String| {
        let first = report.models.first().map(show)?;
        report.models.iter().all(|row| show(row) == first).then_some(first)
    };
    let mut parts: Vec<String> = common(|row| format!("{} engine", row.engine)).into_iter().collect();
    parts.extend(report.kernels.as_ref().map(|kernels| format!("{kernels} kernels")));
    parts.extend(common(|row| match row.threads {
        1 => "1 thread".into(),
        threads => format!("{threads} threads"),
    }));
    parts.extend(common(|row| format!("{} rounds", row.rounds)));
    parts.extend(report.processor.clone());
    parts.extend(report.governor.as_ref().map(|governor| format!("governor {governor}")));
    parts.extend(report.temperature_celsius.map(|degrees| format!("{degrees:.0} °C")));
    parts.extend(report.throttled.filter(|throttled| *throttled).map(|_| "THROTTLED".to_string()));
    parts.join(", ")
}

/// Writes one row each under the JSON's field names.
pub fn write_csv(report: &Report, path: &Path, replace: bool) -> Result<()> {
    let mut output = Output::create(path, replace)?;
    {
        let mut writer = csv::Writer::from_writer(&mut output);
        for model in &report.models {
            writer.serialize(model)?;
        }
        writer.flush()?;
    }
    Ok(output.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let model = |name: &str, median_ms, macs_saved| Row {
            model: name.into(),
            engine: "native".into(),
            threads: 2,
            median_ms,
            macs: Some(1_500_000),
            macs_saved,
            time_saved: macs_saved.map(|_| 0.25),
            rounds: 20,
            ..Default::default()
        };
        Report {
            version: "0".into(),
            kernels: Some("generic".into()),
            throttled: Some(true),
            processor: None,
            governor: None,
            temperature_celsius: Some(51.7),
            peak_rss_bytes: Some(1 << 20),
            models: vec![model("a.onnx", 4.0, None), model("b.onnx", 3.0, Some(0.5))],
        }
    }

    #[test]
    fn models_are_compared_with_the_first() {
        let mut out = Vec::new();
        print(&report(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().find(|line| line.contains("b.onnx")).unwrap();
        assert!(line.contains("3.00") && line.contains("50.0 %") && line.contains("25.0 %"), "{text}");
        assert!(
            text.contains(
                "native engine, generic kernels, 2 threads, 20 rounds, 52 °C, THROTTLED, peak memory 1.0 MiB"
            )
        );
    }

    #[test]
    fn csv_has_a_row_for_each_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write_csv(&report(), &path, false).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("model,engine,threads,tower,"));
    }
}
