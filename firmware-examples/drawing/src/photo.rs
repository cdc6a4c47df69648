use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::Paint;

/// A borrowed picture, 8 bits a channel.
#[derive(Clone, Copy, Debug)]
pub struct Photo<'a> {
    pixels: &'a [u8],
    height: u32,
    width: u32,
}

impl<'a> Photo<'a> {
    /// `pixels` are `[height, width, 3]`, red first. `None` if they are not as many, or none at all.
    pub fn new(pixels: &'a [u8], height: usize, width: usize) -> Option<Self> {
        let bytes = height.checked_mul(width)?.checked_mul(3)?;
        let (height, width) = (u32::try_from(height).ok()?, u32::try_from(width).ok()?);
        (bytes == pixels.len() && bytes > 0).then_some(Photo { pixels, height, width })
    }

    /// The largest size within `room` that keeps the proportions: a whole multiple of the photo's, or smaller than the photo.
    pub(crate) fn size_within(&self, room: Size) -> Size {
        let factor = (room.width / self.width).min(room.height / self.height);
        if factor > 0 {
            return Size::new(self.width * factor, self.height * factor);
        }
        let scaled = |length: u32, by: u32, of: u32| (u64::from(length) * u64::from(by) / u64::from(of)) as u32;
        let by_width = Size::new(room.width, scaled(room.width, self.height, self.width));
        let by_height = Size::new(scaled(room.height, self.width, self.height), room.height);
        if by_width.height <= room.height { by_width } else { by_height }
    }

    /// The colour at `x`, `y` of the photo drawn in this size: that of the nearest pixel.
    pub(crate) fn colour(&self, size: Size, x: u32, y: u32) -> Rgb888 {
        let nearest = |at: u32, of: u32, length: u32| u64::from(at) * u64::from(length) / u64::from(of.max(1));
        let index = nearest(y, size.height, self.height) * u64::from(self.width) + nearest(x, size.width, self.width);
        let pixel = self.pixels.get(3 * index as usize..).and_then(|rest| rest.first_chunk());
        let [red, green, blue] = *pixel.unwrap_or(&[0; 3]);
        Rgb888::new(red, green, blue)
    }

    /// Fills `area` with the photo.
    pub(crate) fn draw<D: DrawTarget<Color: Paint>>(&self, target: &mut D, area: Rectangle) -> Result<(), D::Error> {
        let size = area.size;
        let points = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
        target.fill_contiguous(&area, points.map(|(x, y)| self.colour(size, x, y).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_grows_by_whole_numbers_and_shrinks_by_any() {
        let photo = Photo::new(&[0; 4 * 6 * 3], 4, 6).unwrap();
        assert_eq!(photo.size_within(Size::new(17, 100)), Size::new(12, 8));
        assert_eq!(photo.size_within(Size::new(6, 4)), Size::new(6, 4));
        assert_eq!(photo.size_within(Size::new(5, 4)), Size::new(5, 3));
        assert_eq!(photo.size_within(Size::new(100, 3)), Size::new(4, 3));
        assert_eq!(photo.size_within(Size::new(0, 3)), Size::zero());
        assert!(Photo::new(&[0; 5], 1, 2).is_none() && Photo::new(&[], 0, 2).is_none());
        assert!(Photo::new(&[0; 5], usize::MAX, 2).is_none());
    }

    #[test]
    fn pixels_repeat_and_are_left_out() {
        let photo = Photo::new(&[1, 2, 3, 4, 5, 6], 1, 2).unwrap();
        let row = |width| (0..width).map(move |x| photo.colour(Size::new(width, 1), x, 0).r());
        assert!(row(4).eq([1, 1, 4, 4]));
        assert!(row(1).eq([1]));
    }
}
