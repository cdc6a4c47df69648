use super::Register;
use crate::unit_root::unit_root;

/// Roots of unity of order `N`.
struct Roots<const N: usize>;

impl<const N: usize> Roots<N> {
    const ALL: [[f32; 2]; N] = {
        let mut roots = [[1.0, 0.0]; N];
        let mut k = 0;
        while k < N {
            roots[k] = unit_root(k, N);
            k += 1;
        }
        roots
    };
}

/// Transform of `N` real numbers: the real parts of the coefficients `0..=N / 2`, then the imaginary parts of those from
/// `(N - 1) / 2` down to 1.
#[inline(always)]
pub fn forward<S: Register, const N: usize>(s: S, x: [S::V; N]) -> [S::V; N] {
    match N {
        9 => forward_product::<S, N, 3, 3>(s, x),
        12 => forward_product::<S, N, 3, 4>(s, x),
        14 => forward_product::<S, N, 7, 2>(s, x),
        16 => forward_product::<S, N, 8, 2>(s, x),
        _ => forward_factor(s, x),
    }
}

/// The transpose of [`forward`]: its inverse but for a factor, if the numbers after the first, and but the middle one, stand for two.
#[inline(always)]
pub fn backward<S: Register, const N: usize>(s: S, h: [S::V; N]) -> [S::V; N] {
    match N {
        9 => backward_product::<S, N, 3, 3>(s, h),
        12 => backward_product::<S, N, 3, 4>(s, h),
        14 => backward_product::<S, N, 7, 2>(s, h),
        16 => backward_product::<S, N, 8, 2>(s, h),
        _ => backward_factor(s, h),
    }
}

/// Transform of `N` complex numbers, given and returned as real parts and imaginary parts.
#[inline(always)]
pub fn complex<S: Register, const N: usize>(s: S, [re, im]: [[S::V; N]; 2]) -> [[S::V; N]; 2] {
    join(s, [forward(s, re), forward(s, im)])
}

#[inline(always)]
fn complex_factor<S: Register, const N: usize>(s: S, [re, im]: [[S::V; N]; 2]) -> [[S::V; N]; 2] {
    join(s, [forward_factor(s, re), forward_factor(s, im)])
}

/// From the transforms of real and imaginary parts, the transform.
#[inline(always)]
fn join<S: Register, const N: usize>(s: S, [a, b]: [[S::V; N]; 2]) -> [[S::V; N]; 2] {
    let [mut re, mut im] = [a, b];
    for k in 1..N.div_ceil(2) {
        re[k] = s.sub(a[k], b[N - k]);
        im[k] = s.add(b[k], a[N - k]);
        re[N - k] = s.add(a[k], b[N - k]);
        im[N - k] = s.sub(b[k], a[N - k]);
    }
    [re, im]
}

/// `a · b`
#[inline(always)]
pub fn times<S: Register>(s: S, a: [S::V; 2], b: [S::V; 2]) -> [S::V; 2] {
    [s.fnma(a[1], b[1], s.mul(a[0], b[0])), s.fma(a[1], b[0], s.mul(a[0], b[1]))]
}

