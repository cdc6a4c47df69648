//! What is in a model file, for people.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};

use super::foreign;
use super::inspect::{Guide, Memory, Provenance, Report, TextReport, Tower, VisionReport};

/// Labels that are shown before the rest is only counted.
const SHOWN_LABELS: usize = 20;

/// The same for templates.
const SHOWN_TEMPLATES: usize = 3;

/// Prints a report.
pub fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match report {
        Report::Vision(vision) => print_vision(vision, out),
        Report::Text(text) => print_text(text, out),
        Report::Foreign(report) => print_foreign(report, out),
    }
}

fn print_vision(report: &VisionReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {} image tower, {} weights", report.file, report.family, report.precision)?;
    let [height, width] = report.image;
    let mut rows = vec![("input", format!("{height}x{width} pixels, patches of {0}x{0}", report.patch))];
    if !report.stem.is_empty() {
        let widths: Vec<String> = report.stem.iter().map(usize::to_string).collect();
        rows.push(("stem", format!("convolutions to {} channels", widths.join(", "))));
    }
    rows.push(("tower", tower(&report.tower)));
    if report.frequency_blocks > 0 {
        let blocks = if report.frequency_blocks == 1 { "block" } else { "blocks" };
        rows.push(("frequency", format!("{} {blocks} of the same width before the others", report.frequency_blocks)));
    }
    if report.readout == "joint" {
        rows.push(("readout", "the sum of the class token and the frequency feature".into()));
    }
    let compression = &report.compression;
    let asked = compression.asked.map_or_else(String::new, |asked| format!("{asked} asked for, "));
    rows.push((
        "compression",
        match compression.merge.as_str() {
            "none" => "none: the original model".to_string(),
            rule => format!("{asked}{:.3} of the multiply-adds saved by {rule}", compression.saved),
        },
    ));
    if let Some(Guide { strength, semantic }) = &report.guide {
        let used = if compression.merge == "none" { ", but nothing merges" } else { "" };
        rows.push(("guide", format!("strength {strength}, semantic share {semantic}{used}")));
    }
    rows.push(("work", format!("{} multiply-adds", count(report.macs))));
    rows.extend(memory(&report.memory));
    let preprocess = &report.preprocess;
    rows.push((
        "preprocessing",
        format!("resize {}, {}, crop {}", preprocess.resize, preprocess.filter, preprocess.crop),
    ));
    rows.push(("", format!("mean {:?}, std {:?}", preprocess.mean, preprocess.std)));
    rows.push(("scores", format!("{} of {} x cosine + {}", report.score, report.logit_scale, report.logit_bias)));
    let labels = report.labels.as_deref();
    rows.push(("labels", labels.map_or("none".into(), |labels| some(labels, SHOWN_LABELS, ", "))));
    if !report.templates.is_empty() {
        rows.push(("templates", some(&report.templates, SHOWN_TEMPLATES, " | ")));
    }
    rows.extend(provenance(&report.provenance));
    print_rows(&rows, out)?;

    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["block", "tokens", "merged", "leave", "MACs", "of it merging"]);
    let patches = report.plan.first().map_or(0, |block| block.tokens.saturating_sub(1)).to_string();
    for block in 0..report.frequency_blocks {
        let (name, macs) = (format!("f{block}"), count(report.frequency_macs));
        table.add_row([name, patches.clone(), "0".into(), patches.clone(), macs, count(0)]);
    }
    for block in &report.plan {
        table.add_row([
            block.block.to_string(),
            block.tokens.to_string(),
            block.merged.to_string(),
            block.tokens_out.to_string(),
            count(block.macs),
            count(block.merge_macs),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out)?;
    print_table(&table, out)
}

fn print_text(report: &TextReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {} text tower, {} weights", report.file, report.family, report.precision)?;
    let mut rows = vec![("input", format!("up to {} of {} tokens", report.context, report.vocabulary))];
    rows.push(("tower", tower(&report.tower)));
    rows.push((
        "tokenizer",
        match report.tokenizer_bytes {
            0 => "none in the file".into(),
            bytes => format!("{} in the file, end token {}", size(bytes), report.end_token),
        },
    ));
    rows.extend(memory(&report.memory));
    rows.extend(provenance(&report.provenance));
    print_rows(&rows, out)
}

fn print_foreign(report: &foreign::Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: an ONNX model, not edgelip's", report.file)?;
    let list = |ports: &[foreign::Port]| ports.iter().map(foreign::Port::to_string).collect::<Vec<_>>().join("; ");
    let or_none = |names: &[&str]| if names.is_empty() { "nothing".into() } else { names.join(", ") };
    print_rows(
        &[
            ("file", size(report.bytes)),
            ("inputs", list(&report.inputs)),
            ("outputs", list(&report.outputs)),
            ("initializers", report.initializers.to_string()),
        ],
        out,
    )?;
    writeln!(out, "\nThe native engine misses")?;
    writeln!(out, "  metadata: {}", or_none(&report.missing_metadata))?;
    writeln!(out, "  initializers: {}", or_none(&report.missing_initializers))?;
    writeln!(
        out,
        "Export the checkpoint with edgelip-export, or run this graph with --engine tract (or ort) --preprocess PRESET."
    )
}

fn print_rows(rows: &[(&str, String)], out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in rows {
        writeln!(out, "  {name:<14} {value}")?;
    }
    Ok(())
}

/// Prints a table, indented and without trailing spaces.
pub fn print_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, " {}", line.trim_end()))
}

