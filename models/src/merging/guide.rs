//! What tells informative tokens from background: likeness to what both domains say of the image, and high-frequency energy.
//!
//! A reconstruction: the abstract of MLIP (arXiv 2406.01460) names "comprehensive semantics" of both domains, no formula.

use tch::{Kind, Tensor};

/// High-frequency energy of each token of a grid: `‖x − mean of its 3×3 neighbourhood‖²`, scaled to 0..1 over the image.
/// `x [B, HW, D]`, the result `[B, HW]`.
pub fn energy(x: &Tensor, grid: i64) -> Tensor {
    let (batch, patches, width) = x.size3().expect("tokens are [B, T, D]");
    let map = x.transpose(1, 2).reshape([batch, width, grid, grid]);
    let low = map.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>);
    unit_range(&(map - low).square().sum_dim_intlist([1].as_slice(), false, Kind::Float).view([batch, patches]))
}

/// The guide φ of each token, in 0..1 over the image: `semantic · ⟨x̂, ĝ⟩ + (1 − semantic) · e`, both parts scaled to 0..1.
/// `x [B, T, D]`; the summary `g [B, D]` is the sum of the unit class token and the unit frequency feature; `e [B, T]` is the energy as
/// merging has carried it.
pub fn guide(x: &Tensor, class: &Tensor, frequency: &Tensor, energy: &Tensor, semantic: f64) -> Tensor {
    let joint = unit(&(unit(class) + unit(frequency))).unsqueeze(-1);
    let likeness = unit(x).bmm(&joint).squeeze_dim(-1);
    unit_range(&likeness) * semantic + energy * (1.0 - semantic)
}

fn unit(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [-1], true).clamp_min(1e-12)
}

/// Each row scaled to 0..1; a constant row becomes 0.
fn unit_range(rows: &Tensor) -> Tensor {
    let (low, high) = (rows.amin([1], true), rows.amax([1], true));
    (rows - &low) / (high - low).clamp_min(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn a_lone_token_has_the_energy_and_its_neighbours_less() {
        let mut x = Tensor::zeros([1, 25, 2], (Kind::Float, Device::Cpu));
        let _ = x.select(1, 12).fill_(9.0);
        let energy = energy(&x, 5);
        let at = |i: i64| energy.double_value(&[0, i]);
        assert_eq!(at(12), 1.0);
        // The middle differs from its mean by 8, a neighbour by 1, on two channels each.
        assert!((at(7) - 1.0 / 64.0).abs() < 1e-6 && at(0) == 0.0);
        let _ = x.fill_(1.0);
    }

    #[test]
    fn tokens_like_the_summary_are_guided_to_stay() {
        let x = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0, 0.7, 0.7]).view([1, 3, 2]);
        let (class, frequency) =
            (Tensor::from_slice(&[3f32, 0.0]).view([1, 2]), Tensor::from_slice(&[5f32, 0.0]).view([1, 2]));
        let energy = Tensor::from_slice(&[0f32, 1.0, 0.5]).view([1, 3]);
        let semantic = guide(&x, &class, &frequency, &energy, 1.0);
        assert_eq!((semantic.double_value(&[0, 0]), semantic.double_value(&[0, 1])), (1.0, 0.0));
        let mixed = guide(&x, &class, &frequency, &energy, 0.5);
        assert!((mixed.double_value(&[0, 0]) - 0.5).abs() < 1e-6 && (mixed.double_value(&[0, 1]) - 0.5).abs() < 1e-6);
    }
}
