//! A position embedding for another image size, by the rule of the library that a checkpoint comes from.

use crate::source::Tensor;

/// How a table of places is resampled: pixel centres aligned, edges repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// As transformers' `interpolate_pos_encoding` does: bicubic with torch's kernel, four inputs for each output.
    Bicubic,
    /// As open_clip and timm do: bicubic with Pillow's kernel, widened when the grid shrinks.
    Antialiased,
    /// As corenet does: linear along the sequence of patches, whatever rows they lie in.
    Sequence,
}

impl Rule {
    /// Resamples `[C + side·side, width]` to `[C + rows·columns, width]`; the class token's row, C being one or none, is kept.
    pub(super) fn resample(self, table: Tensor, [rows, columns]: [usize; 2]) -> Tensor {
        let [tokens, width] = table.shape[..] else { return table };
        let side = tokens.isqrt();
        let class_tokens = tokens - side * side;
        if [side; 2] == [rows, columns] {
            return table;
        }
        let (vertical, horizontal) = match self {
            Rule::Bicubic | Rule::Antialiased => (self.taps(side, rows), self.taps(side, columns)),
            // One row as long as all of them.
            Rule::Sequence => (vec![vec![(0, 1.0)]], self.taps(side * side, rows * columns)),
        };
        let (class, patches) = table.data.split_at(class_tokens * width);
        let mut data = Vec::with_capacity((class_tokens + rows * columns) * width);
        data.extend_from_slice(class);
        let mut sum = vec![0.0f64; width];
        for y in &vertical {
            for x in &horizontal {
                sum.fill(0.0);
                for (row, along) in y {
                    for (column, across) in x {
                        let start = (row * side + column) * width;
                        let weight = along * across;
                        for (sum, value) in sum.iter_mut().zip(&patches[start..start + width]) {
                            *sum += weight * f64::from(*value);
                        }
                    }
                }
                data.extend(sum.iter().map(|&sum| sum as f32));
            }
        }
        Tensor { shape: vec![class_tokens + rows * columns, width], data }
    }

    /// For each output place, the inputs it is made of and their weights.
    fn taps(self, from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
        let scale = from as f64 / to as f64;
        match self {
            Rule::Bicubic => (0..to).map(|out| four(scale * (out as f64 + 0.5) - 0.5, from)).collect(),
            Rule::Antialiased => (0..to).map(|out| widened(out, scale, from)).collect(),
            Rule::Sequence => (0..to).map(|out| two(scale * (out as f64 + 0.5) - 0.5, from)).collect(),
        }
    }
}

/// The two inputs around a place.
fn two(centre: f64, from: usize) -> Vec<(usize, f64)> {
    let centre = centre.max(0.0);
    let (left, right) = (centre as usize, (centre as usize + 1).min(from - 1));
    vec![(left, 1.0 - centre.fract()), (right, centre.fract())]
}

/// The four inputs around a place.
fn four(centre: f64, from: usize) -> Vec<(usize, f64)> {
    let left = centre.floor() as isize;
    let tap = |index: isize| {
        let inside = index.clamp(0, from as isize - 1) as usize;
        (inside, kernel(centre - index as f64, -0.75))
    };
    (left - 1..=left + 2).map(tap).collect()
}

/// The inputs under a kernel as wide as the scale; their weights sum up to one at the edges too.
fn widened(out: usize, scale: f64, from: usize) -> Vec<(usize, f64)> {
    let widening = scale.max(1.0);
    let (centre, support) = (scale * (out as f64 + 0.5), 2.0 * widening);
    let first = (centre - support + 0.5).max(0.0) as usize;
    let end = ((centre + support + 0.5) as usize).min(from);
    let weight = |index: usize| kernel((index as f64 + 0.5 - centre) / widening, -0.5);
    let total: f64 = (first..end).map(weight).sum();
    (first..end).map(|index| (index, weight(index) / total)).collect()
}

/// Keys' cubic convolution.
fn kernel(x: f64, a: f64) -> f64 {
    let x = x.abs();
    match x {
        0.0..=1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        1.0..2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.nn.functional.interpolate(x, size=…, mode="bicubic", align_corners=False)` of the values below, from 3×3 to 2×2 and from 2×2 to
    /// 3×3; then with `antialias=True`.
    const SMALLER: [f32; 4] = [3.7978, 8.0303, 2.3701, 1.3720];
    const LARGER: [f32; 9] = [1.7509, 6.6736, 11.5962, 6.0868, 5.5000, 4.9131, 10.4226, 4.3263, -1.7698];
    const SMALLER_ANTIALIASED: [f32; 4] = [4.1676, 7.4535, 2.6221, 2.0969];
    /// The same with `mode="bilinear"` of 9 and 4 values as `[1, 1, N, 1]`, to 4 and 9.
    const SMALLER_SEQUENCE: [f32; 4] = [7.375, 1.125, 2.0, 3.125];
    const LARGER_SEQUENCE: [f32; 9] = [3.0, 4.1667, 7.2778, 9.9444, 9.5, 9.0556, 5.5, 1.5, 0.0];
    const LARGER_ANTIALIASED: [f32; 9] = [2.0754, 6.6315, 11.1876, 6.0657, 5.5000, 4.9342, 10.0560, 4.3684, -1.3192];

    #[test]
    fn values_are_torchs() {
        let grid = (0..9).map(|i| ((i * i * 7 + 3) % 11) as f32);
        let data: Vec<f32> = [100.0].into_iter().chain(grid).collect();
        let (whole, part) = (Tensor { shape: vec![10, 1], data: data.clone() }, data[..5].to_vec());
        let part = Tensor { shape: vec![5, 1], data: part };
        let cases: [(Rule, &Tensor, usize, &[f32]); 6] = [
            (Rule::Bicubic, &whole, 2, &SMALLER),
            (Rule::Bicubic, &part, 3, &LARGER),
            (Rule::Antialiased, &whole, 2, &SMALLER_ANTIALIASED),
            (Rule::Antialiased, &part, 3, &LARGER_ANTIALIASED),
            (Rule::Sequence, &whole, 2, &SMALLER_SEQUENCE),
            (Rule::Sequence, &part, 3, &LARGER_SEQUENCE),
        ];
        for (rule, table, side, torchs) in cases {
            let out = rule.resample(table.clone(), [side; 2]);
            assert_eq!((out.shape, out.data[0]), (vec![1 + side * side, 1], 100.0));
            for (ours, torchs) in out.data[1..].iter().zip(torchs) {
                assert!((ours - torchs).abs() < 1e-4, "{rule:?} {ours} {torchs}");
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let table = Tensor { shape: vec![10, 2], data: (0..20).map(|i| (i as f32).sin()).collect() };
        for rule in [Rule::Bicubic, Rule::Antialiased, Rule::Sequence] {
            assert_eq!(rule.resample(table.clone(), [3, 3]), table);
        }
    }
}