fn tower(tower: &Tower) -> String {
    let Tower { width, heads, blocks, mlp, embedding, activation } = tower;
    format!("width {width}, {blocks} blocks, {heads} heads, MLP {mlp} ({activation}), embedding {embedding}")
}

fn memory(memory: &Memory) -> [(&'static str, String); 1] {
    let threads = if memory.threads == 1 { "thread" } else { "threads" };
    let text =
        format!("file {}, scratch {} with {} {threads}", size(memory.file), size(memory.scratch), memory.threads);
    [("memory", text)]
}

/// How many there are, and the first `limit` of them.
fn some(names: &[String], limit: usize, separator: &str) -> String {
    let shown = names[..names.len().min(limit)].join(separator);
    match names.len() {
        count if count > limit => format!("{count}: {shown}{separator}…"),
        count => format!("{count}: {shown}"),
    }
}

fn provenance(provenance: &Provenance) -> Vec<(&'static str, String)> {
    let Provenance { source, source_sha256, licence, generator } = provenance;
    [("source", source), ("sha256", source_sha256), ("licence", licence), ("made by", generator)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
}

/// A number with a thousand's prefix.
pub fn count(number: u64) -> String {
    let scales = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    match scales.into_iter().find(|scale| number as f64 >= scale.0) {
        Some((scale, prefix)) => format!("{:.2} {prefix}", number as f64 / scale),
        None => number.to_string(),
    }
}

/// Bytes, readable.
pub fn size(bytes: usize) -> String {
    let scales = [(1 << 20, "MiB"), (1 << 10, "KiB")];
    match scales.into_iter().find(|scale| bytes >= scale.0) {
        Some((scale, unit)) => format!("{:.1} {unit}", bytes as f64 / scale as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(999), "999");
        assert_eq!(count(17_563_000_000), "17.56 G");
        assert_eq!(count(1500), "1.50 k");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(3 << 19), "1.5 MiB");
    }

    #[test]
    fn many_labels_are_counted() {
        let names: Vec<String> = (0..30).map(|i| format!("l{i}")).collect();
        let text = some(&names, 20, ", ");
        assert!(text.starts_with("30: l0, ") && text.ends_with("l19, …"));
        assert_eq!(some(&names[..2], 20, " | "), "2: l0 | l1");
    }
}
