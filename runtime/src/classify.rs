//! From an embedding to scored labels.

use edgelip_kernels::{Kernels, Part, math};

use crate::vision::expect;
use crate::{Error, Labels};

/// `scale · ⟨embedding, label⟩ + bias` for each label, and the label's own bias.
///
/// # Errors
/// [`Error::Length`] if `out` is not `[labels]` or the embedding has another width than the bank.
pub fn logits(
    kernels: &Kernels,
    embedding: &[f32],
    labels: &Labels<'_>,
    scale: f32,
    bias: f32,
    out: &mut [f32],
) -> Result<(), Error> {
    expect("logits", out.len(), labels.len())?;
    for (index, (logit, row)) in out.iter_mut().zip(labels.rows()).enumerate() {
        expect("embedding", embedding.len(), row.len())?;
        *logit = scale * kernels.dot(embedding, row) + bias + labels.bias(index);
    }
    Ok(())
}

/// Logits to scores that sum to 1, in place.
pub fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = math::exp(*logit - largest);
        sum += *logit;
    }
    logits.iter_mut().for_each(|score| *score /= sum);
}

/// Logits to independent scores, in place.
pub fn sigmoid(logits: &mut [f32]) {
    for logit in logits {
        *logit = 1.0 / (1.0 + math::exp(-*logit));
    }
}

/// Fills `top` with the indices of the highest scores, best first; of equal scores the lower index comes first.
/// Returns how many there are: `top.len()`, or fewer if there are fewer scores.
pub fn top_k(scores: &[f32], top: &mut [usize]) -> usize {
    let mut found = 0;
    for (index, &score) in scores.iter().enumerate() {
        let mut displaced = index;
        // Once one that is worse has given way, all after it move on by one place.
        for place in top.iter_mut().take(found) {
            if displaced != index || scores.at(*place) < score {
                core::mem::swap(place, &mut displaced);
            }
        }
        if let Some(place) = top.get_mut(found) {
            *place = displaced;
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_prefers_the_lower_index() {
        let mut top = [0; 3];
        assert_eq!(top_k(&[0.1, 0.5, 0.5, 0.9, 0.5], &mut top), 3);
        assert_eq!(top, [3, 1, 2]);
        assert_eq!(top_k(&[0.1, 0.2], &mut top), 2);
        assert_eq!(top[..2], [1, 0]);
        assert_eq!(top_k(&[], &mut top), 0);
        assert_eq!(top_k(&[1.0], &mut []), 0);
    }

    #[test]
    fn scores_are_probabilities() {
        let mut scores = [100.0, 98.0, -1e4];
        softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[1] / scores[0] - math::exp(-2.0)).abs() < 1e-6);
        let mut scores = [0.0, 200.0, -200.0];
        sigmoid(&mut scores);
        assert_eq!(scores, [0.5, 1.0, 0.0]);
    }
}
