use std::convert::Infallible;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

/// A picture in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// `[height, width, 3]`.
    data: Vec<u8>,
    width: u32,
    height: u32,
}

impl Canvas {
    /// A black picture.
    pub fn new([width, height]: [u32; 2]) -> Self {
        Canvas { data: vec![0; width as usize * height as usize * 3], width, height }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        [self.width, self.height]
    }

    /// `[height, width, 3]` bytes, red first.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The rows, `[width, 3]` bytes each.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.data.chunks_exact((self.width as usize * 3).max(1))
    }

    /// The bytes of a row from column `x` on, both inside of the picture.
    fn row_mut(&mut self, x: i32, y: i32) -> &mut [u8] {
        let row = self.width as usize * 3;
        &mut self.data[y as usize * row..][..row][x as usize * 3..]
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

fn bytes(colour: Rgb888) -> [u8; 3] {
    [colour.r(), colour.g(), colour.b()]
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let bounds = self.bounding_box();
        for Pixel(at, colour) in pixels {
            if bounds.contains(at) {
                self.row_mut(at.x, at.y)[..3].copy_from_slice(&bytes(colour));
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        for y in area.rows() {
            let row = &mut self.row_mut(area.top_left.x, y)[..area.size.width as usize * 3];
            row.as_chunks_mut().0.fill(bytes(colour));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_left_out() {
        let mut canvas = Canvas::new([3, 2]);
        canvas.fill_solid(&Rectangle::new(Point::new(2, -5), Size::new(9, 6)), Rgb888::new(1, 2, 3)).unwrap();
        canvas
            .draw_iter([Pixel(Point::new(0, 1), Rgb888::new(4, 5, 6)), Pixel(Point::new(3, 0), Rgb888::WHITE)])
            .unwrap();
        assert_eq!(canvas.data(), [0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0]);
        assert_eq!(canvas.rows().count(), 2);
        Canvas::new([0, 2]).fill_solid(&Rectangle::new(Point::zero(), Size::new(1, 1)), Rgb888::WHITE).unwrap();
    }
}
