//! Classification by the nearest training images (Wu et al., arXiv 1805.01978, its weighting).

use tch::{Kind, Tensor};

/// The vote's temperature.
const TEMPERATURE: f64 = 0.07;

/// Scores `[test, classes]`: the `k` nearest training embeddings vote with weight `exp(cos / 0.07)`.
pub fn nearest_neighbours(train: &Tensor, labels: &[i64], test: &Tensor, classes: i64, k: i64) -> Tensor {
    let (cosines, nearest) = test.matmul(&train.transpose(0, 1)).topk(k.min(train.size()[0]), 1, true, true);
    let votes = Tensor::from_slice(labels).take(&nearest);
    let weights = (cosines / TEMPERATURE).exp();
    Tensor::zeros([test.size()[0], classes], (Kind::Float, test.device())).scatter_add(1, &votes, &weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::accuracy;

    #[test]
    fn the_near_outvote_the_far() {
        let train = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0, 0.1, 0.9]).view([3, 2]);
        let test = Tensor::from_slice(&[0.9f32, 0.1, 0.0, 1.0]).view([2, 2]);
        let scores = nearest_neighbours(&train, &[0, 1, 1], &test, 2, 3);
        assert_eq!(accuracy(&scores, &[0, 1], 1), 1.0);
        let wanted = (0.9f64 / TEMPERATURE).exp();
        assert!((scores.double_value(&[0, 0]) / wanted - 1.0).abs() < 1e-4);
    }
}
