use super::Register;
use crate::fourier::MAX_SIDE;

/// Cosines and sines of `2π i / r` for `0 < i <= r / 2`: what an odd radix multiplies with.
#[derive(Clone, Copy)]
pub struct Circle<V, const N: usize> {
    cosines: [V; N],
    sines: [V; N],
}

impl<V: Copy, const N: usize> Circle<V, N> {
    /// # Safety
    /// Roots of unity of an order `r · step` lie at `roots`.
    #[inline(always)]
    pub unsafe fn load<S: Register<V = V>>(s: S, r: usize, roots: *const [f32; 2], step: usize) -> Self {
        let mut circle = Circle { cosines: [s.splat(0.0); N], sines: [s.splat(0.0); N] };
        if N % 2 == 1 || N == ANY {
            for i in 1..=r / 2 {
                // SAFETY: `i < r`.
                let [cosine, sine] = unsafe { *roots.add(i * step) };
                circle.cosines[i] = s.splat(cosine);
                circle.sines[i] = s.splat(-sine);
            }
        }
        circle
    }
}

/// Stands for a radix that is known at run time only.
pub const ANY: usize = MAX_SIDE;

/// Transform of `r` real numbers: real parts of the coefficients `0..=r / 2`, then imaginary parts of those from `(r - 1) / 2` down to 1.
#[inline(always)]
pub fn forward<S: Register, const N: usize>(s: S, r: usize, circle: &Circle<S::V, N>, x: [S::V; N]) -> [S::V; N] {
    match N {
        1 => x,
        2 => {
            let mut h = x;
            h[0] = s.add(x[0], x[1]);
            h[1] = s.sub(x[0], x[1]);
            h
        }
        4 => {
            let mut h = x;
            [h[0], h[1], h[2], h[3]] = forward_4(s, x[0], x[1], x[2], x[3]);
            h
        }
        8 => {
            let [e0, e1, e2, e3] = forward_4(s, x[0], x[2], x[4], x[6]);
            let (p, q) = (s.sub(x[1], x[5]), s.sub(x[7], x[3]));
            let (t, u) = (s.add(x[1], x[5]), s.add(x[3], x[7]));
            let (sum, half) = (s.add(t, u), s.splat(core::f32::consts::FRAC_1_SQRT_2));
            let (a, b) = (s.add(p, q), s.sub(q, p));
            let mut h = x;
            h[0] = s.add(e0, sum);
            h[1] = s.fma(half, a, e1);
            h[2] = e2;
            h[3] = s.fnma(half, a, e1);
            h[4] = s.sub(e0, sum);
            h[5] = s.sub(s.mul(half, b), e3);
            h[6] = s.sub(u, t);
            h[7] = s.fma(half, b, e3);
            h
        }
        _ => {
            let mut h = x;
            for i in 1..=r / 2 {
                h[i] = s.add(x[i], x[r - i]);
                h[r - i] = s.sub(x[r - i], x[i]);
            }
            let folded = h;
            for i in 1..=r / 2 {
                h[0] = s.add(h[0], folded[i]);
            }
            for k in 1..=r / 2 {
                h[k] = s.fma(folded[1], circle.cosines[k], x[0]);
                h[r - k] = s.mul(folded[r - 1], circle.sines[k]);
                for i in 2..=r / 2 {
                    let turn = i * k % r;
                    if 2 * turn < r {
                        h[k] = s.fma(folded[i], circle.cosines[turn], h[k]);
                        h[r - k] = s.fma(folded[r - i], circle.sines[turn], h[r - k]);
                    } else {
                        h[k] = s.fma(folded[i], circle.cosines[r - turn], h[k]);
                        h[r - k] = s.fnma(folded[r - i], circle.sines[r - turn], h[r - k]);
                    }
                }
            }
            h
        }
    }
}

#[inline(always)]
fn forward_4<S: Register>(s: S, a: S::V, b: S::V, c: S::V, d: S::V) -> [S::V; 4] {
    let (even, odd) = (s.add(a, c), s.add(b, d));
    [s.add(even, odd), s.sub(a, c), s.sub(even, odd), s.sub(d, b)]
}

/// The transpose of [`forward`]: what it is the inverse of, if each pair of real and imaginary part stands for twice as much.
#[inline(always)]
pub fn backward<S: Register, const N: usize>(s: S, r: usize, circle: &Circle<S::V, N>, h: [S::V; N]) -> [S::V; N] {
    match N {
        1 | 2 => forward(s, r, circle, h),
        4 => {
            let mut x = h;
            [x[0], x[1], x[2], x[3]] = backward_4(s, s.add(h[0], h[2]), s.sub(h[0], h[2]), h[1], h[3]);
            x
        }
        8 => {
            let (e, o) = (s.add(h[0], h[4]), s.sub(h[0], h[4]));
            let (p, q) = (s.sub(h[1], h[3]), s.add(h[7], h[5]));
            let half = s.splat(core::f32::consts::FRAC_1_SQRT_2);
            let (a, b) = (s.mul(half, s.sub(p, q)), s.mul(half, s.add(p, q)));
            let mut x = h;
            [x[0], x[2], x[4], x[6]] =
                backward_4(s, s.add(e, h[2]), s.sub(e, h[2]), s.add(h[1], h[3]), s.sub(h[7], h[5]));
            [x[1], x[3], x[5], x[7]] = backward_4(s, s.sub(o, h[6]), s.add(o, h[6]), a, b);
            x
        }
        _ => {
            let mut x = h;
            for i in 1..=r / 2 {
                x[0] = s.add(x[0], h[i]);
            }
            for k in 1..=r / 2 {
                let mut even = s.fma(h[1], circle.cosines[k], h[0]);
                let mut odd = s.mul(h[r - 1], circle.sines[k]);
                for i in 2..=r / 2 {
                    let turn = i * k % r;
                    if 2 * turn < r {
                        even = s.fma(h[i], circle.cosines[turn], even);
                        odd = s.fma(h[r - i], circle.sines[turn], odd);
                    } else {
                        even = s.fma(h[i], circle.cosines[r - turn], even);
                        odd = s.fnma(h[r - i], circle.sines[r - turn], odd);
                    }
                }
                x[k] = s.sub(even, odd);
                x[r - k] = s.add(even, odd);
            }
            x
        }
    }
}

/// `even` and `odd` are sum and difference of the two real coefficients.
#[inline(always)]
fn backward_4<S: Register>(s: S, even: S::V, odd: S::V, re: S::V, im: S::V) -> [S::V; 4] {
    [s.add(even, re), s.sub(odd, im), s.sub(even, re), s.add(odd, im)]
}

/// Transform of `r` complex numbers, given and returned as real parts and imaginary parts.
#[inline(always)]
pub fn complex<S: Register, const N: usize>(
    s: S,
    r: usize,
    circle: &Circle<S::V, N>,
    [re, im]: [[S::V; N]; 2],
) -> [[S::V; N]; 2] {
    let (a, b) = (forward(s, r, circle, re), forward(s, r, circle, im));
    let [mut re, mut im] = [a, b];
    for k in 1..r.div_ceil(2) {
        re[k] = s.sub(a[k], b[r - k]);
        im[k] = s.add(b[k], a[r - k]);
        re[r - k] = s.add(a[k], b[r - k]);
        im[r - k] = s.sub(b[k], a[r - k]);
    }
    [re, im]
}
