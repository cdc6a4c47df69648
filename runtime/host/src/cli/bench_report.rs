//! Measurements as a table, JSON or CSV.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use edgelip::output::Output;
use serde::Serialize;

use super::inspect_text::{count, print_table, size};

/// All models on one machine. The field names are stable.
#[derive(Serialize)]
pub struct Report {
    pub version: String,
    pub engine: String,
    /// The native engine's instruction set.
    pub kernels: Option<String>,
    pub threads: usize,
    pub processor: Option<String>,
    pub governor: Option<String>,
    /// At the end.
    pub temperature_celsius: Option<f64>,
    /// Of the process, with all models loaded.
    pub peak_rss_bytes: Option<u64>,
    pub models: Vec<ModelReport>,
}

/// One model. Times are of the tower alone.
#[derive(Default, Serialize)]
pub struct ModelReport {
    pub model: String,
    pub tower: String,
    pub file_bytes: usize,
    /// Image tokens before merging, or tokens of the text.
    pub tokens: Option<usize>,
    pub macs: Option<u64>,
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
    /// What loading and the first run added to the process.
    pub resident_bytes: Option<u64>,
    /// Share of the first model's multiply-adds that this one saves.
    pub macs_saved: Option<f64>,
    /// Share of the first model's median time that this one saves.
    pub time_saved: Option<f64>,
}

/// Prints a table.
pub fn print(report: &Report, out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["model", "load ms", "first", "min", "median", "p90", "p99", "scratch", "resident", "MACs"];
    let compared = report.models.iter().any(|model| model.time_saved.is_some());
    if compared {
        header.extend(["MACs saved", "time saved"]);
    }
    let preprocessed = report.models.iter().any(|model| model.preprocess_ms.is_some());
    if preprocessed {
        header.push("resize ms");
    }
    table.set_header(header);
    for model in &report.models {
        let time = |ms: f64| format!("{ms:.2}");
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let percent = |share: Option<f64>| or_dash(share.map(|share| format!("{:.1} %", 100.0 * share)));
        let mut row = vec![
            model.model.clone(),
            time(model.load_ms),
            time(model.first_ms),
            time(model.min_ms),
            time(model.median_ms),
            time(model.p90_ms),
            time(model.p99_ms),
            or_dash(model.scratch_bytes.map(size)),
            or_dash(model.resident_bytes.map(|bytes| size(bytes as usize))),
            or_dash(model.macs.map(count)),
        ];
        if compared {
            row.extend([percent(model.macs_saved), percent(model.time_saved)]);
        }
        if preprocessed {
            row.push(or_dash(model.preprocess_ms.map(time)));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_table(&table, out)?;
    writeln!(out, "\n  {}", machine(report))?;
    Ok(())
}

fn machine(report: &Report) -> String {
    let mut parts = vec![match &report.kernels {
        Some(kernels) => format!("{} engine, {kernels} kernels", report.engine),
        None => format!("{} engine", report.engine),
    }];
    parts.push(if report.threads == 1 { "1 thread".into() } else { format!("{} threads", report.threads) });
    let rounds: Vec<_> = report.models.iter().map(|model| model.rounds).collect();
    parts.push(format!("{} rounds", rounds.first().copied().unwrap_or(0)));
    parts.extend(report.peak_rss_bytes.map(|bytes| format!("peak memory {}", size(bytes as usize))));
    parts.extend(report.processor.clone());
    parts.extend(report.governor.as_ref().map(|governor| format!("governor {governor}")));
    parts.extend(report.temperature_celsius.map(|degrees| format!("{degrees:.0} °C")));
    parts.join(", ")
}

/// Writes one row a model under the JSON's field names.
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
        let model = |name: &str, median_ms, macs_saved| ModelReport {
            model: name.into(),
            median_ms,
            macs: Some(1_500_000),
            macs_saved,
            time_saved: macs_saved.map(|_| 0.25),
            rounds: 20,
            ..Default::default()
        };
        Report {
            version: "0".into(),
            engine: "native".into(),
            kernels: Some("generic".into()),
            threads: 2,
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
        assert!(text.contains("native engine, generic kernels, 2 threads, 20 rounds, peak memory 1.0 MiB, 52 °C"));
    }

    #[test]
    fn csv_has_a_row_for_each_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write_csv(&report(), &path, false).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("model,tower,file_bytes,"));
    }
}
