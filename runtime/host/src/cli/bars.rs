//! Scores as bars.

use comfy_table::{CellAlignment, Table, presets};
use edgelip::Scored;

const WIDTH: usize = 24;

/// A table of labels, bars and percentages, indented by two.
pub fn table(labels: &[Scored]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for label in labels {
        table.add_row([&label.label, &bar(label.score), &percent(label.score)]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(|line| format!(" {}\n", line.trim_end())).collect()
}

/// A score between 0 and 1 as a bar of eighths of a character.
fn bar(score: f32) -> String {
    let eighths = (score.clamp(0.0, 1.0) * (8 * WIDTH) as f32).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get((eighths % 8).wrapping_sub(1)));
    bar
}

fn percent(score: f32) -> String {
    format!("{:.2} %", 100.0 * score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_score() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1.0), "█".repeat(24));
        assert_eq!(bar(0.5), "█".repeat(12));
        assert_eq!(bar(1.0 / 192.0), "▏");
        assert_eq!(bar(9.0 / 192.0), "█▏");
        assert_eq!(bar(f32::NAN), "");
    }

    #[test]
    fn rows_are_aligned() {
        let scored = |label: &str, score| Scored { label: label.into(), score, logit: 0.0 };
        let table = table(&[scored("cat", 0.9), scored("a large dog", 0.1)]);
        let ends: Vec<_> = table.lines().map(|line| line.chars().count()).collect();
        assert_eq!(ends.len(), 2);
        assert_eq!(ends[0], ends[1], "{table}");
        assert!(table.contains("90.00 %") && table.contains(" 10.00 %"));
    }
}
