//! The table of measured variants: differences on the same images, as text, JSON and CSV.

use std::path::Path;

use anyhow::Result;
use comfy_table::Table;
use edgelip_models::evaluate::{Answers, Interval, difference, share};
use edgelip_models::tensor_file::replace;
use serde_json::{Map, Value, json};
use tch::Tensor;

use super::plan::points;
use super::say;
use super::variants::Variant;

/// One variant with its scores.
pub struct Measured {
    /// Which one.
    pub variant: Variant,
    /// Its line of the table.
    pub row: Map<String, Value>,
    /// Its embeddings of all images.
    pub embeddings: Tensor,
    /// What each image with a class was called.
    pub answers: Answers,
}

/// Adds to each line how many first labels stay those of the first line, the unchanged model, and the differences in top-1: against that
/// one, and against plain Token Merging of equal cost, on images of the unchanged size if there is one; against the latter in labels that
/// stay, too.
pub fn compare(all: &mut [Measured]) {
    let Some(full) = all.first().map(|full| full.answers.clone()).filter(|full| !full.given.is_empty()) else { return };
    let versus = |of: &Measured, other: &Measured| json!(difference(&of.answers.hits(), &other.answers.hits()));
    let kept = |of: &Measured| of.answers.agrees(&full);
    for i in 0..all.len() {
        let one = &all[i];
        let tome = all
            .iter()
            .enumerate()
            .filter(|(_, other)| other.variant.is_plain_tome() && other.variant.costs_as(&one.variant))
            .min_by(|(_, a), (_, b)| {
                let key = |other: &Measured| {
                    let (size, cost) =
                        (other.variant.image - all[0].variant.image, other.variant.saved - one.variant.saved);
                    (size.abs(), cost.abs())
                };
                let ((size, cost), (other_size, other_cost)) = (key(a), key(b));
                size.cmp(&other_size).then(cost.total_cmp(&other_cost))
            })
            .filter(|(j, _)| *j != i)
            .map(|(_, other)| other);
        let interval = share(&one.answers.hits());
        let same = share(&kept(one)).value;
        let versus_full = if i == 0 { Value::Null } else { versus(one, &all[0]) };
        let same_versus_tome = tome.map_or(Value::Null, |tome| json!(difference(&kept(one), &kept(tome))));
        let versus_tome = tome.map_or(Value::Null, |tome| versus(one, tome));
        let row = &mut all[i].row;
        row.insert("top1_interval".into(), json!([interval.low, interval.high]));
        row.insert("versus_full".into(), versus_full);
        row.insert("versus_tome".into(), versus_tome);
        row.insert("same_label".into(), json!(same));
        row.insert("same_versus_tome".into(), same_versus_tome);
    }
}

/// Prints a table, or a line of JSON for each variant.
pub fn print(all: &[Measured], as_json: bool) -> Result<()> {
    if as_json {
        for one in all {
            say(json!(one.row))?;
        }
        return Ok(());
    }
    let Some(first) = all.first() else { return Ok(()) };
    let names: Vec<&String> = first.row.keys().filter(|name| *name != "merged").collect();
    let mut table = Table::new();
    table.set_header(&names);
    for one in all {
        table.add_row(names.iter().map(|name| one.row.get(*name).map_or_else(String::new, |value| cell(name, value))));
    }
    say(table)?;
    Ok(())
}

fn cell(name: &str, value: &Value) -> String {
    if let Ok(interval) = serde_json::from_value::<Interval>(value.clone()) {
        return points(interval);
    }
    if let Some([low, high]) = value.as_array().map(Vec::as_slice) {
        let percent = |end: &Value| end.as_f64().unwrap_or(f64::NAN) * 100.0;
        return format!("[{:.1}, {:.1}]", percent(low), percent(high));
    }
    match (name, value, value.as_f64()) {
        (_, Value::Null, _) => String::new(),
        (_, Value::String(text), _) => text.clone(),
        ("image" | "classes" | "guide", _, Some(number)) => format!("{number}"),
        ("macs", _, Some(number)) => format!("{:.1} M", number / 1e6),
        ("cosine" | "cosine_worst", _, Some(number)) => format!("{number:.4}"),
        (_, _, Some(number)) => format!("{:.1} %", number * 100.0),
        _ => value.to_string(),
    }
}

