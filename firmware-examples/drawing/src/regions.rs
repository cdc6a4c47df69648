//! What merging did to a photo.

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use crate::{Paint, Photo, palette};

/// Which patches ended in which token.
///
/// Drawn over the photo: patches that share a token share a colour, wherever they are; a patch that is a token of its own stays as it is;
/// lines run between patches of different tokens where at least one of them has merged.
#[derive(Clone, Copy, Debug)]
pub struct Regions<'a> {
    tokens: &'a [u16],
    rows: u32,
    columns: u32,
}

/// Cells at least this large have borders of two pixels.
const LARGE_CELL: u32 = 12;

impl<'a> Regions<'a> {
    /// `tokens` are `[rows, columns]`: for each patch the token it ended in. `None` if they are not as many, or none at all.
    pub fn new(tokens: &'a [u16], rows: usize, columns: usize) -> Option<Self> {
        let fits = rows.checked_mul(columns)? == tokens.len() && !tokens.is_empty();
        let (rows, columns) = (u32::try_from(rows).ok()?, u32::try_from(columns).ok()?);
        fits.then_some(Regions { tokens, rows, columns })
    }

    /// The token of a patch, and whether it has others.
    fn token(&self, row: u32, column: u32) -> (u16, bool) {
        let token = self.tokens[(row * self.columns + column) as usize];
        (token, self.tokens.iter().filter(|&&other| other == token).nth(1).is_some())
    }

    /// Fills `area` with the photo and the regions over it.
    pub(crate) fn draw<D: DrawTarget<Color: Paint>>(
        &self,
        target: &mut D,
        photo: &Photo<'_>,
        area: Rectangle,
    ) -> Result<(), D::Error> {
        let start =
            |index: u32, of: u32, length: u32| (u64::from(index) * u64::from(length)).div_ceil(of.into()) as u32;
        for row in 0..self.rows {
            let rows = start(row, self.rows, area.size.height)..start(row + 1, self.rows, area.size.height);
            for column in 0..self.columns {
                let columns =
                    start(column, self.columns, area.size.width)..start(column + 1, self.columns, area.size.width);
                let cell = Rectangle::new(
                    area.top_left + Size::new(columns.start, rows.start),
                    Size::new(columns.len() as u32, rows.len() as u32),
                );
                let style = self.cell(row, column, cell.size);
                let points = rows.clone().flat_map(|y| columns.clone().map(move |x| (x, y)));
                let colours = points.map(|(x, y)| {
                    let photo = photo.colour(area.size, x, y);
                    style.colour(photo, Point::new((x - columns.start) as i32, (y - rows.start) as i32)).into()
                });
                target.fill_contiguous(&cell, colours)?;
            }
        }
        Ok(())
    }

    fn cell(&self, row: u32, column: u32, size: Size) -> Cell {
        let (token, merged) = self.token(row, column);
        let differs = |row: u32, column: u32| {
            let inside = row < self.rows && column < self.columns;
            inside && {
                let (other, other_merged) = self.token(row, column);
                other != token && (merged || other_merged)
            }
        };
        let both_sides = size.width.min(size.height) >= LARGE_CELL;
        let right_and_below = [differs(row, column + 1), differs(row + 1, column)];
        let before = |index: u32| index.wrapping_sub(1);
        let left_and_above = [both_sides && differs(row, before(column)), both_sides && differs(before(row), column)];
        Cell { tint: merged.then(|| hue(token)), size, right_and_below, left_and_above }
    }
}

/// How one patch is drawn.
struct Cell {
    tint: Option<Rgb888>,
    size: Size,
    right_and_below: [bool; 2],
    left_and_above: [bool; 2],
}

impl Cell {
    fn colour(&self, photo: Rgb888, at: Point) -> Rgb888 {
        let (last_x, last_y) = (self.size.width as i32 - 1, self.size.height as i32 - 1);
        let [right, below] = self.right_and_below;
        let [left, above] = self.left_and_above;
        if right && at.x == last_x || below && at.y == last_y || left && at.x == 0 || above && at.y == 0 {
            return palette::REGION_BORDER;
        }
        // More photo than tint: both content and colour are seen.
        let mix = |photo: u8, tint: u8| ((3 * u16::from(photo) + 2 * u16::from(tint)) / 5) as u8;
        self.tint.map_or(photo, |tint| {
            Rgb888::new(mix(photo.r(), tint.r()), mix(photo.g(), tint.g()), mix(photo.b(), tint.b()))
        })
    }
}

/// A colour for a token: hues at the golden ratio's distance, so that neighbours in number are far apart in colour.
fn hue(token: u16) -> Rgb888 {
    // The six sides of the colour wheel, 256 steps each.
    let at = u32::from(token.wrapping_mul(40_503)) * 6 / 256;
    let (side, up) = (at / 256, (at % 256) as u8);
    let down = 255 - up;
    match side {
        0 => Rgb888::new(255, up, 0),
        1 => Rgb888::new(down, 255, 0),
        2 => Rgb888::new(0, 255, up),
        3 => Rgb888::new(0, down, 255),
        4 => Rgb888::new(up, 0, 255),
        _ => Rgb888::new(255, 0, down),
    }
}

#[cfg(test)]
mod tests {
    use embedded_graphics::mock_display::MockDisplay;

    use super::*;

    #[test]
    fn merged_patches_are_tinted_and_bordered() {
        let grey = [100; 6 * 6 * 3];
        let photo = Photo::new(&grey, 6, 6).unwrap();
        // The left column and the lower right corner became one token.
        let regions = Regions::new(&[7, 0, 7, 7], 2, 2).unwrap();
        let mut display = MockDisplay::<Rgb888>::new();
        regions.draw(&mut display, &photo, Rectangle::new(Point::zero(), Size::new_equal(6))).unwrap();
        let at = |x, y| display.get_pixel(Point::new(x, y)).unwrap();
        let tint = at(0, 0);
        assert!(tint != Rgb888::new(100, 100, 100) && tint != palette::REGION_BORDER);
        for (x, y) in [(1, 1), (0, 5), (2, 5), (3, 3), (5, 5)] {
            assert_eq!(at(x, y), tint, "{x} {y}");
        }
        for (x, y) in [(3, 0), (5, 1), (4, 0)] {
            assert_eq!(at(x, y), Rgb888::new(100, 100, 100), "{x} {y}");
        }
        for (x, y) in [(2, 0), (2, 1), (2, 2), (3, 2), (5, 2)] {
            assert_eq!(at(x, y), palette::REGION_BORDER, "{x} {y}");
        }
    }

    #[test]
    fn nothing_merged_is_the_photo() {
        let pixels: [u8; 4 * 4 * 3] = core::array::from_fn(|index| index as u8);
        let photo = Photo::new(&pixels, 4, 4).unwrap();
        let area = Rectangle::new(Point::zero(), Size::new_equal(32));
        let (mut plain, mut over) = (MockDisplay::<Rgb888>::new(), MockDisplay::<Rgb888>::new());
        photo.draw(&mut plain, area).unwrap();
        Regions::new(&[0, 1, 2, 3], 2, 2).unwrap().draw(&mut over, &photo, area).unwrap();
        assert!(
            (0..32 * 32)
                .all(|i| plain.get_pixel(Point::new(i % 32, i / 32)) == over.get_pixel(Point::new(i % 32, i / 32)))
        );
        assert!(Regions::new(&[0; 3], 2, 2).is_none() && Regions::new(&[], 0, 0).is_none());
    }
}
