use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::metrics::Metrics;
use crate::{Paint, Report, palette, panel, text};

/// The whole of what is shown: one report, or several side by side.
#[derive(Clone, Copy, Debug)]
pub struct Screen<'a> {
    /// One for each model. They share the longer side of the screen.
    pub reports: &'a [Report<'a>],
    /// A line at the bottom, for example the frame rate.
    pub status: Option<&'a str>,
}

impl Screen<'_> {
    /// Fills `target` with this screen, whatever its size.
    ///
    /// # Errors
    /// Those of the target.
    pub fn draw<D: DrawTarget<Color: Paint>>(&self, target: &mut D) -> Result<(), D::Error> {
        let bounds = target.bounding_box();
        target.clear(palette::BACKGROUND.into())?;
        let Metrics { gap, .. } = Metrics::new(bounds.size);
        let mut area = inset(bounds, gap);
        if let Some(status) = self.status {
            area.size.height = self.draw_status(target, status, area)?;
        }
        let count = self.reports.len() as u32;
        let beside = bounds.size.width >= bounds.size.height;
        let along = |size: Size| if beside { size.width } else { size.height };
        let share = (along(area.size) + gap) / count.max(1);
        let length = share.saturating_sub(gap);
        let part = |offset, length| match beside {
            true => (Size::new(offset, 0), Size::new(length, area.size.height)),
            false => (Size::new(0, offset), Size::new(area.size.width, length)),
        };
        let size = part(0, length).1;
        let header = self.reports.iter().map(|report| panel::header_height(report, size)).max().unwrap_or(0);
        for (index, report) in (0..).zip(self.reports) {
            let offset = index * share;
            let corner = area.top_left + part(offset, length).0;
            panel::draw(target, report, header, Rectangle::new(corner, size))?;
            if index > 0 && length > 0 {
                let (corner, line) = part(offset - gap.div_ceil(2), 1);
                target.fill_solid(&Rectangle::new(area.top_left + corner, line), palette::DIVIDER.into())?;
            }
        }
        Ok(())
    }

    /// Draws the line at the bottom of `area`; the height that is left above it.
    fn draw_status<D: DrawTarget<Color: Paint>>(
        &self,
        target: &mut D,
        status: &str,
        area: Rectangle,
    ) -> Result<u32, D::Error> {
        let metrics = Metrics::new(area.size);
        let Some(above) = area.size.height.checked_sub(metrics.line()) else { return Ok(area.size.height) };
        let at = area.top_left + Size::new(0, above);
        text::draw(target, status, metrics.font, at, metrics.columns(area.size.width), palette::QUIET_TEXT)?;
        Ok(above.saturating_sub(metrics.gap))
    }
}

/// `area` without a margin.
pub(crate) fn inset(area: Rectangle, margin: u32) -> Rectangle {
    let size = area.size.saturating_sub(Size::new_equal(2 * margin));
    Rectangle::new(area.top_left + Size::new_equal(margin), size)
}