/// Writes the table as CSV; intervals become columns `…_low` and `…_high`, merged tokens one column.
///
/// # Errors
/// The file can't be written.
pub fn write_csv(path: &Path, all: &[Measured]) -> Result<()> {
    let names: Vec<&String> = all.first().map_or_else(Vec::new, |first| first.row.keys().collect());
    let mut text = String::new();
    let header: Vec<String> = names.iter().flat_map(|name| columns(name)).collect();
    text += &(header.join(",") + "\n");
    for one in all {
        let cells: Vec<String> = names
            .iter()
            .flat_map(|name| {
                let value = one.row.get(*name).unwrap_or(&Value::Null);
                match name.as_str() {
                    name if name.contains("versus") => {
                        ["value", "low", "high"].map(|part| plain(&value[part])).to_vec()
                    }
                    "top1_interval" => [0, 1].map(|end| plain(&value[end])).to_vec(),
                    _ => vec![plain(value)],
                }
            })
            .collect();
        text += &(cells.join(",") + "\n");
    }
    Ok(replace(path, text.as_bytes())?)
}

fn columns(name: &str) -> Vec<String> {
    match name {
        name if name.contains("versus") => ["", "_low", "_high"].map(|end| format!("{name}{end}")).to_vec(),
        "top1_interval" => ["top1_low", "top1_high"].map(str::to_owned).to_vec(),
        _ => vec![name.to_owned()],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Writes the paired differences in top-1 of all variants of about equal cost, each pair once.
///
/// # Errors
/// The file can't be written.
pub fn write_pairs(path: &Path, all: &[Measured]) -> Result<()> {
    let mut text = "a,b,macs_a,macs_b,saved_a,saved_b,images,difference,low,high\n".to_owned();
    for (i, a) in all.iter().enumerate() {
        for b in all[i + 1..].iter().filter(|b| b.variant.costs_as(&a.variant)) {
            let Interval { value, low, high } = difference(&a.answers.hits(), &b.answers.hits());
            let (x, y) = (&a.variant, &b.variant);
            text += &format!(
                "{},{},{},{},{},{},{},{value},{low},{high}\n",
                x.name(),
                y.name(),
                x.macs,
                y.macs,
                x.saved,
                y.saved,
                a.answers.given.len()
            );
        }
    }
    Ok(replace(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgelip_models::config::Rule;
    use edgelip_models::vision::Merge;
    use tch::{Device, Kind};

    fn measured(image: i64, rule: Option<Rule>, saved: f64, hits: [bool; 4]) -> Measured {
        let merge = rule.map(|rule| Merge { rule, counts: vec![3, 0], guide: 0.0, semantic: 0.5 });
        let rate = if rule.is_some() { saved } else { 0.0 };
        Measured {
            variant: Variant { image, merge, rate, macs: (100.0 * (1.0 - saved)) as i64, saved },
            row: [("image".to_owned(), json!(image)), ("merged".to_owned(), json!([3, 0]))].into_iter().collect(),
            embeddings: Tensor::zeros([4, 2], (Kind::Float, Device::Cpu)),
            answers: Answers { given: hits.map(i64::from).to_vec(), right: vec![1; 4] },
        }
    }

    fn all() -> Vec<Measured> {
        vec![
            measured(64, None, 0.0, [true, true, true, false]),
            measured(64, Some(Rule::Tome), 0.5, [true, false, false, false]),
            measured(64, Some(Rule::Ward), 0.5, [true, true, false, false]),
            measured(48, None, 0.49, [false, false, false, true]),
        ]
    }

    #[test]
    fn variants_meet_the_unchanged_model_and_tome_of_equal_cost() {
        let mut all = all();
        compare(&mut all);
        assert!(all[0].row["versus_full"].is_null() && all[0].row["versus_tome"].is_null());
        assert_eq!(all[2].row["versus_full"]["value"], json!(-0.25));
        assert_eq!(all[2].row["versus_tome"]["value"], json!(0.25));
        assert_eq!(all[3].row["versus_tome"]["value"], json!(0.0));
        assert!(all[1].row["versus_tome"].is_null());
        // Of the first labels two stay under ward, one more than under tome.
        assert_eq!((&all[2].row["same_label"], &all[2].row["same_versus_tome"]["value"]), (&json!(0.75), &json!(0.25)));
    }

    #[test]
    fn tables_as_csv() {
        let folder = tempfile::tempdir().unwrap();
        let (table, pairs) = (folder.path().join("t.csv"), folder.path().join("p.csv"));
        let mut all = all();
        compare(&mut all);
        write_csv(&table, &all).unwrap();
        let text = std::fs::read_to_string(&table).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "image,merged,top1_low,top1_high,versus_full,versus_full_low,versus_full_high,versus_tome,versus_tome_low,versus_tome_high,same_label,same_versus_tome,same_versus_tome_low,same_versus_tome_high"
        );
        assert!(lines[1].starts_with("64,3 0,") && lines[1].ends_with(",,,,,,1.0,,,"));
        assert!(lines.iter().all(|line| line.split(',').count() == 14));
        write_pairs(&pairs, &all).unwrap();
        let text = std::fs::read_to_string(&pairs).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("64 px tome 0.500,64 px ward 0.500,50,50,0.5,0.5,4,-0.25,"));
    }
}
