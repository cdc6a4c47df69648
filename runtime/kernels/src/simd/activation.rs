//! Activations of the form `½ x (1 + e)` with an odd `e` between -1 and 1.

use core::hint::black_box;

use super::Simd;
use crate::polynomials::{Odd, TANH_GELU};

/// An [`Odd`] function's coefficients in registers, or wherever they cost least.
pub struct Curve<S: Simd> {
    s: S,
    fours: [S::Four; 4],
}

impl<S: Simd> Curve<S> {
    #[inline(always)]
    pub fn new(s: S, odd: &'static Odd) -> Self {
        // Hidden from the compiler, which would otherwise build each coefficient anew from integers wherever it is used.
        let at = (&raw const *black_box(odd)).cast::<f32>();
        // SAFETY: the coefficients are sixteen floats.
        let fours = unsafe { [s.four(at), s.four(at.add(4)), s.four(at.add(8)), s.four(at.add(12))] };
        Curve { s, fours }
    }

    /// `½ x (1 + e(t))`
    #[inline(always)]
    pub fn half(&self, x: S::V, t: S::V) -> S::V {
        let (s, [a, b, c, d]) = (self.s, self.fours);
        let bound = s.lane::<3>(b);
        let t = s.max(s.sub(s.splat(0.0), bound), s.min(bound, t));
        let u = s.mul(t, t);
        let u2 = s.mul(u, u);
        let top = s.fma_lane::<2>(b, u2, s.fma_lane::<1>(b, u, s.lane::<0>(b)));
        let middle = s.fma(top, u2, s.fma_lane::<3>(a, u, s.lane::<2>(a)));
        let p = s.fma(middle, u2, s.fma_lane::<1>(a, u, s.lane::<0>(a)));
        let top = s.fma_lane::<0>(d, u2, s.fma_lane::<3>(c, u, s.lane::<2>(c)));
        let q = s.fma(top, u2, s.fma_lane::<1>(c, u, s.lane::<0>(c)));
        let half = s.mul(x, s.lane::<1>(d));
        s.fma(half, s.div(s.mul(t, p), q), half)
    }
}

/// `√(2/π) (x + 0.044715 x³)`
#[inline(always)]
pub fn tanh_argument<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(s.fma(s.mul(x, x), s.splat(TANH_GELU[0]), s.splat(TANH_GELU[1])), x)
}
