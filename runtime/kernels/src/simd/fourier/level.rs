use super::lines::Lines;
use super::radix::{backward, forward, times};
use super::{Pass, Register, Work};
use crate::radices::Level;

/// Real numbers: a line of each row.
#[derive(Clone, Copy)]
pub struct Reals {
    pub at: *mut f32,
    pub step: usize,
    pub pitch: usize,
}

impl Reals {
    /// What a level leaves to the next.
    #[inline(always)]
    pub fn between_levels<S: Register>(pass: &Pass<S>) -> Reals {
        Reals { at: pass.line, step: S::LANES, pitch: pass.filter.grid[1] / 2 * S::LANES }
    }
}

/// The part of the spectrum of some rows that belongs to a level and those after it.
#[derive(Clone, Copy)]
pub struct Branches<'a> {
    pub start: *mut f32,
    pub pitch: usize,
    pub rows: usize,
    /// Roots of unity of the order of a row's length.
    pub roots: &'a [[f32; 2]],
}

impl<'a> Branches<'a> {
    #[inline(always)]
    pub fn new<S: Register>(pass: &Pass<'a, S>, first: usize, rows: usize) -> Self {
        let start = pass.spectrum.wrapping_add(first * pass.pitch());
        Branches { start, pitch: pass.pitch(), rows, roots: pass.filter.roots[1] }
    }

    /// Where the next level's part starts.
    #[inline(always)]
    pub fn end<S: Register>(&self, level: &Level) -> *mut f32 {
        self.start.wrapping_add(level.places() * Pass::<S>::STEP)
    }

    #[inline(always)]
    fn middle<S: Register>(&self, level: &Level) -> *mut f32 {
        self.start.wrapping_add((level.r - 1) / 2 * level.m * Pass::<S>::STEP)
    }

    /// Transforms the branches of a level with more than one number in each, or back.
    ///
    /// # Safety
    /// They are there, and nothing else refers to them.
    #[inline(always)]
    pub unsafe fn transform<S: Register, const FORWARD: bool>(&self, s: S, level: &Level) {
        let exchanged = |at: *mut f32| {
            let (re, im) = (at, at.wrapping_add(S::LANES));
            if FORWARD { [re, im] } else { [im, re] }
        };
        let lines = Lines {
            parts: exchanged(self.start),
            step: Pass::<S>::STEP,
            len: level.m,
            count: (level.r - 1) / 2,
            rows: self.rows,
            pitch: self.pitch,
            roots: self.roots,
        };
        let middle = Lines { parts: exchanged(self.middle::<S>(level)), len: level.m / 2, count: 1, ..lines };
        // SAFETY: the caller's promise.
        unsafe {
            if FORWARD {
                lines.forward(s, &level.branch);
                if level.r.is_multiple_of(2) {
                    twist(s, &middle);
                    middle.forward(s, &level.middle);
                }
            } else {
                lines.backward(s, &level.branch);
                if level.r.is_multiple_of(2) {
                    middle.backward(s, &level.middle);
                    twist(s, &middle);
                }
            }
        }
    }
}

/// Turns number `j` of a middle branch by `3 j / 4 len`.
///
/// # Safety
/// The branch is there, and nothing else refers to it.
#[inline(always)]
unsafe fn twist<S: Register>(s: S, lines: &Lines) {
    let &Lines { parts: [re, im], step, len, rows, pitch, roots, .. } = lines;
    for j in 1..len {
        let [cosine, sine] = roots[3 * j * (roots.len() / (4 * len))];
        let root = [s.splat(cosine), s.splat(sine)];
        for row in 0..rows {
            let at = row * pitch + j * step;
            // SAFETY: the caller's promise.
            unsafe {
                let [a, b] = times(s, [s.load(re.add(at)), s.load(im.add(at))], root);
                s.store(a, re.add(at));
                s.store(b, im.add(at));
            }
        }
    }
}

/// Where number `j` of `m` real ones lies as a part of one of half as many complex ones.
#[inline(always)]
fn folded<S: Register>(j: usize, m: usize) -> usize {
    if j < m / 2 { j * 2 * S::LANES } else { (j - m / 2) * 2 * S::LANES + S::LANES }
}

/// Splits lines of `R · m` numbers into a level's branches and the rest.
///
/// To run it is safe if all of them are there, nothing else refers to the latter two, and `R` is the level's radix.
pub struct Split<'a, const R: usize> {
    pub level: &'a Level,
    pub from: Reals,
    pub to: &'a Branches<'a>,
    pub rest: Reals,
}

impl<S: Register, const R: usize> Work<S> for Split<'_, R> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let Split { level, from, to, rest } = self;
        let m = level.m;
        let root_step = to.roots.len() / (R * m);
        for j in 0..m {
            let turns = turns::<S, R>(s, to.roots, j * root_step);
            for row in 0..to.rows {
                // SAFETY: the numbers are there.
                unsafe {
                    let h = forward(s, load::<S, R>(s, from.at.add(row * from.pitch + j * from.step), m * from.step));
                    s.store(h[0], rest.at.add(row * rest.pitch + j * rest.step));
                    for k in 1..R.div_ceil(2) {
                        let z = [h[k], h[R - k]];
                        let z = if j > 0 { times(s, z, turns[k]) } else { z };
                        let at = to.start.add(row * to.pitch + ((k - 1) * m + j) * Pass::<S>::STEP);
                        s.store(z[0], at);
                        s.store(z[1], at.add(S::LANES));
                    }
                    if R.is_multiple_of(2) {
                        s.store(h[R / 2], to.middle::<S>(level).add(row * to.pitch + folded::<S>(j, m)));
                    }
                }
            }
        }
    }
}

