//! A display in memory, which takes nothing outside of itself.

use std::convert::Infallible;
use std::fs::File;
use std::path::Path;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;

/// `[height, width]` pixels.
pub struct Canvas<C> {
    pub width: u32,
    pub height: u32,
    pixels: Vec<C>,
}

impl<C: RgbColor + Into<Rgb888>> Canvas<C> {
    pub fn new(width: u32, height: u32) -> Self {
        Canvas { width, height, pixels: vec![C::BLACK; (width * height) as usize] }
    }

    /// `[height, width, 3]` bytes.
    pub fn rgb(&self) -> Vec<u8> {
        let bytes = |colour: &C| {
            let colour: Rgb888 = (*colour).into();
            [colour.r(), colour.g(), colour.b()]
        };
        self.pixels.iter().flat_map(bytes).collect()
    }

    pub fn write_png(&self, path: &Path) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder.write_header().unwrap().write_image_data(&self.rgb()).unwrap();
    }
}

impl<C: RgbColor> OriginDimensions for Canvas<C> {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl<C: RgbColor> DrawTarget for Canvas<C> {
    type Color = C;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<C>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            assert!(self.bounding_box().contains(at), "{at} is outside of {}x{}", self.width, self.height);
            self.pixels[(at.y * self.width as i32 + at.x) as usize] = colour;
        }
        Ok(())
    }
}
