//! Multi-head self-attention (Vaswani et al., arXiv 1706.03762) that may weigh keys by how many patches they stand for.

use tch::Tensor;

use super::Linear;
use crate::config::Precision;
use crate::parameters::Parameters;

/// Self-attention of one block.
#[derive(Debug)]
pub struct Attention {
    qkv: Linear,
    out: Linear,
    heads: i64,
}

/// What attention leaves for the rest of the block.
#[derive(Debug)]
pub struct Attended {
    /// The branch's output `[B, T, D]`, without the residual.
    pub output: Tensor,
    /// The keys of all heads side by side `[B, T, D]`.
    pub keys: Tensor,
}

impl Attention {
    /// Parameters under `{name}.qkv_proj` (queries, keys, values) and `{name}.out_proj`.
    pub fn new(
        parameters: &Parameters,
        name: &str,
        [width, heads]: [i64; 2],
        out_deviation: f32,
        precision: Precision,
    ) -> Self {
        Attention {
            qkv: Linear::stacked(parameters, &format!("{name}.qkv_proj"), [width, 3 * width], 3, 0.02, precision),
            out: Linear::new(parameters, &format!("{name}.out_proj"), [width, width], out_deviation, precision),
            heads,
        }
    }

    /// Attention among the tokens `x [B, T, D]`. `bias [B, 1 or T, T]` is added to each head's logits: `ln s` of the keys' sizes
    /// (proportional attention, Bolya et al., arXiv 2210.09461), or −∞ for what must not be seen.
    pub fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Attended {
        let (batch, tokens, width) = x.size3().expect("tokens are [B, T, D]");
        let qkv = self.qkv.forward(x);
        let parts = qkv.chunk(3, -1);
        let head = |part: &Tensor| part.view([batch, tokens, self.heads, width / self.heads]).transpose(1, 2);
        let bias =
            bias.map(|bias| bias.unsqueeze(1).expand([batch, self.heads, tokens, tokens], false).to_kind(qkv.kind()));
        let mixed = Tensor::scaled_dot_product_attention(
            &head(&parts[0]),
            &head(&parts[1]),
            &head(&parts[2]),
            bias,
            0.0,
            false,
            None,
            false,
        );
        let mixed = mixed.transpose(1, 2).reshape([batch, tokens, width]);
        Attended { output: self.out.forward(&mixed), keys: parts[1].shallow_clone() }
    }
}