/// [`forward`] for `N = R · M`; if `R` is even, then `M` is two.
#[inline(always)]
fn forward_product<S: Register, const N: usize, const R: usize, const M: usize>(s: S, x: [S::V; N]) -> [S::V; N] {
    let zero = s.splat(0.0);
    let mut parts = [[zero; R]; M];
    for j in 0..M {
        for k in 0..R {
            parts[j][k] = x[j + k * M];
        }
        parts[j] = forward_factor(s, parts[j]);
    }
    let mut h = x;
    let mut rest = [zero; M];
    for j in 0..M {
        rest[j] = parts[j][0];
    }
    let rest = forward_factor(s, rest);
    h[0] = rest[0];
    for q in 1..=M / 2 {
        h[R * q] = rest[q];
        h[N - R * q] = rest[M - q];
    }
    for k in 1..R.div_ceil(2) {
        let mut z = [[zero; M]; 2];
        for j in 0..M {
            let [re, im] = turn(s, [parts[j][k], parts[j][R - k]], Roots::<N>::ALL[j * k], j * k);
            (z[0][j], z[1][j]) = (re, im);
        }
        let z = complex_factor(s, z);
        for q in 0..M {
            let v = k + R * q;
            if 2 * v < N {
                (h[v], h[N - v]) = (z[0][q], z[1][q]);
            } else {
                (h[N - v], h[v]) = (z[0][q], s.sub(zero, z[1][q]));
            }
        }
    }
    if R.is_multiple_of(2) {
        h[R / 2] = parts[0][R / 2];
        h[N - R / 2] = s.sub(zero, parts[1][R / 2]);
    }
    h
}

#[inline(always)]
fn backward_product<S: Register, const N: usize, const R: usize, const M: usize>(s: S, h: [S::V; N]) -> [S::V; N] {
    let zero = s.splat(0.0);
    let mut parts = [[zero; R]; M];
    let mut rest = [zero; M];
    rest[0] = h[0];
    for q in 1..=M / 2 {
        rest[M - q] = h[N - R * q];
        rest[q] = h[R * q];
    }
    let rest = backward_factor(s, rest);
    for j in 0..M {
        parts[j][0] = rest[j];
    }
    for k in 1..R.div_ceil(2) {
        let mut z = [[zero; M]; 2];
        for q in 0..M {
            let v = k + R * q;
            // Exchanged, a transform is the inverse one.
            (z[1][q], z[0][q]) = if 2 * v < N { (h[v], h[N - v]) } else { (h[N - v], s.sub(zero, h[v])) };
        }
        let z = complex_factor(s, z);
        for j in 0..M {
            let [im, re] = turn(s, [z[0][j], z[1][j]], Roots::<N>::ALL[j * k], j * k);
            (parts[j][k], parts[j][R - k]) = (re, im);
        }
    }
    if R.is_multiple_of(2) {
        parts[0][R / 2] = h[R / 2];
        parts[1][R / 2] = s.sub(zero, h[N - R / 2]);
    }
    let mut x = h;
    for j in 0..M {
        let part = backward_factor(s, parts[j]);
        for k in 0..R {
            x[j + k * M] = part[k];
        }
    }
    x
}

#[inline(always)]
fn turn<S: Register>(s: S, z: [S::V; 2], root: [f32; 2], index: usize) -> [S::V; 2] {
    if index == 0 { z } else { times(s, z, [s.splat(root[0]), s.splat(root[1])]) }
}

/// [`forward`] for 1, 2, 4, 8 and odd numbers.
#[inline(always)]
fn forward_factor<S: Register, const N: usize>(s: S, x: [S::V; N]) -> [S::V; N] {
    let mut h = x;
    match N {
        1 => {}
        2 => {
            h[0] = s.add(x[0], x[1]);
            h[1] = s.sub(x[0], x[1]);
        }
        4 => [h[0], h[1], h[2], h[3]] = forward_4(s, x[0], x[1], x[2], x[3]),
        8 => {
            let [e0, e1, e2, e3] = forward_4(s, x[0], x[2], x[4], x[6]);
            let (p, q) = (s.sub(x[1], x[5]), s.sub(x[7], x[3]));
            let (t, u) = (s.add(x[1], x[5]), s.add(x[3], x[7]));
            let (sum, half) = (s.add(t, u), s.splat(core::f32::consts::FRAC_1_SQRT_2));
            let (a, b) = (s.add(p, q), s.sub(q, p));
            h[0] = s.add(e0, sum);
            h[1] = s.fma(half, a, e1);
            h[2] = e2;
            h[3] = s.fnma(half, a, e1);
            h[4] = s.sub(e0, sum);
            h[5] = s.sub(s.mul(half, b), e3);
            h[6] = s.sub(u, t);
            h[7] = s.fma(half, b, e3);
        }
        _ => {
            let mut folded = x;
            for i in 1..=N / 2 {
                folded[i] = s.add(x[i], x[N - i]);
                folded[N - i] = s.sub(x[N - i], x[i]);
                h[0] = s.add(h[0], folded[i]);
            }
            for k in 1..=N / 2 {
                let first = Roots::<N>::ALL[k];
                h[k] = s.fma(folded[1], s.splat(first[0]), x[0]);
                h[N - k] = s.mul(folded[N - 1], s.splat(-first[1]));
                for i in 2..=N / 2 {
                    let root = Roots::<N>::ALL[i * k % N];
                    h[k] = add_product(s, h[k], folded[i], root[0]);
                    h[N - k] = add_product(s, h[N - k], folded[N - i], -root[1]);
                }
            }
        }
    }
    h
}

