use crate::{Kernels, Part, math};

/// A norm below this counts as this, so that nothing is divided by zero.
const SMALLEST_NORM: f32 = 1e-12;

/// Operations on vectors. Where two lengths differ, the shorter one counts.
impl Kernels {
    /// Dot product, summed in an order that depends on the length alone.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        let len = a.len().min(b.len());
        // SAFETY: a `Kernels` proves the instructions; both are of one length.
        unsafe { (self.table().dot)(a.part(..len), b.part(..len)) }
    }

    /// `y += a x`
    pub fn scaled_add(&self, y: &mut [f32], a: f32, x: &[f32]) {
        let len = y.len().min(x.len());
        // SAFETY: a `Kernels` proves the instructions; both are of one length.
        unsafe { (self.table().scaled_add)(y.part_mut(..len), a, x.part(..len)) }
    }

    /// [`Kernels::scaled_add`] for one `x` after the other.
    pub fn scaled_add_all(&self, y: &mut [f32], a: f32, all: &[&[f32]]) {
        let len = all.iter().map(|x| x.len()).fold(y.len(), usize::min);
        // SAFETY: a `Kernels` proves the instructions; all are at least as long.
        unsafe { (self.table().scaled_add_all)(y.part_mut(..len), a, all) }
    }

    /// `y = a x`
    pub fn scaled(&self, y: &mut [f32], a: f32, x: &[f32]) {
        let len = y.len().min(x.len());
        // SAFETY: a `Kernels` proves the instructions; both are of one length.
        unsafe { (self.table().scaled)(y.part_mut(..len), a, x.part(..len)) }
    }

    /// Euclidean norm.
    pub fn norm(&self, x: &[f32]) -> f32 {
        math::sqrt(self.dot(x, x))
    }

    /// `y = x / max(‖x‖, 1e-12)`; returns `‖x‖`.
    pub fn normalize(&self, x: &[f32], y: &mut [f32]) -> f32 {
        let norm = self.norm(x);
        self.scaled(y, 1.0 / norm.max(SMALLEST_NORM), x);
        norm
    }

    /// `row = exp(row - max) / Σ exp(row - max)`, with a relative error of at most `1e-6 + 6e-8 (max - x)` for up to 1000 numbers:
    /// 2 ulp of the exponential, half an ulp of the difference before it, and the roundings of the sum. What is more than 87 below the
    /// maximum may be zero.
    pub fn softmax(&self, row: &mut [f32]) {
        // SAFETY: a `Kernels` proves the instructions.
        unsafe { (self.table().softmax)(row) }
    }
}
