use crate::parallel::{Slots, Tasks, complete};
use crate::part::Part;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
use crate::radices::Plan;
use crate::table::Filter;
use crate::unit_root::unit_root;
use crate::{Kernels, LANES, Parallel, Rows, RowsMut, Shape};

/// Most tokens along a side of a grid.
pub(crate) const MAX_SIDE: usize = 64;

/// `f32`s of scratch that [`Kernels::global_filter`] needs so that all `workers` can work at once.
pub const fn global_filter_scratch(grid: [usize; 2], workers: usize) -> usize {
    workers.saturating_mul(slot(grid))
}

/// A spectrum, a line of it and room to align them. No grid with a longer side than [`MAX_SIDE`] is ever filtered.
const fn slot([height, width]: [usize; 2]) -> usize {
    let longer = if height > width { height } else { width };
    coefficients([height, width]).saturating_add(longer).saturating_mul(2 * LANES).saturating_add(LANES)
}

/// Complex numbers in the spectrum of a real grid.
const fn coefficients([height, width]: [usize; 2]) -> usize {
    height.saturating_mul(width / 2 + 1)
}

/// `f32`s that [`fourier_twiddles`] writes for a grid of `[height, width]` tokens.
pub const fn fourier_twiddles_len([height, width]: [usize; 2]) -> usize {
    height.saturating_add(width).saturating_mul(2)
}

/// Writes the roots of unity that [`Kernels::global_filter`] needs for a grid of `[height, width]` tokens: real and imaginary
/// part of `exp(-2πi k / n)` for all `k` below `n`, first for the width and then for the height, each rounded once.
///
/// Fails if a side is not within `1..=64` or `twiddles` is not [`fourier_twiddles_len`] long.
pub fn fourier_twiddles(grid: [usize; 2], twiddles: &mut [f32]) -> Result<(), Shape> {
    check_grid(grid)?;
    Shape::require(twiddles.len() == fourier_twiddles_len(grid), WRONG_TWIDDLES)?;
    let (along_width, along_height) = twiddles.cut_mut(2 * grid[1]);
    for (roots, side) in [(along_width, grid[1]), (along_height, grid[0])] {
        for (k, root) in roots.as_chunks_mut().0.iter_mut().enumerate() {
            *root = unit_root(k, side);
        }
    }
    Ok(())
}

const WRONG_TWIDDLES: &str = "the twiddles are not those of the grid";

fn check_grid([height, width]: [usize; 2]) -> Result<(), Shape> {
    Shape::require(
        (1..=MAX_SIDE).contains(&height) && (1..=MAX_SIDE).contains(&width),
        "a side of a filtered grid is not within 1 to 64 tokens",
    )
}

impl Kernels {
    /// `y += irfft2(filter ∘ rfft2(x)) + bias`, channel by channel over a grid of `[H, W]` tokens in raster order. Both
    /// transforms are plain sums without a factor.
    ///
    /// - `x [H·W, Dp..]` and `y [H·W, Dp..]`; channels past `Dp` are neither read nor written
    /// - `filter [Dp / 16, F, 2, 16]`, `F = H (⌊W/2⌋ + 1)`: real and imaginary part of coefficient `u (⌊W/2⌋ + 1) + v` for 16
    ///   channels. As in every real inverse transform, the imaginary parts of the sums over `u` do not count at `v = 0` and
    ///   `v = W / 2`.
    /// - `bias [Dp]`
    /// - `twiddles` from [`fourier_twiddles`] for the same grid
    ///
    /// Sides are within `1..=64`; those without a prime factor above 7 are fast. Uses as many workers as the scratch has room for
    /// (see [`global_filter_scratch`]).
    #[allow(clippy::too_many_arguments)]
    pub fn global_filter(
        &self,
        x: Rows<'_>,
        grid: [usize; 2],
        filter: &[f32],
        bias: &[f32],
        twiddles: &[f32],
        y: RowsMut<'_>,
        scratch: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Shape> {
        Shape::require(cfg!(feature = "fourier"), "the kernels were built without their feature `fourier`")?;
        check_grid(grid)?;
        let [height, width] = grid;
        let channels = bias.len();
        Shape::require(x.rows() == height * width, "a filter's input has not as many rows as its grid has tokens")?;
        Shape::require(y.rows() == height * width, "a filter's result has not as many rows as its grid has tokens")?;
        Shape::require(channels.is_multiple_of(LANES), "a filter's channels are no multiple of 16")?;
        Shape::require(channels <= x.columns(), "a filter has more channels than its input has columns")?;
        Shape::require(channels <= y.columns(), "a filter has more channels than its result has columns")?;
        Shape::require(twiddles.len() == fourier_twiddles_len(grid), WRONG_TWIDDLES)?;
        let panel_len = 2 * LANES * coefficients(grid);
        Shape::require(
            (channels / LANES).checked_mul(panel_len) == Some(filter.len()),
            "a filter is not channels × coefficients long",
        )?;
        let slots = Slots::new(scratch, slot(grid), parallel.workers());
        Shape::require(!slots.is_empty(), "too little scratch for a filter")?;

        let (along_width, along_height) = twiddles.cut(2 * width);
        let (y, bias) = (y.share(), bias.as_chunks().0);
        let tasks = Tasks::new(bias.len());
        #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
        let plan = Plan::new(grid);
        let body = || {
            let Some((_, scratch)) = slots.claim() else { return };
            while let Some(panel) = tasks.claim() {
                let Some(bias) = bias.get(panel) else { return };
                let filter = Filter {
                    x,
                    grid,
                    panel,
                    coefficients: filter.part(panel * panel_len..(panel + 1) * panel_len).as_chunks().0.as_chunks().0,
                    bias,
                    roots: [along_height.as_chunks().0, along_width.as_chunks().0],
                    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
                    plan: &plan,
                    y: &y,
                };
                // SAFETY: a `Kernels` proves the instructions, the shapes are checked, and the panel's columns are this task's alone.
                unsafe { (self.table().global_filter)(&filter, scratch) }
            }
        };
        complete(parallel, &body);
        Ok(())
    }
}
