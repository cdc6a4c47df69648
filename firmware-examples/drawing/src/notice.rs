use embedded_graphics::prelude::*;

use crate::metrics::Metrics;
use crate::screen::inset;
use crate::{Paint, palette, text};

/// Why there is nothing to report, for a person in front of the screen.
///
/// ```
/// use edgelip_drawing::{Line, Notice};
/// let text = Line::new(format_args!("It needs {} KiB, the arena has {} KiB.", 620, 156));
/// let notice = Notice { title: "Model too large for the arena", text: text.as_str() };
/// # let mut display = embedded_graphics::mock_display::MockDisplay::<embedded_graphics::pixelcolor::Rgb565>::new();
/// # display.set_allow_overdraw(true);
/// notice.draw(&mut display).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// What is wrong, in a few words.
    pub title: &'a str,
    /// More about it, and what to do. Broken into lines.
    pub text: &'a str,
}

impl Notice<'_> {
    /// Fills `target` with this notice, whatever its size.
    ///
    /// # Errors
    /// Those of the target.
    pub fn draw<D: DrawTarget<Color: Paint>>(&self, target: &mut D) -> Result<(), D::Error> {
        let bounds = target.bounding_box();
        let metrics = Metrics::new(bounds.size);
        target.clear(palette::BACKGROUND.into())?;
        let area = inset(bounds, metrics.gap);
        let columns = metrics.columns(area.size.width);
        let rows = area.size.height / metrics.line();
        let title_rows = (text::wrapped(self.title, columns).count() as u32).min(rows);
        let mut band = bounds;
        band.size.height = (title_rows * metrics.line() + 2 * metrics.gap).min(bounds.size.height);
        target.fill_solid(&band, palette::ALARM.into())?;

        // The title's lower margin and a gap below the band take the place of lines.
        let below = 2 * metrics.gap;
        let text_rows = (area.size.height.saturating_sub(title_rows * metrics.line() + below)) / metrics.line();
        for (lines, rows, top) in
            [(self.title, title_rows, 0), (self.text, text_rows, title_rows * metrics.line() + below)]
        {
            for (row, (line, rest)) in (0..rows).zip(text::wrapped(lines, columns)) {
                // The last row shows by its dots that more would follow.
                let line = if row + 1 == rows { rest } else { line };
                let at = area.top_left + Size::new(0, top + row * metrics.line());
                text::draw(target, line, metrics.font, at, columns, palette::TEXT)?;
            }
        }
        Ok(())
    }
}
