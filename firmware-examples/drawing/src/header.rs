//! The model's name, and what it saves and costs.

use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::metrics::Metrics;
use crate::{Line, Paint, Report, palette, text};

/// What an answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost<'a> {
    /// A time in microseconds.
    Micros(u64),
    /// How many of something, for example `"cycles"`.
    Count(u64, &'a str),
}

impl Cost<'_> {
    /// As it is shown: `4.1 ms`, `67.5 M instructions`.
    pub fn line(&self) -> Line {
        match *self {
            Cost::Micros(micros @ ..1_000) => Line::new(format_args!("{micros} us")),
            Cost::Micros(micros) => Line::new(format_args!("{}s", Scaled(micros, [(1_000_000, ""), (1_000, "m")]))),
            Cost::Count(count, unit) => {
                let number = Scaled(count, [(1_000_000_000, "G "), (1_000_000, "M ")]);
                Line::new(format_args!("{number}{unit}"))
            }
        }
    }
}

/// A number with one decimal, in the first of two units that it reaches; below both as it is.
struct Scaled(u64, [(u64, &'static str); 2]);

impl core::fmt::Display for Scaled {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Scaled(value, units) = *self;
        match units.iter().find(|unit| value >= unit.0) {
            Some(&(unit, name)) => {
                let tenth = unit / 10;
                let tenths = value.saturating_add(tenth / 2) / tenth;
                write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
            }
            None => write!(f, "{value} "),
        }
    }
}

/// The lines about `report` in so many columns, `(line, column, text)`: the name, then the facts, as many to a line as there is room for.
fn lines(report: &Report<'_>, columns: usize) -> impl Iterator<Item = (u32, usize, Line)> {
    let compression = permille(report.compression);
    let saved = match compression {
        0 => Line::new(format_args!("not compressed")),
        _ => Line::new(format_args!("compressed {}.{} %", compression / 10, compression % 10)),
    };
    let facts = core::iter::once(saved).chain(report.costs.iter().map(Cost::line));
    let (mut line, mut used) = (1, 0);
    let placed = facts.map(move |fact| {
        let wide = text::columns(fact.as_str());
        if used > 0 && used + 2 + wide > columns {
            (line, used) = (line + 1, 0);
        }
        let column = if used > 0 { used + 2 } else { 0 };
        used = column + wide;
        (line, column, fact)
    });
    core::iter::once((0, 0, Line::new(format_args!("{}", report.model)))).chain(placed)
}

/// A share as tenths of a percent.
pub(crate) fn permille(share: f32) -> u32 {
    (share.clamp(0.0, 1.0) * 1000.0 + 0.5) as u32
}

/// The header's height.
pub(crate) fn height(report: &Report<'_>, metrics: &Metrics, width: u32) -> u32 {
    let last = lines(report, metrics.columns(width)).last();
    last.map_or(0, |(line, ..)| (line + 1) * metrics.line())
}

pub(crate) fn draw<D: DrawTarget<Color: Paint>>(
    target: &mut D,
    report: &Report<'_>,
    metrics: &Metrics,
    area: Rectangle,
) -> Result<(), D::Error> {
    let columns = metrics.columns(area.size.width);
    for (line, column, fact) in lines(report, columns) {
        if (line + 1) * metrics.line() > area.size.height {
            break;
        }
        let x = column as u32 * metrics.font.character_size.width;
        let at = area.top_left + Size::new(x, line * metrics.line());
        let colour = if line == 0 { palette::TEXT } else { palette::QUIET_TEXT };
        text::draw(target, fact.as_str(), metrics.font, at, columns.saturating_sub(column), colour)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;

    #[test]
    fn costs_have_one_decimal() {
        let shown = |cost: Cost<'_>| cost.line().as_str().to_string();
        assert_eq!(shown(Cost::Micros(999)), "999 us");
        assert_eq!(shown(Cost::Micros(4_149)), "4.1 ms");
        assert_eq!(shown(Cost::Micros(1_260_000)), "1.3 s");
        assert_eq!(shown(Cost::Count(67_460_000, "cycles")), "67.5 M cycles");
        assert_eq!(shown(Cost::Count(2_000_000_000, "cycles")), "2.0 G cycles");
        assert_eq!(shown(Cost::Count(12, "cycles")), "12 cycles");
        assert_eq!(shown(Cost::Count(u64::MAX, "")), "18446744073.7 G ");
    }

    #[test]
    fn facts_flow_into_lines() {
        let mut report = Report {
            model: "tiny",
            compression: 0.4,
            costs: &[Cost::Micros(4_100), Cost::Count(12, "cycles")],
            photo: None,
            merged: None,
            labels: &[],
        };
        let flow = |report: &Report<'_>, columns| -> Vec<(u32, usize, String)> {
            lines(report, columns).map(|(line, column, text)| (line, column, text.as_str().to_string())).collect()
        };
        let placed = |line, column, text: &str| (line, column, text.to_string());
        assert_eq!(
            flow(&report, 25),
            [
                placed(0, 0, "tiny"),
                placed(1, 0, "compressed 40.0 %"),
                placed(1, 19, "4.1 ms"),
                placed(2, 0, "12 cycles")
            ]
        );
        report.compression = 0.0;
        assert_eq!(flow(&report, 0).last(), Some(&placed(3, 0, "12 cycles")));
        assert_eq!(permille(f32::NAN), 0);
    }
}
