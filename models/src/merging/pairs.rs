//! Merging the `r` closest pairs of tokens, differentiably in their values; docs/token-merging.md of the project has the rule.
//!
//! Even positions are sources, odd ones targets; the class token at position 0 never merges.

use tch::{Kind, Tensor};

use crate::config::Rule;

/// The tokens between attention and MLP.
#[derive(Debug)]
pub struct Tokens {
    /// Values `[B, T, D]`, f32.
    pub values: Tensor,
    /// How many patches each stands for `[B, T]`.
    pub sizes: Tensor,
    /// High-frequency energy `[B, T]`, if merging is guided.
    pub energy: Option<Tensor>,
}

/// Merges `r` tokens away. `keys [B, T, D]` are the block's; a guide `φ [B, T]` stretches distances by `1 + strength · max(φ_i, φ_j)`.
pub fn merge(rule: Rule, heads: i64, tokens: &Tokens, keys: &Tensor, guide: Option<(&Tensor, f64)>, r: i64) -> Tokens {
    let assignment = tch::no_grad(|| assign(rule, heads, tokens, keys, guide, r));
    let Tokens { values, sizes, energy } = tokens;
    let weighted = values * sizes.unsqueeze(-1);
    let new_sizes = assignment.bmm(&sizes.unsqueeze(-1));
    let mut merged = assignment.bmm(&weighted) / &new_sizes;
    if rule == Rule::Ward {
        // Averages are shorter than their members: back to the longest. The factor is taken as a constant by the gradient.
        let factor = tch::no_grad(|| {
            let norms = values.norm_scalaropt_dim(2, [-1], false).unsqueeze(1);
            let longest = (&assignment * norms).amax([-1], true);
            longest / merged.norm_scalaropt_dim(2, [-1], true).clamp_min(1e-12)
        });
        merged = &merged * factor;
    }
    let energy =
        energy.as_ref().map(|energy| (assignment.bmm(&(energy * sizes).unsqueeze(-1)) / &new_sizes).squeeze_dim(-1));
    Tokens { values: merged, sizes: new_sizes.squeeze_dim(-1), energy }
}

/// Which new token each old one goes to, as ones in `[B, T − r, T]`.
fn assign(rule: Rule, heads: i64, tokens: &Tokens, keys: &Tensor, guide: Option<(&Tensor, f64)>, r: i64) -> Tensor {
    let (batch, count, width) = tokens.values.size3().expect("tokens are [B, T, D]");
    let device = tokens.values.device();
    let keys = keys.to_kind(Kind::Float);
    let similarity = match rule {
        Rule::Ward => (cosines(&keys) + cosines(&tokens.values)) * 0.5,
        Rule::Tome => {
            cosines(&keys.view([batch, count, heads, width / heads]).mean_dim([2].as_slice(), false, Kind::Float))
        }
    };
    let stretch = guide
        .map(|(guide, strength)| sources(guide).unsqueeze(2).maximum(&targets(guide).unsqueeze(1)) * strength + 1.0);
    let mut distance: Tensor = 1.0 - similarity;
    if let Some(stretch) = stretch {
        distance *= stretch;
    }
    let score = match rule {
        Rule::Ward => {
            let p = tokens.sizes.pow_tensor_scalar(0.75);
            let (a, b) = (sources(&p).unsqueeze(2), targets(&p).unsqueeze(1));
            -distance * (&a * &b / (&a + &b))
        }
        Rule::Tome => -distance,
    };
    let _ = score.select(1, 0).fill_(-1e30);
    let (best, partner) = score.max_dim(2, false);
    // Stable: a tie goes to the lower position.
    let (_, order) = best.sort_stable(true, 1, true);
    let chosen = order.narrow(1, 0, r);

    let goes = Tensor::zeros([batch, count], (Kind::Int64, device));
    let positions = &chosen * 2;
    let _ = goes.shallow_clone().scatter_(1, &positions, &positions.ones_like());
    let place = goes.logical_not().cumsum(1, Kind::Int64) - 1;
    let target = place.gather(1, &(partner.gather(1, &chosen, false) * 2 + 1), false);
    let place = place.scatter(1, &positions, &target).unsqueeze(1);
    let ones = Tensor::ones(place.size(), (Kind::Float, device));
    Tensor::zeros([batch, count - r, count], (Kind::Float, device)).scatter_(1, &place, &ones)
}

/// Cosines of even with odd positions.
fn cosines(x: &Tensor) -> Tensor {
    let unit = x / x.norm_scalaropt_dim(2, [-1], true).clamp_min(1e-12);
    sources(&unit).bmm(&targets(&unit).transpose(1, 2))
}

fn sources(x: &Tensor) -> Tensor {
    x.slice(1, 0, None, 2)
}

