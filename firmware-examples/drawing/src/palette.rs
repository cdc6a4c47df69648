//! The colours: light on dark, as on most small panels.

use embedded_graphics::pixelcolor::Rgb888;

pub(crate) const BACKGROUND: Rgb888 = Rgb888::new(16, 18, 24);
pub(crate) const DIVIDER: Rgb888 = Rgb888::new(60, 66, 78);
pub(crate) const TEXT: Rgb888 = Rgb888::new(238, 240, 244);
pub(crate) const QUIET_TEXT: Rgb888 = Rgb888::new(160, 168, 180);
pub(crate) const BAR: Rgb888 = Rgb888::new(92, 138, 196);
pub(crate) const BEST_BAR: Rgb888 = Rgb888::new(94, 214, 150);
pub(crate) const BAR_TRACK: Rgb888 = Rgb888::new(44, 49, 60);
pub(crate) const ALARM: Rgb888 = Rgb888::new(200, 48, 48);
pub(crate) const REGION_BORDER: Rgb888 = Rgb888::new(255, 255, 255);
