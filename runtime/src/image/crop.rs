//! Which pixels of the resized image end up where in the output.

use super::{Centre, Preprocess, Resize};
use crate::Error;

/// The largest product of two sides that an `f64` holds exactly; the reference computes the longer side in `f64`.
const EXACT: u64 = 1 << 53;

/// One dimension: `source` pixels are resampled to `resized`, of which `taken` from `first` on are written at `offset` of
/// an output of `output` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub source: usize,
    pub resized: usize,
    pub first: usize,
    pub taken: usize,
    pub offset: usize,
    pub output: usize,
}

impl Side {
    fn new(source: usize, resized: usize, crop: Option<usize>, centre: Centre) -> Side {
        let output = crop.unwrap_or(resized);
        let (excess, lack) = (resized.saturating_sub(output), output.saturating_sub(resized));
        let (first, offset) = match centre {
            Centre::Floor => (excess / 2, lack.div_ceil(2)),
            Centre::Even => (excess / 2 + usize::from(excess % 4 == 3), lack / 2),
        };
        Side { source, resized, first, taken: resized.min(output), offset, output }
    }
}

/// Both dimensions of an image's way through resize and crop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub rows: Side,
    pub columns: Side,
}

impl Geometry {
    pub fn new(preprocess: &Preprocess, height: usize, width: usize) -> Result<Geometry, Error> {
        if height == 0 || width == 0 {
            return Err(Error::Image);
        }
        let (resized_height, resized_width) = match preprocess.resize {
            Resize::None => (height, width),
            Resize::Exact(height, width) => (height, width),
            Resize::Shortest(short) if width <= height => (longer(short, width, height)?, short),
            Resize::Shortest(short) => (short, longer(short, height, width)?),
        };
        let rows = Side::new(height, resized_height, preprocess.crop.map(|[height, _]| height), preprocess.centre);
        let columns = Side::new(width, resized_width, preprocess.crop.map(|[_, width]| width), preprocess.centre);
        if rows.taken == 0 || columns.taken == 0 {
            return Err(Error::Image);
        }
        Ok(Geometry { rows, columns })
    }

    pub fn output(&self) -> [usize; 2] {
        [self.rows.output, self.columns.output]
    }

    pub fn is_padded(&self) -> bool {
        self.rows.taken < self.rows.output || self.columns.taken < self.columns.output
    }
}

/// The longer side's new length when the shorter one goes from `from` to `to`, rounded down.
fn longer(to: usize, from: usize, longer: usize) -> Result<usize, Error> {
    let product = (to as u64).checked_mul(longer as u64).filter(|&product| product < EXACT).ok_or(Error::TooLarge)?;
    usize::try_from(product / (from as u64).max(1)).map_err(|_| Error::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centre_and_padding() {
        let side = |resized, centre| {
            let side = Side::new(1, resized, Some(64), centre);
            (side.first, side.taken, side.offset)
        };
        for (resized, floor, even) in [
            (65, (0, 64, 0), (0, 64, 0)),
            (66, (1, 64, 0), (1, 64, 0)),
            (67, (1, 64, 0), (2, 64, 0)),
            (69, (2, 64, 0), (2, 64, 0)),
            (63, (0, 63, 1), (0, 63, 0)),
            (60, (0, 60, 2), (0, 60, 2)),
        ] {
            assert_eq!([side(resized, Centre::Floor), side(resized, Centre::Even)], [floor, even], "{resized}");
        }
    }

    #[test]
    fn long_side_is_rounded_down() {
        assert_eq!(longer(224, 333, 501), Ok(337));
        assert_eq!(longer(224, 1, usize::MAX), Err(Error::TooLarge));
    }
}
