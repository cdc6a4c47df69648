//! Token-level alignment by late interaction (Yao et al., FILIP, arXiv 2111.07783).

use tch::{Kind, Tensor};

/// Text tokens padded to the longest.
#[derive(Debug)]
pub struct TextTokens {
    /// Unit vectors `[B, M, E]`.
    pub values: Tensor,
    /// 1 for tokens, 0 for padding, `[B, M]`.
    pub mask: Tensor,
}

/// Similarities `(s_i2t [images, texts], s_t2i [texts, images])` of unit image tokens `v [B, N, E]` with text tokens `w`:
/// `s_i2t = mean_n max_m ⟨v_n, w_m⟩` with the mean weighted by how many patches a token stands for (`sizes [B, N]`), and
/// `s_t2i = mean_m max_n ⟨v_n, w_m⟩`.
pub fn late_interaction(image: &Tensor, sizes: &Tensor, text: &TextTokens, kind: Kind) -> (Tensor, Tensor) {
    let (images, n, width) = image.size3().expect("image tokens are [B, N, E]");
    let (texts, m, _) = text.values.size3().expect("text tokens are [B, M, E]");
    let products = image
        .reshape([images * n, width])
        .to_kind(kind)
        .matmul(&text.values.reshape([texts * m, width]).to_kind(kind).transpose(0, 1));
    let products = products.view([images, n, texts, m]);
    // Cosines are at least −1: padding at −2 never is the best token.
    let padding = ((&text.mask - 1.0) * 3.0).to_kind(kind);
    let best_text = (&products + padding).amax([3], false).to_kind(Kind::Float);
    let weights = sizes / sizes.sum_dim_intlist([1].as_slice(), true, Kind::Float);
    let of_images = (best_text * weights.unsqueeze(-1)).sum_dim_intlist([1].as_slice(), false, Kind::Float);
    let best_patch = products.amax([1], false).to_kind(Kind::Float);
    let lengths = text.mask.sum_dim_intlist([1].as_slice(), false, Kind::Float);
    let of_texts = (best_patch * &text.mask).sum_dim_intlist([2].as_slice(), false, Kind::Float) / lengths;
    (of_images, of_texts.transpose(0, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::unit;
    use tch::Device;

    #[test]
    fn two_images_and_a_padded_text_by_hand() {
        let image = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0, 0.6, 0.8, -1.0, 0.0]).view([2, 2, 2]);
        let sizes = Tensor::from_slice(&[3f32, 1.0, 1.0, 1.0]).view([2, 2]);
        let text = TextTokens {
            values: Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0, -1.0, 0.0, 0.5, 0.5]).view([2, 2, 2]),
            mask: Tensor::from_slice(&[1f32, 1.0, 1.0, 0.0]).view([2, 2]),
        };
        let (i2t, t2i) = late_interaction(&image, &sizes, &text, Kind::Float);
        let wanted_i2t = [[1.0, -0.75], [0.4, 0.2]];
        let wanted_t2i = [[1.0, 0.7], [0.0, 1.0]];
        for a in 0..2 {
            for b in 0..2 {
                let (x, y) = (i2t.double_value(&[a, b]), t2i.double_value(&[a, b]));
                assert!((x - wanted_i2t[a as usize][b as usize]).abs() < 1e-6, "i2t {a} {b}: {x}");
                assert!((y - wanted_t2i[a as usize][b as usize]).abs() < 1e-6, "t2i {a} {b}: {y}");
            }
        }
    }

    #[test]
    fn gradients_are_finite_differences() {
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let text =
            TextTokens { values: unit(&random(&[3, 4, 5])), mask: Tensor::ones([3, 4], (Kind::Double, Device::Cpu)) };
        let sizes = Tensor::ones([3, 6], (Kind::Double, Device::Cpu));
        let image = random(&[3, 6, 5]).set_requires_grad(true);
        let weights = random(&[3, 3]);
        // The similarity itself is f32: the steps are wide enough for it.
        let loss = |image: &Tensor| {
            let (i2t, t2i) = late_interaction(&unit(image), &sizes, &text, Kind::Double);
            ((i2t + t2i.transpose(0, 1) * 0.5) * &weights).sum(Kind::Double)
        };
        loss(&image).backward();
        let (gradient, plain) = (image.grad().view([-1]), image.detach());
        for index in 0..90 {
            let nudge = Tensor::zeros([90], (Kind::Double, Device::Cpu));
            let _ = nudge.get(index).fill_(1e-3);
            let nudge = nudge.view([3, 6, 5]);
            let slope = (loss(&(&plain + &nudge)) - loss(&(&plain - &nudge))).double_value(&[]) / 2e-3;
            let found = gradient.double_value(&[index]);
            assert!((slope - found).abs() < 2e-2 * (0.1 + slope.abs()), "{index}: {slope} {found}");
        }
    }
}
