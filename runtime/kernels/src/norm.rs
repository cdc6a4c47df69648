use crate::parallel::{Tasks, share};
use crate::{Kernels, Parallel, Part, Rows, RowsMut, Shape};

/// Elements that a task works on at least.
const ELEMENTS_OF_A_TASK: usize = 1 << 14;

impl Kernels {
    /// `y = (x - mean) / sqrt(var + eps)` over the first `width` columns of each row; the other columns of `y` become zero.
    /// The error is at most `1e-6 (1 + |y| + |mean| / sqrt(var + eps))` for up to 1024 columns.
    pub fn layer_norm(
        &self,
        x: Rows<'_>,
        width: usize,
        eps: f32,
        y: RowsMut<'_>,
        parallel: &dyn Parallel,
    ) -> Result<(), Shape> {
        Shape::require(x.rows() == y.rows(), "a norm's input and output differ in rows")?;
        Shape::require(width > 0 && width <= x.columns(), "a norm is wider than its input, or of no width")?;
        Shape::require(width <= y.columns(), "a norm is wider than its output")?;
        let (rows, columns) = (x.rows(), y.columns());
        let y = y.share();
        let band = (ELEMENTS_OF_A_TASK / width.max(1)).max(1);
        let tasks = Tasks::new(rows.div_ceil(band));
        let body = || {
            while let Some(task) = tasks.claim() {
                for row in task * band..rows.min((task + 1) * band) {
                    // SAFETY: the row is this task's alone.
                    let (normed, rest) = unsafe { y.segment(row, 0..columns) }.cut_mut(width);
                    // SAFETY: a `Kernels` proves the instructions; both are `width` long.
                    unsafe { (self.table().layer_norm)(x.segment(row, 0..width), eps, normed) };
                    rest.fill(0.0);
                }
            }
        };
        share(rows > band, parallel, &body);
        Ok(())
    }

    /// `x = (x - mean) / sqrt(var + eps) · gain + bias` over the first `width` columns of each row, in place; the other
    /// columns become zero. `gain` and `bias` are at least `width` long.
    pub fn layer_norm_affine(
        &self,
        mut x: RowsMut<'_>,
        width: usize,
        eps: f32,
        gain: &[f32],
        bias: &[f32],
    ) -> Result<(), Shape> {
        Shape::require(width > 0 && width <= x.columns(), "a norm is wider than its input, or of no width")?;
        Shape::require(width <= gain.len() && width <= bias.len(), "a norm's gain or bias is too short")?;
        for row in 0..x.rows() {
            let (normed, rest) = x.row_mut(row).cut_mut(width);
            // SAFETY: a `Kernels` proves the instructions; all three are `width` long.
            unsafe { (self.table().layer_norm_affine)(normed, eps, gain.part(..width), bias.part(..width)) };
            rest.fill(0.0);
        }
        Ok(())
    }
}
