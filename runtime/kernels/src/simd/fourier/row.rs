use super::level::{Branches, Reals, Split, SplitLast, Unite, UniteLast};
use super::{Pass, Register, for_inner, for_last, plain};
use crate::LANES;

/// Rows that are transformed together.
const ROWS: usize = 4;

/// Transforms the rows of the input into the spectrum.
///
/// # Safety
/// The shapes of the pass have been checked.
#[inline(always)]
pub unsafe fn forward<S: Register>(pass: &Pass<S>) {
    let [height, width] = pass.filter.grid;
    let x = pass.filter.x.data()[pass.filter.panel * LANES + pass.channel..].as_ptr().cast_mut();
    let stride = pass.filter.x.stride();
    for first in (0..height).step_by(ROWS) {
        let rows = ROWS.min(height - first);
        let mut from = Reals { at: x.wrapping_add(first * width * stride), step: stride, pitch: width * stride };
        let mut to = Branches::new(pass, first, rows);
        for level in pass.filter.plan.levels() {
            // SAFETY: rows were checked to have the panel's columns; the spectrum and the line are this pass's alone.
            unsafe {
                if level.m > 1 {
                    let rest = Reals::between_levels(pass);
                    for_inner!(level.r, R => pass.s.apart(Split::<R> { level, from, to: &to, rest }));
                    to.transform::<S, true>(pass.s, level);
                    from = rest;
                    to.start = to.end::<S>(level);
                } else {
                    for_last!(
                        level.r,
                        R => pass.s.apart(SplitLast::<R> { from, to: &to }),
                        _ => pass.s.apart(plain::Forward { from, to: &to })
                    );
                }
            }
        }
    }
}

/// Transforms the spectrum back and adds it to the result, with the bias.
///
/// # Safety
/// The shapes of the pass have been checked.
#[inline(always)]
pub unsafe fn backward<S: Register>(pass: &Pass<S>) {
    let [height, width] = pass.filter.grid;
    let (y, stride) = pass.filter.y.column(pass.filter.panel * LANES + pass.channel);
    // SAFETY: the pass's channels are among those of the panel.
    let bias = unsafe { pass.s.load(pass.filter.bias.as_ptr().add(pass.channel)) };
    for first in (0..height).step_by(ROWS) {
        let rows = ROWS.min(height - first);
        let y = Reals { at: y.wrapping_add(first * width * stride), step: stride, pitch: width * stride };
        let mut from = Branches::new(pass, first, rows);
        from.start = from.start.wrapping_add(pass.pitch());
        for (index, level) in pass.filter.plan.levels().iter().enumerate().rev() {
            let rest = Reals::between_levels(pass);
            let (to, bias) = if index == 0 { (y, Some(bias)) } else { (rest, None) };
            from.start = from.start.wrapping_sub(level.places() * Pass::<S>::STEP);
            // SAFETY: as in `forward`; nobody else writes the panel's columns.
            unsafe {
                if level.m > 1 {
                    from.transform::<S, false>(pass.s, level);
                    for_inner!(level.r, R => pass.s.apart(Unite::<S::V, R> { level, from: &from, rest, to, bias }));
                } else {
                    for_last!(
                        level.r,
                        R => pass.s.apart(UniteLast::<S::V, R> { from: &from, to, bias }),
                        _ => pass.s.apart(plain::Backward { from: &from, to, bias: bias.unwrap_or(pass.s.splat(0.0)) })
                    );
                }
            }
        }
    }
}
