//! A linear classifier on frozen embeddings.

use tch::{Kind, Tensor};

/// Steps of full-batch gradient descent.
const STEPS: u64 = 300;
const RATE: f64 = 2.0;
const MOMENTUM: f64 = 0.9;

/// Scores `[test, classes]` of multinomial logistic regression on unit embeddings, with an L2 penalty of `penalty · ‖W‖² / 2`, by
/// full-batch gradient descent with momentum: no randomness, so equal embeddings give equal scores.
pub fn linear_probe(train: &Tensor, labels: &[i64], test: &Tensor, classes: i64, penalty: f64) -> Tensor {
    let mean = train.mean_dim([0].as_slice(), true, Kind::Float);
    let deviation = train.std_dim([0].as_slice(), true, true).clamp_min(1e-6);
    let scale = (train.size()[1] as f64).sqrt();
    let ready = |x: &Tensor| (x - &mean) / &deviation / scale;
    let (x, test) = (ready(train), ready(test));
    let target = Tensor::from_slice(labels).onehot(classes).to_kind(Kind::Float);
    tch::no_grad(|| {
        let options = (Kind::Float, x.device());
        let mut weight = Tensor::zeros([x.size()[1], classes], options);
        let mut bias = Tensor::zeros([classes], options);
        let (mut of_weight, mut of_bias) = (weight.zeros_like(), bias.zeros_like());
        for step in 0..STEPS {
            let error = ((x.matmul(&weight) + &bias).softmax(1, Kind::Float) - &target) / x.size()[0] as f64;
            of_weight = of_weight * MOMENTUM + x.transpose(0, 1).matmul(&error) + &weight * penalty;
            of_bias = of_bias * MOMENTUM + error.sum_dim_intlist([0].as_slice(), false, Kind::Float);
            let rate = RATE * classes as f64 * (1.0 - step as f64 / STEPS as f64);
            weight -= &of_weight * rate;
            bias -= &of_bias * rate;
        }
        test.matmul(&weight) + bias
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::accuracy;
    use tch::Device;

    #[test]
    fn separable_classes_are_separated() {
        tch::manual_seed(1);
        let centers = Tensor::randn([4, 8], (Kind::Float, Device::Cpu));
        let labels: Vec<i64> = (0..200).map(|i| i % 4).collect();
        let noisy = || {
            centers.index_select(0, &Tensor::from_slice(&labels))
                + Tensor::randn([200, 8], (Kind::Float, Device::Cpu)) * 0.2
        };
        let scores = linear_probe(&noisy(), &labels, &noisy(), 4, 1e-4);
        assert!(accuracy(&scores, &labels, 1) > 0.95);
    }
}
