//! The global filter, by fast transforms with the channels in the lanes.

mod column;
mod radix;
mod row;
mod stage;

use super::register::Register;
use crate::LANES;
use crate::table::Filter;

/// Evaluates `$call` with `$n` constant and equal to the radix, or to `ANY`.
macro_rules! for_radix {
    ($radix:expr, $n:ident => $call:expr) => {
        for_radix!(@arms $radix, $n, $call, 1 2 3 4 5 7 8)
    };
    (@arms $radix:expr, $n:ident, $call:expr, $($r:literal)*) => {
        match $radix {
            $($r => {
                const $n: usize = $r;
                $call
            })*
            _ => {
                const $n: usize = crate::simd::fourier::radix::ANY;
                $call
            }
        }
    };
}
pub(crate) use for_radix;

/// One panel of a filter.
#[inline(always)]
pub fn filter<S: Register>(s: S, filter: &Filter, scratch: &mut [f32]) {
    let [height, width] = filter.grid;
    let aligned = scratch.as_ptr().align_offset(64).min(LANES);
    let spectrum = scratch[aligned..].as_mut_ptr();
    let pass =
        Pass { s, filter, spectrum, line: spectrum.wrapping_add(height * (width / 2 + 1) * 2 * S::LANES), lane: 0 };
    for lane in (0..LANES).step_by(S::LANES) {
        let pass = Pass { lane, ..pass };
        // SAFETY: the shapes were checked
        unsafe {
            row::forward(&pass);
            column::filter(&pass);
            row::backward(&pass);
        }
    }
}

/// As many channels as there are lanes in a register.
#[derive(Clone, Copy)]
struct Pass<'a, S> {
    s: S,
    filter: &'a Filter<'a>,
    /// `[H, W/2 + 1, 2, lanes]`
    spectrum: *mut f32,
    /// `[ROWS, W/2, lanes]`
    line: *mut f32,
    /// First lane in the panel.
    lane: usize,
}
