//! InfoNCE in both directions (van den Oord et al., arXiv 1807.03748; Radford et al., arXiv 2103.00020) with one or more positives
//! (Yang et al., arXiv 2204.03610).

use tch::{Device, Kind, Tensor};

/// Which texts belong to which images: 1 where groups are equal (`grouped`), or only on the diagonal. `[images, texts]`, with at least
/// as many texts as images.
pub fn positives(images: &[u32], texts: &[u32], grouped: bool, device: Device) -> Tensor {
    if !grouped {
        return Tensor::eye_m(images.len() as i64, texts.len() as i64, (Kind::Float, device));
    }
    let of = |groups: &[u32]| {
        Tensor::from_slice(&groups.iter().map(|&group| i64::from(group)).collect::<Vec<_>>()).to_device(device)
    };
    of(images).unsqueeze(1).eq_tensor(&of(texts).unsqueeze(0)).to_kind(Kind::Float)
}

/// The mean of both directions' cross-entropies over logits `[B, K]`, `K ≥ B`.
///
/// Each image is held against all K texts, with its positives as equally likely targets; each of the first B texts, the images' own,
/// against the images. `smoothing` moves that share of the images' targets to all texts alike.
pub fn contrast(image_logits: &Tensor, text_logits: &Tensor, positives: &Tensor, smoothing: f64) -> Tensor {
    let batch = positives.size()[0];
    let of_images = cross_entropy(image_logits, positives, smoothing);
    let of_texts = cross_entropy(text_logits, &positives.narrow(1, 0, batch).transpose(0, 1), 0.0);
    (of_images + of_texts) * 0.5
}

fn cross_entropy(logits: &Tensor, positives: &Tensor, smoothing: f64) -> Tensor {
    let targets = positives / positives.sum_dim_intlist([1].as_slice(), true, Kind::Float);
    let targets = targets * (1.0 - smoothing) + smoothing / logits.size()[1] as f64;
    -(logits.log_softmax(1, Kind::Float) * targets)
        .sum_dim_intlist([1].as_slice(), false, Kind::Float)
        .mean(Kind::Float)
}

/// The share of images whose best text is a positive.
pub fn hits(logits: &Tensor, positives: &Tensor) -> Tensor {
    positives.gather(1, &logits.argmax(1, true), false).gt(0.0).to_kind(Kind::Float).mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32], columns: i64) -> Tensor {
        Tensor::from_slice(values).view([-1, columns])
    }

    #[test]
    fn one_positive_by_hand() {
        let logits = rows(&[2.0, 0.0, 1.0, 3.0], 2);
        let positives = positives(&[0, 1], &[0, 1], false, Device::Cpu);
        let loss = contrast(&logits, &logits.transpose(0, 1), &positives, 0.0).double_value(&[]);
        // Rows: ln(1 + e⁻²) twice; columns: ln(1 + e⁻¹) and ln(1 + e⁻³).
        let term = |x: f64| (1.0 + (-x).exp()).ln();
        let wanted = (term(2.0) + (term(1.0) + term(3.0)) / 2.0) / 2.0;
        assert!((loss - wanted).abs() < 1e-6, "{loss} {wanted}");
        assert_eq!(hits(&logits, &positives).double_value(&[]), 1.0);
    }

    #[test]
    fn several_positives_share_the_target_and_the_bank_only_counts_for_images() {
        let mask = positives(&[4, 9], &[4, 9, 4], true, Device::Cpu);
        assert_eq!(mask.sum(Kind::Float).double_value(&[]), 3.0);
        let logits = rows(&[1.0, 0.0, 2.0, 0.0, 1.0, 0.0], 3);
        let texts = logits.narrow(1, 0, 2).transpose(0, 1);
        let loss = contrast(&logits, &texts, &mask, 0.0).double_value(&[]);
        let e = std::f64::consts::E;
        let first = (e + 1.0 + e * e).ln() - 1.5;
        let second = (2.0 + e).ln() - 1.0;
        let of_texts = (1.0 + (-1f64).exp()).ln();
        let wanted = ((first + second) / 2.0 + of_texts) / 2.0;
        assert!((loss - wanted).abs() < 1e-6, "{loss} {wanted}");
    }

    #[test]
    fn smoothing_spreads_the_target() {
        let logits = rows(&[3.0, 0.0, 0.0, 3.0], 2);
        let mask = positives(&[0, 1], &[0, 1], false, Device::Cpu);
        let loss = contrast(&logits, &logits, &mask, 0.5).double_value(&[]);
        let term = (1.0 + (-3f64).exp()).ln();
        let wanted = ((0.75 * term + 0.25 * (term + 3.0)) + term) / 2.0;
        assert!((loss - wanted).abs() < 1e-6, "{loss} {wanted}");
    }
}
