//! Multi-head attention, one head after another.

use ndarray::{Array2, Axis, Slice};

/// What an attention sees besides queries, keys and values.
#[derive(Clone, Copy, Default)]
pub struct Mask<'a> {
    /// How many patches each key stands for; its logarithm is added to the key's logits.
    pub sizes: Option<&'a [f32]>,
    /// Whether a token sees only itself and those before it.
    pub causal: bool,
}

/// `softmax(q kᵀ / √head_dim + ln sizes) v` in each head; all arrays are `[tokens, width]`, heads side by side.
pub fn attention(q: &Array2<f32>, k: &Array2<f32>, v: &Array2<f32>, heads: usize, mask: Mask) -> Array2<f32> {
    let head_dim = q.ncols() / heads;
    let scale = (head_dim as f32).powf(-0.5);
    let mut out = Array2::zeros(q.raw_dim());
    for head in 0..heads {
        let columns = Slice::from(head * head_dim..(head + 1) * head_dim);
        let of_head = |x: &Array2<f32>| x.slice_axis(Axis(1), columns).to_owned();
        let mut logits = of_head(q).dot(&of_head(k).t()) * scale;
        for (query, mut row) in logits.axis_iter_mut(Axis(0)).enumerate() {
            for (key, logit) in row.iter_mut().enumerate() {
                if let Some(sizes) = mask.sizes {
                    *logit += sizes[key].ln();
                }
                if mask.causal && key > query {
                    *logit = f32::NEG_INFINITY;
                }
            }
            let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            row.mapv_inplace(|logit| (logit - largest).exp());
            row /= row.sum();
        }
        out.slice_axis_mut(Axis(1), columns).assign(&logits.dot(&of_head(v)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn causal_attention_of_the_first_token_is_its_own_value() {
        let x = array![[1.0, 2.0], [-3.0, 0.5]];
        let out = attention(&x, &x, &x, 2, Mask { sizes: None, causal: true });
        assert_eq!(out.row(0), x.row(0));
    }

    #[test]
    fn a_key_of_size_two_counts_twice() {
        let q = array![[0.3], [0.7]];
        let twice = attention(&q, &array![[1.0], [2.0], [2.0]], &array![[5.0], [7.0], [7.0]], 1, Mask::default());
        let sized = attention(
            &q,
            &array![[1.0], [2.0]],
            &array![[5.0], [7.0]],
            1,
            Mask { sizes: Some(&[1.0, 2.0]), causal: false },
        );
        assert!((&twice - &sized).iter().all(|d| d.abs() < 1e-6));
    }
}
