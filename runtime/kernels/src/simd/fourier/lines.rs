use super::radix::{complex, times};
use super::{Register, Work, for_inner, for_last};
use crate::radices::Radices;

/// Complex lines of one length, neighbours in memory, and the like in some rows.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    /// Real and imaginary part of the first number. Exchanged, a transform is the inverse one, but for a factor.
    pub parts: [*mut f32; 2],
    /// From one number to the next, in floats as all distances.
    pub step: usize,
    /// Numbers in a line.
    pub len: usize,
    /// Lines in a row.
    pub count: usize,
    pub rows: usize,
    /// From one row to the next.
    pub pitch: usize,
    /// Roots of unity of an order that is a multiple of `len`.
    pub roots: &'a [[f32; 2]],
}

impl Lines<'_> {
    /// Transforms the lines in place, and leaves the coefficients in the order of [`Radices::frequency`].
    ///
    /// # Safety
    /// The lines are there, nothing else refers to them, and the radices are those of their length.
    #[inline(always)]
    pub unsafe fn forward<S: Register>(&self, s: S, radices: &Radices) {
        let (inner, last) = radices.split();
        // SAFETY: the caller's promise.
        unsafe {
            self.inner_forward(s, inner);
            for_last!(last, R => s.apart(Last::<R>(self)), _ => {});
        }
    }

    /// Undoes [`Lines::forward`] if the parts are exchanged.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub unsafe fn backward<S: Register>(&self, s: S, radices: &Radices) {
        let (inner, last) = radices.split();
        // SAFETY: the caller's promise.
        unsafe {
            for_last!(last, R => s.apart(Last::<R>(self)), _ => {});
            self.inner_backward(s, inner);
        }
    }

    /// All stages but the last.
    ///
    /// # Safety
    /// As [`Lines::forward`].
    #[inline(always)]
    pub unsafe fn inner_forward<S: Register>(&self, s: S, inner: &[usize]) {
        let mut m = self.len;
        for &r in inner {
            m /= r;
            // SAFETY: the caller's promise.
            unsafe { for_inner!(r, R => s.apart(Stage::<R, true> { lines: self, m })) }
        }
    }

    /// Undoes [`Lines::inner_forward`] if the parts are exchanged.
    ///
    /// # Safety
    /// As [`Lines::forward`].
    #[inline(always)]
    pub unsafe fn inner_backward<S: Register>(&self, s: S, inner: &[usize]) {
        let mut m = inner.iter().fold(self.len, |m, r| m / r);
        for &r in inner.iter().rev() {
            // SAFETY: the caller's promise.
            unsafe { for_inner!(r, R => s.apart(Stage::<R, false> { lines: self, m })) }
            m *= r;
        }
    }
}

/// `R`-point transforms of numbers `m` apart, after which (or before which, unless `FORWARD`) the numbers are turned.
///
/// To run it is safe if the lines are there, nothing else refers to them, and `R · m` divides their length.
struct Stage<'a, const R: usize, const FORWARD: bool> {
    lines: &'a Lines<'a>,
    m: usize,
}

impl<S: Register, const R: usize, const FORWARD: bool> Work<S> for Stage<'_, R, FORWARD> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let &Lines { parts: [re, im], step, len, count, rows, pitch, roots } = self.lines;
        let m = self.m;
        let root_step = roots.len() / (R * m);
        for j in 0..m {
            let mut turns = [[s.splat(0.0); 2]; R];
            for k in 1..R {
                let [cosine, sine] = roots[k * j * root_step];
                turns[k] = [s.splat(cosine), s.splat(sine)];
            }
            for row in 0..rows {
                for block in 0..count * len / (R * m) {
                    let at = row * pitch + (block * R * m + j) * step;
                    // SAFETY: the numbers are part of the lines.
                    unsafe {
                        let parts = [re.add(at), im.add(at)];
                        let mut z = load(s, parts, m * step);
                        if !FORWARD && j > 0 {
                            z = turn(s, z, &turns);
                        }
                        z = complex::<S, R>(s, z);
                        if FORWARD && j > 0 {
                            z = turn(s, z, &turns);
                        }
                        store(s, z, parts, m * step);
                    }
                }
            }
        }
    }
}

/// `R`-point transforms of neighbours.
///
/// To run it is safe if the lines are there, nothing else refers to them, and `R` divides their length.
struct Last<'a, const R: usize>(&'a Lines<'a>);

impl<S: Register, const R: usize> Work<S> for Last<'_, R> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let &Lines { parts: [re, im], len, count, rows, pitch, .. } = self.0;
        let step = 2 * S::LANES;
        for row in 0..rows {
            for block in 0..count * len / R {
                let at = row * pitch + block * R * step;
                // SAFETY: the numbers are part of the lines.
                unsafe {
                    let parts = [re.add(at), im.add(at)];
                    store(s, complex::<S, R>(s, load(s, parts, step)), parts, step);
                }
            }
        }
    }
}

/// `R` complex numbers.
///
/// # Safety
/// They are there, `stride` apart.
#[inline(always)]
pub unsafe fn load<S: Register, const R: usize>(s: S, [re, im]: [*mut f32; 2], stride: usize) -> [[S::V; R]; 2] {
    let mut z = [[s.splat(0.0); R]; 2];
    for k in 0..R {
        // SAFETY: the caller's promise.
        unsafe { (z[0][k], z[1][k]) = (s.load(re.add(k * stride)), s.load(im.add(k * stride))) };
    }
    z
}

/// Writes `R` complex numbers.
///
/// # Safety
/// There is room for them, `stride` apart, and nothing else refers to it.
#[inline(always)]
pub unsafe fn store<S: Register, const R: usize>(s: S, z: [[S::V; R]; 2], [re, im]: [*mut f32; 2], stride: usize) {
    for k in 0..R {
        // SAFETY: the caller's promise.
        unsafe {
            s.store(z[0][k], re.add(k * stride));
            s.store(z[1][k], im.add(k * stride));
        }
    }
}

#[inline(always)]
fn turn<S: Register, const R: usize>(s: S, z: [[S::V; R]; 2], turns: &[[S::V; 2]; R]) -> [[S::V; R]; 2] {
    let mut turned = z;
    for k in 1..R {
        [turned[0][k], turned[1][k]] = times(s, [z[0][k], z[1][k]], turns[k]);
    }
    turned
}
