//! One model's share of the screen.

use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::metrics::Metrics;
use crate::{Paint, Report, header, labels};

/// So many labels have their place before the photo grows.
const WANTED_LABELS: usize = 5;

/// Where things are in a panel.
struct Layout {
    header: Rectangle,
    photo: Rectangle,
    labels: Rectangle,
}

impl Layout {
    /// Header above; then photo and labels one beside the other in a wide panel, else one above the other.
    fn new(report: &Report<'_>, metrics: &Metrics, header: u32, area: Rectangle) -> Self {
        let Size { width, height } = area.size;
        let header = header.min(height);
        let top = (header + metrics.gap).min(height);
        let body = Rectangle::new(area.top_left + Size::new(0, top), Size::new(width, height - top));
        let room = body.size;
        let rows = report.labels.len().min(WANTED_LABELS) as u32;
        let wide = rows > 0 && width * 4 >= height * 5;
        let for_photo = match wide {
            true => Size::new(width / 2, room.height),
            false => {
                let for_labels = (rows * labels::row_height(metrics)).min(room.height * 2 / 3);
                Size::new(width, room.height - for_labels)
            }
        };
        let photo = report.photo.map_or(Size::zero(), |photo| photo.size_within(for_photo));
        let gap = if photo == Size::zero() { 0 } else { metrics.gap };
        let (corner, beside) = match wide {
            true => (Size::zero(), Size::new((photo.width + gap).min(width), 0)),
            false => (Size::new((width - photo.width) / 2, 0), Size::new(0, (photo.height + gap).min(room.height))),
        };
        Layout {
            header: Rectangle::new(area.top_left, Size::new(width, header)),
            photo: Rectangle::new(body.top_left + corner, photo),
            labels: Rectangle::new(body.top_left + beside, room - beside),
        }
    }
}

/// The height that a report's header needs in a panel of this size.
pub(crate) fn header_height(report: &Report<'_>, panel: Size) -> u32 {
    header::height(report, &Metrics::new(panel), panel.width)
}

/// Draws a report into `area`, whose background has been drawn. The header takes this height, so that panels side by side align.
pub(crate) fn draw<D: DrawTarget<Color: Paint>>(
    target: &mut D,
    report: &Report<'_>,
    header: u32,
    area: Rectangle,
) -> Result<(), D::Error> {
    let metrics = Metrics::new(area.size);
    let layout = Layout::new(report, &metrics, header, area);
    header::draw(target, report, &metrics, layout.header)?;
    match (&report.photo, &report.merged) {
        (Some(photo), Some(regions)) => regions.draw(target, photo, layout.photo)?,
        (Some(photo), None) => photo.draw(target, layout.photo)?,
        (None, _) => {}
    }
    labels::draw(target, report.labels, &metrics, layout.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Label, Photo};

    #[test]
    fn parts_lie_within_and_apart_at_every_size() {
        let pixels = [0; 12 * 8 * 3];
        let label = Label { name: "", score: 0.0 };
        for labels in [&[][..], &[label][..], &[label; 7][..]] {
            for photo in [None, Photo::new(&pixels, 12, 8), Photo::new(&pixels, 8, 12)] {
                let report = Report { model: "m", compression: 0.5, costs: &[], photo, merged: None, labels };
                for size in (0..90).flat_map(|w| (0..90).map(move |h| Size::new(w * 11, h * 9))) {
                    let area = Rectangle::new(Point::new(3, 5), size);
                    let header = header_height(&report, size);
                    let Layout { header, photo, labels } = Layout::new(&report, &Metrics::new(size), header, area);
                    for part in [header, photo, labels].into_iter().filter(|part| !part.is_zero_sized()) {
                        assert_eq!(area.intersection(&part).size, part.size, "{size} {part:?}");
                    }
                    for (a, b) in [(header, photo), (header, labels), (photo, labels)] {
                        assert!(a.intersection(&b).is_zero_sized(), "{size} {a:?} {b:?}");
                    }
                }
            }
        }
    }
}
