//! Resampling filters, and the fixed-point weights that they give one dimension.

use super::crop::Side;
use core::ops::Range;

use edgelip_kernels::FRACTION;

/// A resampling filter. It widens when the image shrinks, so that every source pixel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Keys' cubic with a = −½.
    Bicubic,
}

impl Filter {
    /// Half the filter's width, in source pixels of an image that does not shrink.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = if x < 0.0 { -x } else { x };
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// How one dimension is resampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    filter: Filter,
    source: usize,
    scale: f64,
    stretch: f64,
    support: f64,
}

impl Axis {
    /// `None` if the dimension keeps its length: it is then copied.
    pub fn new(filter: Filter, side: &Side) -> Option<Axis> {
        let scale = side.source as f64 / side.resized as f64;
        let stretch = if scale < 1.0 { 1.0 } else { scale };
        let support = filter.support() * stretch;
        (side.source != side.resized).then_some(Axis { filter, source: side.source, scale, stretch, support })
    }

    /// The most source pixels that one output pixel reads.
    pub fn taps(&self) -> usize {
        let reach = self.support as usize;
        reach.saturating_mul(2).saturating_add(3).min(self.source)
    }

    fn centre(&self, output: usize) -> f64 {
        (output as f64 + 0.5) * self.scale
    }

    /// The source pixels that `output` reads.
    pub fn window(&self, output: usize) -> Range<usize> {
        let centre = self.centre(output);
        // Casts from float to integer saturate: a negative start becomes 0.
        let start = ((centre - self.support + 0.5) as usize).min(self.source - 1);
        let end = ((centre + self.support + 0.5) as usize).max(start + 1).min(self.source);
        start..end.min(start + self.taps())
    }

    /// Writes the fixed-point weights of `output` and gives the source pixels they belong to.
    pub fn weights(&self, output: usize, weights: &mut [i32]) -> Range<usize> {
        let window = self.window(output);
        let centre = self.centre(output);
        let narrow = 1.0 / self.stretch;
        let weight = |source: usize| self.filter.at((source as f64 - centre + 0.5) * narrow);
        let mut total = 0.0;
        for source in window.clone() {
            total += weight(source);
        }
        for (slot, source) in weights.iter_mut().zip(window.clone()) {
            let share = if total == 0.0 { weight(source) } else { weight(source) / total };
            let scaled = share * f64::from(1 << FRACTION);
            *slot = if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 } as i32;
        }
        window
    }
}
