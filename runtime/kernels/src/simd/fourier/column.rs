use super::radix::{ANY, Circle, complex};
use super::stage::{Lines, stage, times};
use super::{Pass, Register, for_radix};
use crate::LANES;

/// Transforms the columns of a spectrum, multiplies them with the filter and transforms them back.
#[inline(always)]
pub unsafe fn filter<S: Register>(pass: &Pass<S>) {
    let plan = &pass.filter.plan;
    let [height, width] = pass.filter.grid;
    let half = width / 2 + 1;
    let roots = pass.filter.roots[0].as_ptr();
    let row = half * 2 * S::LANES;
    for p in 0..half {
        let (v, mirrored) = plan.frequencies[p];
        unsafe {
            let at = pass.spectrum.add(p * 2 * S::LANES);
            let (re, im) = if mirrored { (at.add(S::LANES), at) } else { (at, at.add(S::LANES)) };
            let [radices @ .., last] = plan.column.all() else { return };
            let mut m = height;
            for r in radices {
                m /= r;
                let lines = Lines {
                    parts: [re, im],
                    step: row,
                    blocks: [r * m * row, height / (r * m)],
                    groups: [0, 1],
                    m,
                    roots,
                    root_step: height / (r * m),
                };
                for_radix!(*r, N => stage::<S, N, true>(pass.s, *r, &lines));
            }
            let coefficients = pass.filter.coefficients.as_ptr().add(usize::from(v)).cast::<f32>().add(pass.lane);
            for_radix!(*last, N => middle::<S, N>(pass, *last, [re, im], coefficients));
            for r in radices.iter().rev() {
                let lines = Lines {
                    parts: [im, re],
                    step: row,
                    blocks: [r * m * row, height / (r * m)],
                    groups: [0, 1],
                    m,
                    roots,
                    root_step: height / (r * m),
                };
                for_radix!(*r, N => stage::<S, N, false>(pass.s, *r, &lines));
                m *= r;
            }
        }
    }
}

/// The last stage, the filter, and the first stage back, in registers.
#[inline(always)]
unsafe fn middle<S: Register, const N: usize>(
    pass: &Pass<S>,
    r: usize,
    [re, im]: [*mut f32; 2],
    coefficients: *const f32,
) {
    let r = if N == ANY { r } else { N };
    let s = pass.s;
    let [height, width] = pass.filter.grid;
    let half = width / 2 + 1;
    let row = half * 2 * S::LANES;
    let frequency_row = half * 2 * LANES;
    let blocks = height / r;
    unsafe {
        let circle = Circle::<S::V, N>::load(s, r, pass.filter.roots[0].as_ptr(), blocks);
        for block in 0..blocks {
            let at = block * r * row;
            let coefficients = coefficients.add(usize::from(pass.filter.plan.order[block]) * frequency_row);
            let mut z = [[s.splat(0.0); N]; 2];
            for k in 0..r {
                z[0][k] = s.load(re.add(at + k * row));
                z[1][k] = s.load(im.add(at + k * row));
            }
            z = complex(s, r, &circle, z);
            for k in 0..r {
                let from = coefficients.add(k * blocks * frequency_row);
                let product = times(s, [z[0][k], z[1][k]], [s.load(from), s.load(from.add(LANES))]);
                [z[1][k], z[0][k]] = product;
            }
            z = complex(s, r, &circle, z);
            for k in 0..r {
                s.store(z[1][k], re.add(at + k * row));
                s.store(z[0][k], im.add(at + k * row));
            }
        }
    }
}
