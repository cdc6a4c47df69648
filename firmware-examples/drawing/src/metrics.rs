use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_5X8, FONT_6X10, FONT_8X13, FONT_10X20};
use embedded_graphics::prelude::*;

/// Sizes of what is drawn, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics {
    pub font: &'static MonoFont<'static>,
    /// Between things.
    pub gap: u32,
    /// Height of a score's bar.
    pub bar: u32,
}

impl Metrics {
    /// The largest sizes that leave room for a photo and a few labels on a panel of this size.
    pub(crate) fn new(panel: Size) -> Self {
        match (panel.width, panel.height) {
            (600.., 400..) => Metrics { font: &FONT_10X20, gap: 8, bar: 8 },
            (300.., 400..) => Metrics { font: &FONT_8X13, gap: 6, bar: 6 },
            (200.., 150..) => Metrics { font: &FONT_6X10, gap: 4, bar: 4 },
            _ => Metrics { font: &FONT_5X8, gap: 2, bar: 3 },
        }
    }

    /// Height of a line of text.
    pub(crate) fn line(&self) -> u32 {
        self.font.character_size.height + 1
    }

    /// How many characters fit into this width.
    pub(crate) fn columns(&self, width: u32) -> usize {
        (width / self.font.character_size.width) as usize
    }
}
