use super::radix::{ANY, Circle, backward as backward_radix, forward as forward_radix};
use super::stage::{Lines, stage, times};
use super::{Pass, Register, for_radix};
use crate::LANES;

/// Rows that are transformed together.
const ROWS: usize = 4;

/// Transforms the rows of the input into the spectrum.
#[inline(always)]
pub unsafe fn forward<S: Register>(pass: &Pass<S>) {
    let filter = pass.filter;
    let [height, width] = filter.grid;
    let x = filter.x.data()[filter.panel * LANES + pass.lane..].as_ptr();
    let stride = filter.x.stride();
    for first in (0..height).step_by(ROWS) {
        let rows = ROWS.min(height - first);
        unsafe {
            let mut from = (x.add(first * width * stride), stride, width * stride);
            for level in Levels::new(pass, first, rows) {
                let r = level.r;
                for_radix!(r, N => level_forward::<S, N>(pass.s, r, from, &level));
                from = (level.rest, level.rest_step, level.rest_row);
                level.transform::<S, true>(pass);
            }
        }
    }
}

/// Transforms the spectrum back and adds it to the result, with the bias.
#[inline(always)]
pub unsafe fn backward<S: Register>(pass: &Pass<S>) {
    let filter = pass.filter;
    let [height, width] = filter.grid;
    let (y, stride) = filter.y.pointer(filter.panel * LANES + pass.lane);
    for first in (0..height).step_by(ROWS) {
        let rows = ROWS.min(height - first);
        unsafe {
            let levels = Levels::new(pass, first, rows);
            let count = levels.count();
            for index in (0..count).rev() {
                let level = Levels::new(pass, first, rows).nth(index).unwrap_unchecked();
                let r = level.r;
                level.transform::<S, false>(pass);
                if index == 0 {
                    let bias = pass.s.load(filter.bias.as_ptr().add(pass.lane));
                    let to = (y.add(first * width * stride), stride, width * stride);
                    for_radix!(r, N => level_backward::<S, N, true>(pass.s, r, to, bias, &level));
                } else {
                    let to = (pass.line, S::LANES, width / 2 * S::LANES);
                    for_radix!(r, N => level_backward::<S, N, false>(pass.s, r, to, pass.s.splat(0.0), &level));
                }
            }
        }
    }
}

struct Level {
    r: usize,
    m: usize,
    rows: usize,
    /// row distance in the spectrum
    row: usize,
    branches: *mut f32,
    odd: *mut f32,
    rest: *mut f32,
    rest_step: usize,
    rest_row: usize,
    roots: *const [f32; 2],
    root_step: usize,
}

struct Levels<'a, S> {
    pass: &'a Pass<'a, S>,
    index: usize,
    n: usize,
    at: *mut f32,
    rows: usize,
}

impl<'a, S: Register> Levels<'a, S> {
    #[inline(always)]
    fn new(pass: &'a Pass<'a, S>, first: usize, rows: usize) -> Self {
        let [_, width] = pass.filter.grid;
        let row = (width / 2 + 1) * 2 * S::LANES;
        Levels { pass, index: 0, n: width, at: pass.spectrum.wrapping_add(first * row), rows }
    }
}

impl<S: Register> Iterator for Levels<'_, S> {
    type Item = Level;
    #[inline(always)]
    fn next(&mut self) -> Option<Level> {
        let [_, width] = self.pass.filter.grid;
        let r = *self.pass.filter.plan.row.all().get(self.index)?;
        self.index += 1;
        let m = self.n / r;
        let row = (width / 2 + 1) * 2 * S::LANES;
        let branches = self.at;
        let odd = branches.wrapping_add((r - 1) / 2 * m * 2 * S::LANES);
        let end = odd.wrapping_add(if r % 2 == 0 { m.div_ceil(2) * 2 * S::LANES } else { 0 });
        self.at = end;
        let root_step = width / self.n;
        self.n = m;
        let (rest, rest_step, rest_row) =
            if m == 1 { (end, 0, row) } else { (self.pass.line, S::LANES, width / 2 * S::LANES) };
        Some(Level {
            r,
            m,
            rows: self.rows,
            row,
            branches,
            odd,
            rest,
            rest_step,
            rest_row,
            roots: self.pass.filter.roots[1].as_ptr(),
            root_step,
        })
    }
}

#[inline(always)]
unsafe fn level_forward<S: Register, const N: usize>(
    s: S,
    r: usize,
    (from, from_step, from_row): (*const f32, usize, usize),
    level: &Level,
) {
    let r = if N == ANY { r } else { N };
    let &Level { m, rows, row, branches, odd, rest, rest_step, rest_row, roots, root_step, .. } = level;
    let zero = s.splat(0.0);
    unsafe {
        let circle = Circle::<S::V, N>::load(s, r, roots, root_step * m);
        for j in 0..m {
            for i in 0..rows {
                let mut x = [zero; N];
                for k in 0..r {
                    x[k] = s.load(from.add(i * from_row + (j + k * m) * from_step));
                }
                let h = forward_radix(s, r, &circle, x);
                s.store(h[0], rest.add(i * rest_row + j * rest_step));
                for k in 1..r.div_ceil(2) {
                    let to = branches.add(i * row + ((k - 1) * m + j) * 2 * S::LANES);
                    let mut z = [h[k], h[r - k]];
                    if j > 0 {
                        let [cosine, sine] = *roots.add(k * j * root_step);
                        z = times(s, z, [s.splat(cosine), s.splat(sine)]);
                    }
                    s.store(z[0], to);
                    s.store(z[1], to.add(S::LANES));
                }
                if r % 2 == 0 {
                    s.store(h[r / 2], odd.add(i * row + half_way(j, m) * S::LANES));
                }
                if m == 1 {
                    s.store(zero, rest.add(i * rest_row + S::LANES));
                    if r % 2 == 0 {
                        s.store(zero, odd.add(i * row + S::LANES));
                    }
                }
            }
        }
    }
}