/// `sum + a · factor`, by the factor's size, so that factors that differ in sign are one constant.
#[inline(always)]
fn add_product<S: Register>(s: S, sum: S::V, a: S::V, factor: f32) -> S::V {
    if factor < 0.0 { s.fnma(a, s.splat(-factor), sum) } else { s.fma(a, s.splat(factor), sum) }
}

#[inline(always)]
fn forward_4<S: Register>(s: S, a: S::V, b: S::V, c: S::V, d: S::V) -> [S::V; 4] {
    let (even, odd) = (s.add(a, c), s.add(b, d));
    [s.add(even, odd), s.sub(a, c), s.sub(even, odd), s.sub(d, b)]
}

/// [`backward`] for 1, 2, 4, 8 and odd numbers.
#[inline(always)]
fn backward_factor<S: Register, const N: usize>(s: S, h: [S::V; N]) -> [S::V; N] {
    let mut x = h;
    match N {
        1 | 2 => x = forward_factor(s, h),
        4 => [x[0], x[1], x[2], x[3]] = backward_4(s, s.add(h[0], h[2]), s.sub(h[0], h[2]), h[1], h[3]),
        8 => {
            let (e, o) = (s.add(h[0], h[4]), s.sub(h[0], h[4]));
            let (p, q) = (s.sub(h[1], h[3]), s.add(h[7], h[5]));
            let half = s.splat(core::f32::consts::FRAC_1_SQRT_2);
            let (a, b) = (s.mul(half, s.sub(p, q)), s.mul(half, s.add(p, q)));
            [x[0], x[2], x[4], x[6]] =
                backward_4(s, s.add(e, h[2]), s.sub(e, h[2]), s.add(h[1], h[3]), s.sub(h[7], h[5]));
            [x[1], x[3], x[5], x[7]] = backward_4(s, s.sub(o, h[6]), s.add(o, h[6]), a, b);
        }
        _ => {
            for i in 1..=N / 2 {
                x[0] = s.add(x[0], h[i]);
            }
            for k in 1..=N / 2 {
                let first = Roots::<N>::ALL[k];
                let mut even = s.fma(h[1], s.splat(first[0]), h[0]);
                let mut odd = s.mul(h[N - 1], s.splat(-first[1]));
                for i in 2..=N / 2 {
                    let root = Roots::<N>::ALL[i * k % N];
                    even = add_product(s, even, h[i], root[0]);
                    odd = add_product(s, odd, h[N - i], -root[1]);
                }
                x[k] = s.sub(even, odd);
                x[N - k] = s.add(even, odd);
            }
        }
    }
    x
}

/// `even` and `odd` are sum and difference of the two real coefficients.
#[inline(always)]
fn backward_4<S: Register>(s: S, even: S::V, odd: S::V, re: S::V, im: S::V) -> [S::V; 4] {
    [s.add(even, re), s.sub(odd, im), s.sub(even, re), s.add(odd, im)]
}
