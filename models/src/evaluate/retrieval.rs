//! Recall at k from images to texts and back.

use tch::{Kind, Tensor};

/// The share of queries with a right answer among the first 1, 5 and 10.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall {
    /// Right texts for an image.
    pub image_to_text: [f64; 3],
    /// The right image for a text.
    pub text_to_image: [f64; 3],
}

/// Recall of `images [N, E]` and `texts [M, E]`, of which text `j` belongs to image `owner[j]`.
pub fn recall(images: &Tensor, texts: &Tensor, owner: &[i64]) -> Recall {
    let scores = images.matmul(&texts.transpose(0, 1));
    let owner = Tensor::from_slice(owner);
    let own =
        owner.unsqueeze(0).eq_tensor(&Tensor::arange(images.size()[0], (Kind::Int64, scores.device())).unsqueeze(1));
    Recall {
        image_to_text: at_each(&scores, &own),
        text_to_image: at_each(&scores.transpose(0, 1), &own.transpose(0, 1)),
    }
}

/// By the rank of the best right answer: how many wrong ones score at least as high.
fn at_each(scores: &Tensor, right: &Tensor) -> [f64; 3] {
    let best = scores.masked_fill(&right.logical_not(), f64::NEG_INFINITY).amax([1], true);
    let ahead =
        (scores.ge_tensor(&best).logical_and(&right.logical_not())).sum_dim_intlist([1].as_slice(), false, Kind::Int64);
    [1, 5, 10].map(|k| ahead.lt(k).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_by_hand() {
        let images = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).view([2, 2]);
        // Texts 0 and 1 belong to image 0, text 2 to image 1; text 1 looks like image 1.
        let texts = Tensor::from_slice(&[0.9f32, 0.1, 0.2, 0.9, 0.3, 0.8]).view([3, 2]);
        let recall = recall(&images, &texts, &[0, 0, 1]);
        assert_eq!(recall.image_to_text, [0.5, 1.0, 1.0]);
        assert!((recall.text_to_image[0] - 2.0 / 3.0).abs() < 1e-12 && recall.text_to_image[1] == 1.0);
    }
}
