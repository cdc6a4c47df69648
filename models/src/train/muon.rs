//! Muon's orthogonalisation (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024).

use tch::{Kind, Tensor};

/// Coefficients of the quintic, steep at 0: five rounds bring singular values of 0.01 to 1 near 1.
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
const ROUNDS: usize = 5;

/// The changes of matrices `[N, out, in]` from their gradients' momentum: each `U S Vᵀ` becomes `U Vᵀ`, scaled so that its entries are as
/// large as AdamW's typical ones (Liu et al., arXiv 2502.16982).
///
/// The products are in `kind`: the iteration forgives what bfloat16 loses.
pub fn changes(momenta: &Tensor, kind: Kind) -> Tensor {
    let longest = momenta.size()[1].max(momenta.size()[2]);
    orthogonalise(momenta, kind).to_kind(Kind::Float) * (0.2 * (longest as f64).sqrt())
}

/// Newton-Schulz iterations towards the nearest orthogonal matrices, roughly: singular values end between 0.7 and 1.2.
fn orthogonalise(matrices: &Tensor, kind: Kind) -> Tensor {
    let tall = matrices.size()[1] > matrices.size()[2];
    let mut x = if tall { matrices.transpose(1, 2) } else { matrices.shallow_clone() };
    x = &x / x.square().sum_dim_intlist([1, 2].as_slice(), true, Kind::Float).sqrt().clamp_min(1e-12);
    x = x.to_kind(kind);
    let [a, b, c] = QUINTIC;
    for _ in 0..ROUNDS {
        let square = x.bmm(&x.transpose(1, 2));
        let polynomial = &square * b + square.bmm(&square) * c;
        x = &x * a + polynomial.bmm(&x);
    }
    if tall { x.transpose(1, 2) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn singular_values_come_near_one_and_directions_stay() {
        for shape in [[1, 6, 6], [3, 4, 20], [2, 20, 4]] {
            let x = Tensor::randn(shape, (Kind::Float, Device::Cpu));
            let (u, _, v) = x.svd(true, true);
            let nearest = u.matmul(&v.transpose(1, 2));
            let found = orthogonalise(&x, Kind::Float);
            let (_, values, _) = found.svd(true, true);
            assert!(values.min().double_value(&[]) > 0.3 && values.max().double_value(&[]) < 1.3, "{values}");
            let cosine = (&found * &nearest).sum(Kind::Float) / (found.norm() * nearest.norm());
            assert!(cosine.double_value(&[]) > 0.95);
        }
    }

    #[test]
    fn a_change_is_as_large_as_adams() {
        let momenta = Tensor::randn([3, 32, 32], (Kind::Float, Device::Cpu)) * 1e-5;
        let size = changes(&momenta, Kind::BFloat16).square().mean(Kind::Float).sqrt().double_value(&[]);
        assert!((0.1..0.3).contains(&size), "{size}");
    }
}
