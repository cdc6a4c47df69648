//! Labels with their scores: names, percentages, bars.

use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::header::permille;
use crate::metrics::Metrics;
use crate::{Line, Paint, palette, text};

/// A label and how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its score, 0 to 1.
    pub score: f32,
}

/// Height of one label: a line of text above a bar.
pub(crate) fn row_height(metrics: &Metrics) -> u32 {
    metrics.line() + metrics.bar + metrics.gap
}

/// Draws as many labels as have room in `area`.
pub(crate) fn draw<D: DrawTarget<Color: Paint>>(
    target: &mut D,
    labels: &[Label<'_>],
    metrics: &Metrics,
    area: Rectangle,
) -> Result<(), D::Error> {
    let (width, columns) = (area.size.width, metrics.columns(area.size.width));
    // The gap below the last row may be missing.
    let rows = (area.size.height + metrics.gap) / row_height(metrics);
    for (row, label) in (0..rows).zip(labels) {
        let top = area.top_left + Size::new(0, row * row_height(metrics));
        let tenths = permille(label.score);
        let percent = Line::new(format_args!("{}.{}%", tenths / 10, tenths % 10));
        let wide = text::columns(percent.as_str());
        let for_name = columns.saturating_sub(wide + 1);
        text::draw(target, label.name, metrics.font, top, for_name, palette::TEXT)?;
        if wide <= columns {
            let left = width - wide as u32 * metrics.font.character_size.width;
            let colour = palette::QUIET_TEXT;
            text::draw(target, percent.as_str(), metrics.font, top + Size::new(left, 0), wide, colour)?;
        }
        let bar = |from: u32, to: u32| {
            let corner = top + Size::new(from, metrics.line());
            Rectangle::new(corner, Size::new(to - from, metrics.bar))
        };
        let filled = (width * tenths + 500) / 1000;
        let colour = if row == 0 { palette::BEST_BAR } else { palette::BAR };
        target.fill_solid(&bar(0, filled), colour.into())?;
        target.fill_solid(&bar(filled, width), palette::BAR_TRACK.into())?;
    }
    Ok(())
}
