//! Binary cross-entropy of each label (Mehta et al., arXiv 2404.15653).

use tch::{Device, Kind, Reduction, Tensor};

/// The loss summed over labels and averaged over images; logits and targets `[B, C]`.
pub fn multilabel(logits: &Tensor, targets: &Tensor) -> Tensor {
    let sum = logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, Reduction::Sum);
    sum / logits.size()[0] as f64
}

/// Rows with 1 at each label.
pub fn multi_hot(rows: &[&[i64]], labels: i64, device: Device) -> Tensor {
    let mut values = vec![0f32; rows.len() * labels as usize];
    for (row, present) in values.chunks_exact_mut(labels as usize).zip(rows) {
        present.iter().for_each(|&label| row[label as usize] = 1.0);
    }
    Tensor::from_slice(&values).view([rows.len() as i64, labels]).to_kind(Kind::Float).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_images_by_hand() {
        let logits = Tensor::from_slice(&[2f32, -1.0, 0.0, 3.0]).view([2, 2]);
        let targets = multi_hot(&[&[0], &[0, 1]], 2, Device::Cpu);
        let soft = |x: f64| (1.0 + x.exp()).ln();
        let wanted = (soft(-2.0) + soft(-1.0) + soft(0.0) + soft(-3.0)) / 2.0;
        assert!((multilabel(&logits, &targets).double_value(&[]) - wanted).abs() < 1e-6);
    }
}