/// Undoes [`Split`], but for a factor. Writes numbers, or with a bias adds twice the numbers and the bias to what is there.
///
/// To run it is safe if all of them are there, nothing else refers to the result, and `R` is the level's radix.
pub struct Unite<'a, V, const R: usize> {
    pub level: &'a Level,
    pub from: &'a Branches<'a>,
    pub rest: Reals,
    pub to: Reals,
    pub bias: Option<V>,
}

impl<S: Register, const R: usize> Work<S> for Unite<'_, S::V, R> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let Unite { level, from, rest, to, bias } = self;
        let m = level.m;
        let root_step = from.roots.len() / (R * m);
        for j in 0..m {
            let turns = turns::<S, R>(s, from.roots, j * root_step);
            for row in 0..from.rows {
                // SAFETY: the numbers are there.
                unsafe {
                    let mut h = [s.load(rest.at.add(row * rest.pitch + j * rest.step)); R];
                    for k in 1..R.div_ceil(2) {
                        let at = from.start.add(row * from.pitch + ((k - 1) * m + j) * Pass::<S>::STEP);
                        let z = [s.load(at.add(S::LANES)), s.load(at)];
                        [h[R - k], h[k]] = if j > 0 { times(s, z, turns[k]) } else { z };
                    }
                    if R.is_multiple_of(2) {
                        h[R / 2] = s.load(from.middle::<S>(level).add(row * from.pitch + folded::<S>(j, m)));
                    }
                    write(s, backward(s, h), to.at.add(row * to.pitch + j * to.step), m * to.step, bias);
                }
            }
        }
    }
}

/// Transforms lines of `R` numbers: the coefficients from 1 on, and then the lowest.
///
/// To run it is safe if all of them are there, and nothing else refers to the result.
pub struct SplitLast<'a, const R: usize> {
    pub from: Reals,
    pub to: &'a Branches<'a>,
}

impl<S: Register, const R: usize> Work<S> for SplitLast<'_, R> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let SplitLast { from, to } = self;
        let zero = s.splat(0.0);
        for row in 0..to.rows {
            // SAFETY: the numbers are there.
            unsafe {
                let h = forward(s, load::<S, R>(s, from.at.add(row * from.pitch), from.step));
                let mut at = to.start.add(row * to.pitch);
                for k in 1..=R / 2 {
                    s.store(h[k], at);
                    s.store(if 2 * k == R { zero } else { h[R - k] }, at.add(S::LANES));
                    at = at.add(Pass::<S>::STEP);
                }
                s.store(h[0], at);
                s.store(zero, at.add(S::LANES));
            }
        }
    }
}

/// Undoes [`SplitLast`], but for a factor; writes or adds as [`Unite`].
///
/// To run it is safe if all of them are there, and nothing else refers to the result.
pub struct UniteLast<'a, V, const R: usize> {
    pub from: &'a Branches<'a>,
    pub to: Reals,
    pub bias: Option<V>,
}

impl<S: Register, const R: usize> Work<S> for UniteLast<'_, S::V, R> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let UniteLast { from, to, bias } = self;
        let half = s.splat(0.5);
        for row in 0..from.rows {
            // SAFETY: the numbers are there.
            unsafe {
                let mut at = from.start.add(row * from.pitch);
                let mut h = [half; R];
                for k in 1..=R / 2 {
                    h[R - k] = s.load(at.add(S::LANES));
                    h[k] = s.load(at);
                    at = at.add(Pass::<S>::STEP);
                }
                // The coefficients that are not their own mirror images stand for two.
                h[0] = s.mul(half, s.load(at));
                if R.is_multiple_of(2) {
                    h[R / 2] = s.mul(half, h[R / 2]);
                }
                write(s, backward(s, h), to.at.add(row * to.pitch), to.step, bias);
            }
        }
    }
}

/// Factors of the branches for number `j`, `step` being `j` times that of the roots.
#[inline(always)]
fn turns<S: Register, const R: usize>(s: S, roots: &[[f32; 2]], step: usize) -> [[S::V; 2]; R] {
    let mut turns = [[s.splat(0.0); 2]; R];
    for k in 1..R.div_ceil(2) {
        let [cosine, sine] = roots[k * step];
        turns[k] = [s.splat(cosine), s.splat(sine)];
    }
    turns
}

/// # Safety
/// `R` numbers lie there, `stride` apart.
#[inline(always)]
unsafe fn load<S: Register, const R: usize>(s: S, from: *const f32, stride: usize) -> [S::V; R] {
    let mut x = [s.splat(0.0); R];
    for k in 0..R {
        // SAFETY: the caller's promise.
        x[k] = unsafe { s.load(from.add(k * stride)) };
    }
    x
}

/// # Safety
/// `R` numbers lie there, `stride` apart, and nothing else refers to them.
#[inline(always)]
unsafe fn write<S: Register, const R: usize>(s: S, x: [S::V; R], to: *mut f32, stride: usize, bias: Option<S::V>) {
    for k in 0..R {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(k * stride);
            let x = match bias {
                Some(bias) => s.fma(s.splat(2.0), x[k], s.add(s.load(to), bias)),
                None => x[k],
            };
            s.store(x, to);
        }
    }
}
