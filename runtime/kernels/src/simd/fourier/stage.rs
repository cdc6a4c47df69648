use super::Register;
use super::radix::{ANY, Circle, complex};

/// Some complex lines in memory, each to be transformed in blocks of `r · m` numbers.
#[derive(Clone, Copy)]
pub struct Lines {
    /// Real and imaginary part of the first number; exchanged, a transform is the inverse one.
    pub parts: [*mut f32; 2],
    /// From one number of a line to the next, in floats like all distances.
    pub step: usize,
    /// Distance and number of blocks.
    pub blocks: [usize; 2],
    /// Distance and number of groups of blocks.
    pub groups: [usize; 2],
    pub m: usize,
    /// Roots of unity, every `root_step`-th of which is one of order `r · m`.
    pub roots: *const [f32; 2],
    pub root_step: usize,
}

/// Forward: `r`-point transforms of numbers `m` apart, then turned. Else the turns come first, as the inverse needs them.
#[inline(always)]
pub unsafe fn stage<S: Register, const N: usize, const FORWARD: bool>(s: S, r: usize, lines: &Lines) {
    let r = if N == ANY { r } else { N };
    let Lines { parts: [re, im], step, blocks, groups, m, roots, root_step } = *lines;
    unsafe {
        let circle = Circle::<S::V, N>::load(s, r, roots, root_step * m);
        for j in 0..m {
            let mut turns = [[s.splat(0.0); N]; 2];
            if j > 0 {
                for k in 1..r {
                    let [cosine, sine] = *roots.add(k * j * root_step);
                    turns[0][k] = s.splat(cosine);
                    turns[1][k] = s.splat(sine);
                }
            }
            for group in 0..groups[1] {
                for block in 0..blocks[1] {
                    let at = group * groups[0] + block * blocks[0] + j * step;
                    let mut z = [[s.splat(0.0); N]; 2];
                    for k in 0..r {
                        z[0][k] = s.load(re.add(at + k * m * step));
                        z[1][k] = s.load(im.add(at + k * m * step));
                    }
                    if !FORWARD && j > 0 {
                        turn(s, r, &turns, &mut z);
                    }
                    z = complex(s, r, &circle, z);
                    if FORWARD && j > 0 {
                        turn(s, r, &turns, &mut z);
                    }
                    for k in 0..r {
                        s.store(z[0][k], re.add(at + k * m * step));
                        s.store(z[1][k], im.add(at + k * m * step));
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn turn<S: Register, const N: usize>(s: S, r: usize, turns: &[[S::V; N]; 2], z: &mut [[S::V; N]; 2]) {
    for k in 1..r {
        [z[0][k], z[1][k]] = times(s, [z[0][k], z[1][k]], [turns[0][k], turns[1][k]]);
    }
}

#[inline(always)]
pub fn times<S: Register>(s: S, a: [S::V; 2], b: [S::V; 2]) -> [S::V; 2] {
    [s.fnma(a[1], b[1], s.mul(a[0], b[0])), s.fma(a[1], b[0], s.mul(a[0], b[1]))]
}
