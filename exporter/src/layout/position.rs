//! A position embedding for another image size, by the rule of transformers' `interpolate_pos_encoding`.

/// Keys' cubic convolution with torch's parameter.
const A: f64 = -0.75;

/// Resamples `[1 + rows·columns, width]` to `[1 + to_rows·to_columns, width]`: bicubic, pixel centres aligned, edges repeated, no antialiasing;
/// row 0, the class token's, is kept.
pub(super) fn interpolate(
    position: &[f32],
    width: usize,
    [rows, columns]: [usize; 2],
    [to_rows, to_columns]: [usize; 2],
) -> Vec<f32> {
    let vertical = taps(rows, to_rows);
    let horizontal = taps(columns, to_columns);
    let (class, patches) = position.split_at(width);
    let mut out = Vec::with_capacity((1 + to_rows * to_columns) * width);
    out.extend_from_slice(class);
    let mut sum = vec![0.0f64; width];
    for y in &vertical {
        for x in &horizontal {
            sum.fill(0.0);
            for (row, along) in y {
                for (column, across) in x {
                    let start = (row * columns + column) * width;
                    let weight = along * across;
                    for (sum, value) in sum.iter_mut().zip(&patches[start..start + width]) {
                        *sum += weight * f64::from(*value);
                    }
                }
            }
            out.extend(sum.iter().map(|&sum| sum as f32));
        }
    }
    out
}

/// For each output place, the four inputs it is made of and their weights.
fn taps(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    let scale = from as f64 / to as f64;
    let place = |out: usize| {
        let centre = scale * (out as f64 + 0.5) - 0.5;
        let left = centre.floor();
        let t = centre - left;
        let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        std::array::from_fn(|tap| {
            let index = (left as isize + tap as isize - 1).clamp(0, from as isize - 1);
            (index as usize, weights[tap])
        })
    };
    (0..to).map(place).collect()
}

/// The kernel up to a distance of 1.
fn near(x: f64) -> f64 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// The kernel from a distance of 1 to 2.
fn far(x: f64) -> f64 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.nn.functional.interpolate(x, size=…, mode="bicubic", align_corners=False)` of the values below.
    const TORCH_3_TO_2: [f32; 4] = [3.7978, 8.0303, 2.3701, 1.3720];
    const TORCH_2_TO_3: [f32; 9] = [1.7509, 6.6736, 11.5962, 6.0868, 5.5000, 4.9131, 10.4226, 4.3263, -1.7698];

    #[test]
    fn values_are_torchs() {
        let grid: Vec<f32> = (0..9).map(|i| ((i * i * 7 + 3) % 11) as f32).collect();
        let position: Vec<f32> = [100.0].into_iter().chain(grid.iter().copied()).collect();
        let out = interpolate(&position, 1, [3, 3], [2, 2]);
        assert_eq!(out[0], 100.0);
        for (ours, torchs) in out[1..].iter().zip(TORCH_3_TO_2) {
            assert!((ours - torchs).abs() < 1e-4, "{ours} {torchs}");
        }
        let out = interpolate(&position[..5], 1, [2, 2], [3, 3]);
        for (ours, torchs) in out[1..].iter().zip(TORCH_2_TO_3) {
            assert!((ours - torchs).abs() < 1e-4, "{ours} {torchs}");
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let position: Vec<f32> = (0..20).map(|i| (i as f32).sin()).collect();
        assert_eq!(interpolate(&position, 2, [3, 3], [3, 3]), position);
    }
}
