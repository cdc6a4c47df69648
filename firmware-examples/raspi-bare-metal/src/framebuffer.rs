//! The screen: memory that the video core shows, as a target for embedded-graphics.

use core::convert::Infallible;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::board::Board;
use crate::mailbox::{self, Surface};
use crate::memory::{self, Kind};

/// The screen.
pub struct Framebuffer {
    /// Rows of pixels, each `pitch` long.
    pixels: &'static mut [u32],
    pitch: usize,
    size: Size,
}

impl Framebuffer {
    /// A screen of this width and height; `None` if the video core has none to give. To be called once.
    pub fn new(board: Board, dimensions: [usize; 2]) -> Option<Self> {
        let Surface { address, size, pitch, dimensions: [width, height] } = mailbox::surface(board, dimensions)?;
        // SAFETY: the video core gives memory that the program was not loaded to, and gives it once.
        unsafe { memory::map(address..address + size, Kind::Uncached) };
        let start = core::ptr::with_exposed_provenance_mut::<u32>(address);
        // SAFETY: the video core has set this memory apart for us, aligned as it was asked; it has just been mapped, and nothing else refers
        // to it, as the video core gives it once. It never writes there, and any bits are a pixel.
        let pixels = unsafe { core::slice::from_raw_parts_mut(start, size / 4) };
        Some(Framebuffer { pixels, pitch: pitch / 4, size: Size::new(width as u32, height as u32) })
    }

    /// The part of row `y` that lies in `area`, which the screen contains.
    fn row(&mut self, area: &Rectangle, y: i32) -> &mut [u32] {
        let start = y as usize * self.pitch + area.top_left.x as usize;
        &mut self.pixels[start..][..area.size.width as usize]
    }
}

fn word(color: Rgb888) -> u32 {
    u32::from_be_bytes([0, color.r(), color.g(), color.b()])
}

impl OriginDimensions for Framebuffer {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Framebuffer {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let screen = self.bounding_box();
        for Pixel(point, color) in pixels {
            if screen.contains(point) {
                self.pixels[point.y as usize * self.pitch + point.x as usize] = word(color);
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, color: Rgb888) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        for y in area.rows() {
            self.row(&area, y).fill(word(color));
        }
        Ok(())
    }
}
