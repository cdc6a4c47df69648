//! Sides with a prime factor that has no transform of its own: sums as they are defined.

use super::column::Column;
use super::level::{Branches, Reals};
use super::radix::times;
use super::{Pass, Register, Work};

/// Transforms rows of real numbers. To run it is safe if they, and room for their spectra, are there.
pub struct Forward<'a> {
    pub from: Reals,
    pub to: &'a Branches<'a>,
}

impl<S: Register> Work<S> for Forward<'_> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let Forward { from, to } = self;
        let width = to.roots.len();
        for row in 0..to.rows {
            for v in 0..width / 2 + 1 {
                let mut sum = [s.splat(0.0); 2];
                for w in 0..width {
                    let [cosine, sine] = to.roots[v * w % width];
                    // SAFETY: the row is there.
                    let x = unsafe { s.load(from.at.add(row * from.pitch + w * from.step)) };
                    sum = [s.fma(x, s.splat(cosine), sum[0]), s.fma(x, s.splat(sine), sum[1])];
                }
                // SAFETY: so is its spectrum.
                unsafe {
                    let to = to.start.add(row * to.pitch + place(v, width) * Pass::<S>::STEP);
                    s.store(sum[0], to);
                    s.store(sum[1], to.add(S::LANES));
                }
            }
        }
    }
}

/// Transforms rows back, and adds twice the numbers and a bias to what is there. To run it is safe if the spectra and the rows are
/// there.
pub struct Backward<'a, V> {
    pub from: &'a Branches<'a>,
    pub to: Reals,
    pub bias: V,
}

impl<S: Register> Work<S> for Backward<'_, S::V> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let Backward { from, to, bias } = self;
        let width = from.roots.len();
        for row in 0..from.rows {
            for w in 0..width {
                let mut sum = s.splat(0.0);
                for v in 0..width / 2 + 1 {
                    // The coefficients that are not their own mirror images stand for two.
                    let weight = if v == 0 || 2 * v == width { 0.5 } else { 1.0 };
                    let [cosine, sine] = from.roots[v * w % width];
                    // SAFETY: the spectrum is there.
                    unsafe {
                        let from = from.start.add(row * from.pitch + place(v, width) * Pass::<S>::STEP);
                        sum = s.fma(s.load(from), s.splat(weight * cosine), sum);
                        sum = s.fma(s.load(from.add(S::LANES)), s.splat(weight * sine), sum);
                    }
                }
                // SAFETY: so is the row.
                unsafe {
                    let to = to.at.add(row * to.pitch + w * to.step);
                    s.store(s.fma(s.splat(2.0), sum, s.add(s.load(to), bias)), to);
                }
            }
        }
    }
}

/// Where coefficient `v` is put: the lowest last, as in other rows.
#[inline(always)]
fn place(v: usize, width: usize) -> usize {
    if v == 0 { width / 2 } else { v - 1 }
}

/// Transforms a column, multiplies it with the filter and transforms it back. To run it is safe if the shapes of the pass have been
/// checked.
pub struct Whole<'a, S>(pub &'a Column<'a, S>);

impl<S: Register> Work<S> for Whole<'_, S> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let &Column { pass, parts: [re, im], .. } = self.0;
        let (height, pitch) = (pass.filter.grid[0], pass.pitch());
        let roots = pass.filter.roots[0];
        for u in 0..height {
            let mut sum = [s.splat(0.0); 2];
            for h in 0..height {
                // SAFETY: the column is part of the spectrum.
                let z = unsafe { [s.load(re.add(h * pitch)), s.load(im.add(h * pitch))] };
                sum = add_product(s, sum, z, roots[u * h % height]);
            }
            // SAFETY: the shapes were checked, and the line has room for a column.
            unsafe {
                let product = times(s, sum, self.0.coefficient(u));
                let to = pass.line.add(u * Pass::<S>::STEP);
                s.store(product[0], to);
                s.store(product[1], to.add(S::LANES));
            }
        }
        for h in 0..height {
            let mut sum = [s.splat(0.0); 2];
            for u in 0..height {
                // SAFETY: as above.
                let exchanged = unsafe {
                    let from = pass.line.add(u * Pass::<S>::STEP);
                    [s.load(from.add(S::LANES)), s.load(from)]
                };
                sum = add_product(s, sum, exchanged, roots[u * h % height]);
            }
            // SAFETY: as above; the spectrum is this pass's alone.
            unsafe {
                s.store(sum[1], re.add(h * pitch));
                s.store(sum[0], im.add(h * pitch));
            }
        }
    }
}

/// `sum + a · root`
#[inline(always)]
fn add_product<S: Register>(s: S, sum: [S::V; 2], a: [S::V; 2], root: [f32; 2]) -> [S::V; 2] {
    let [cosine, sine] = [s.splat(root[0]), s.splat(root[1])];
    [s.fnma(a[1], sine, s.fma(a[0], cosine, sum[0])), s.fma(a[1], cosine, s.fma(a[0], sine, sum[1]))]
}
