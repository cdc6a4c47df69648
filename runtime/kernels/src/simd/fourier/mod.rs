//! The global filter, by fast transforms with the channels in the lanes.
//!
//! Rows become spectra of real numbers, columns are transformed, multiplied and transformed back, and rows once more. Nothing
//! is put in order in between: coefficients stay where a transform leaves them, and the filter's are taken to match.

mod column;
mod level;
mod lines;
mod plain;
mod radix;
mod row;

use super::register::{Register, Work};
use crate::LANES;
use crate::table::Filter;

/// Evaluates `$call` with the constant `$n` equal to the last radix of a transform, or else `$otherwise`.
macro_rules! for_last {
    ($radix:expr, $n:ident => $call:expr, _ => $otherwise:expr) => {
        crate::simd::fourier::for_radix!($radix, [1 2 3 4 5 7 8 9 12 14 16], $n => $call, _ => $otherwise)
    };
}
/// Evaluates `$call` with the constant `$n` equal to a radix before the last.
macro_rules! for_inner {
    ($radix:expr, $n:ident => $call:expr) => {
        crate::simd::fourier::for_radix!($radix, [3 5 7 8], $n => $call, _ => {})
    };
}
macro_rules! for_radix {
    ($radix:expr, [$($r:literal)*], $n:ident => $call:expr, _ => $otherwise:expr) => {
        match $radix {
            $($r => {
                const $n: usize = $r;
                $call
            })*
            _ => $otherwise,
        }
    };
}
use {for_inner, for_last, for_radix};

/// As many channels of a filter as there are lanes in a register.
#[derive(Clone, Copy)]
struct Pass<'a, S> {
    s: S,
    filter: &'a Filter<'a>,
    /// First of the channels, in the panel.
    channel: usize,
    /// `[H, W / 2 + 1]` complex numbers.
    spectrum: *mut f32,
    /// Room for as many complex numbers as the longer side has.
    line: *mut f32,
}

impl<S: Register> Pass<'_, S> {
    /// From a complex number to the next; the imaginary part lies half-way.
    const STEP: usize = 2 * S::LANES;

    /// From a row of the spectrum to the next.
    #[inline(always)]
    fn pitch(&self) -> usize {
        (self.filter.grid[1] / 2 + 1) * Self::STEP
    }
}

/// Filters one panel. To run it is safe if the shapes have been checked.
pub struct Panel<'a> {
    pub filter: &'a Filter<'a>,
    pub scratch: &'a mut [f32],
}

impl<S: Register> Work<S> for Panel<'_> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let Panel { filter, scratch } = self;
        let [height, width] = filter.grid;
        let aligned = scratch.as_ptr().align_offset(64).min(LANES);
        let (spectrum, line) = scratch[aligned..].split_at_mut(height * (width / 2 + 1) * 2 * S::LANES);
        let line = &mut line[..height.max(width) * 2 * S::LANES];
        for channel in (0..LANES).step_by(S::LANES) {
            let pass = Pass { s, filter, channel, spectrum: spectrum.as_mut_ptr(), line: line.as_mut_ptr() };
            // SAFETY: the shapes are the caller's promise, and the parts of scratch were cut to measure.
            unsafe {
                row::forward(&pass);
                column::filter(&pass);
                row::backward(&pass);
            }
        }
    }
}