/// Where number `j` of `m` real ones goes as a part of one of half as many complex ones.
#[inline(always)]
fn half_way(j: usize, m: usize) -> usize {
    let half = m.div_ceil(2);
    if j < half { 2 * j } else { 2 * (j - half) + 1 }
}

#[inline(always)]
unsafe fn level_backward<S: Register, const N: usize, const LAST: bool>(
    s: S,
    r: usize,
    (to, to_step, to_row): (*mut f32, usize, usize),
    bias: S::V,
    level: &Level,
) {
    let r = if N == ANY { r } else { N };
    let &Level { m, rows, row, branches, odd, rest, rest_step, rest_row, roots, root_step, .. } = level;
    let zero = s.splat(0.0);
    unsafe {
        let circle = Circle::<S::V, N>::load(s, r, roots, root_step * m);
        for j in 0..m {
            for i in 0..rows {
                let mut h = [zero; N];
                h[0] = s.load(rest.add(i * rest_row + j * rest_step));
                for k in 1..r.div_ceil(2) {
                    let from = branches.add(i * row + ((k - 1) * m + j) * 2 * S::LANES);
                    let mut z = [s.load(from), s.load(from.add(S::LANES))];
                    if j > 0 {
                        let [cosine, sine] = *roots.add(k * j * root_step);
                        z = times(s, z, [s.splat(cosine), s.splat(-sine)]);
                    }
                    [h[k], h[r - k]] = z;
                }
                if r % 2 == 0 {
                    h[r / 2] = s.load(odd.add(i * row + half_way(j, m) * S::LANES));
                }
                if m == 1 {
                    h[0] = s.mul(h[0], s.splat(0.5));
                    if r % 2 == 0 {
                        h[r / 2] = s.mul(h[r / 2], s.splat(0.5));
                    }
                }
                let x = backward_radix(s, r, &circle, h);
                for k in 0..r {
                    let to = to.add(i * to_row + (j + k * m) * to_step);
                    let value = if LAST { s.fma(x[k], s.splat(2.0), s.add(s.load(to), bias)) } else { x[k] };
                    s.store(value, to);
                }
            }
        }
    }
}

impl Level {
    /// Transforms the branches, or back.
    #[inline(always)]
    unsafe fn transform<S: Register, const FORWARD: bool>(&self, pass: &Pass<S>) {
        if self.m == 1 {
            return;
        }
        unsafe {
            self.transform_lines::<S, FORWARD>(pass, self.branches, (self.r - 1) / 2, self.m);
            if self.r % 2 == 0 && self.m > 2 {
                if FORWARD {
                    self.twist(pass, self.odd, self.odd.add(S::LANES));
                }
                self.transform_lines::<S, FORWARD>(pass, self.odd, 1, self.m / 2);
                if !FORWARD {
                    self.twist(pass, self.odd.add(S::LANES), self.odd);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn twist<S: Register>(&self, pass: &Pass<S>, re: *mut f32, im: *mut f32) {
        let s = pass.s;
        let [_, width] = pass.filter.grid;
        for j in 1..self.m / 2 {
            unsafe {
                let [cosine, sine] = *self.roots.add(width / (2 * self.m) * 3 * j);
                for i in 0..self.rows {
                    let at = i * self.row + j * 2 * S::LANES;
                    let z = times(s, [s.load(re.add(at)), s.load(im.add(at))], [s.splat(cosine), s.splat(sine)]);
                    s.store(z[0], re.add(at));
                    s.store(z[1], im.add(at));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn transform_lines<S: Register, const FORWARD: bool>(
        &self,
        pass: &Pass<S>,
        at: *mut f32,
        count: usize,
        n: usize,
    ) {
        let [_, width] = pass.filter.grid;
        let radices = crate::radices::Radices::of(n);
        let radices = radices.all();
        let mut m = if FORWARD { n } else { 1 };
        for index in 0..radices.len() {
            let r = radices[if FORWARD { index } else { radices.len() - 1 - index }];
            if FORWARD {
                m /= r;
            }
            unsafe {
                let (re, im) = (at, at.add(S::LANES));
                let lines = Lines {
                    parts: if FORWARD { [re, im] } else { [im, re] },
                    step: 2 * S::LANES,
                    blocks: [r * m * 2 * S::LANES, count * n / (r * m)],
                    groups: [self.row, self.rows],
                    m,
                    roots: self.roots,
                    root_step: width / (r * m),
                };
                for_radix!(r, N => stage::<S, N, FORWARD>(pass.s, r, &lines));
            }
            if !FORWARD {
                m *= r;
            }
        }
    }
}