fn targets(x: &Tensor) -> Tensor {
    x.slice(1, 1, None, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn table(x: &Tensor) -> Vec<Vec<f64>> {
        (0..x.size()[0]).map(|i| Vec::try_from(x.get(i).to_kind(Kind::Double)).unwrap()).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
    }

    /// The written rule, token by token.
    fn ward(
        x: &[Vec<f64>],
        keys: &[Vec<f64>],
        sizes: &[f64],
        guide: Option<(&[f64], f64)>,
        r: usize,
    ) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut best: Vec<(f64, usize, usize)> = (2..x.len())
            .step_by(2)
            .map(|i| {
                let score = |j: usize| {
                    let similarity = (cosine(&keys[i], &keys[j]) + cosine(&x[i], &x[j])) / 2.0;
                    let stretch = guide.map_or(1.0, |(guide, strength)| 1.0 + strength * guide[i].max(guide[j]));
                    let p = |k: usize| sizes[k].powf(0.75);
                    -(1.0 - similarity) * stretch * p(i) * p(j) / (p(i) + p(j))
                };
                let j = (1..x.len()).step_by(2).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap();
                (score(j), i, j)
            })
            .collect();
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        let target = |i: usize| best[..r].iter().find(|pair| pair.1 == i).map(|pair| pair.2);
        let (mut values, mut counts) = (Vec::new(), Vec::new());
        for position in (0..x.len()).filter(|&i| target(i).is_none()) {
            let members: Vec<usize> = (0..x.len()).filter(|&i| i == position || target(i) == Some(position)).collect();
            let size: f64 = members.iter().map(|&i| sizes[i]).sum();
            let mean: Vec<f64> =
                (0..x[0].len()).map(|d| members.iter().map(|&i| sizes[i] * x[i][d]).sum::<f64>() / size).collect();
            let longest = members.iter().map(|&i| dot(&x[i], &x[i]).sqrt()).fold(0.0, f64::max);
            let factor = longest / dot(&mean, &mean).sqrt();
            values.push(mean.iter().map(|value| value * factor).collect());
            counts.push(size);
        }
        (values, counts)
    }

    #[test]
    fn ward_with_and_without_a_guide_is_the_written_rule() {
        for (count, r, strength) in [(9, 3, None), (10, 4, None), (17, 7, Some(0.3)), (4, 1, Some(1.0)), (65, 31, None)]
        {
            let (values, keys) = (Tensor::randn([2, count, 6], OPTIONS), Tensor::randn([2, count, 6], OPTIONS));
            let sizes = Tensor::randint_low(1, 5, [2, count], OPTIONS);
            let phi = Tensor::rand([2, count], OPTIONS);
            let tokens = Tokens { values: values.copy(), sizes: sizes.copy(), energy: Some(phi.copy()) };
            let merged = merge(Rule::Ward, 2, &tokens, &keys, strength.map(|strength| (&phi, strength)), r);
            assert_eq!(merged.values.size(), [2, count - r, 6]);
            for image in 0..2 {
                let guide = table(&phi.get(image).unsqueeze(0)).remove(0);
                let (x, counts) = ward(
                    &table(&values.get(image)),
                    &table(&keys.get(image)),
                    &table(&sizes.get(image).unsqueeze(0))[0],
                    strength.map(|strength| (guide.as_slice(), strength)),
                    r as usize,
                );
                assert_eq!(table(&merged.sizes.get(image).unsqueeze(0))[0], counts);
                for (found, wanted) in table(&merged.values.get(image)).iter().zip(&x) {
                    assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {wanted:?}");
                }
            }
            let total = |energy: &Tensor, sizes: &Tensor| (energy * sizes).sum(Kind::Double).double_value(&[]);
            assert!((total(merged.energy.as_ref().unwrap(), &merged.sizes) - total(&phi, &sizes)).abs() < 1e-3);
        }
    }

    #[test]
    fn tome_means_by_size_and_leaves_the_class_token() {
        let values = Tensor::from_slice(&[9f32, 0.0, 2.0, 0.0, 6.0, 0.0, 0.0, 5.0]).view([1, 4, 2]);
        let sizes = Tensor::from_slice(&[1f32, 3.0, 1.0, 1.0]).view([1, 4]);
        let tokens = Tokens { values: values.copy(), sizes, energy: None };
        let merged = merge(Rule::Tome, 1, &tokens, &values, None, 1);
        assert_eq!(table(&merged.values.get(0)), [[9.0, 0.0], [3.0, 0.0], [0.0, 5.0]]);
        assert_eq!(table(&merged.sizes)[0], [1.0, 4.0, 1.0]);
    }

    #[test]
    fn gradients_flow_to_every_member() {
        let values = Tensor::randn([1, 9, 4], OPTIONS).set_requires_grad(true);
        let tokens = Tokens { values: values.shallow_clone(), sizes: Tensor::ones([1, 9], OPTIONS), energy: None };
        merge(Rule::Ward, 1, &tokens, &values.detach(), None, 4).values.sum(Kind::Float).backward();
        let lowest = values.grad().abs().amax([2], false).min().double_value(&[]);
        assert!(lowest > 0.01, "{lowest}");
    }
}
