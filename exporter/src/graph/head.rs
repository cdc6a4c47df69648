//! From what the blocks leave to the embedding: the class token or what a pooler makes of it, a mean, or what a learned query reads.

use edgelip_kernels::padded;

use crate::error::Error;
use crate::source::{Pooling, Source, VisionConfig};

use super::attention::Attention;
use super::builder::{Graph, Value};
use super::fold::{Affine, floats};
use super::linear::LinearSpec;
use super::transformer::Transformer;
use super::vision::key_bias;

/// What the blocks leave.
pub(super) struct Left {
    /// `[N, count, width]`; of a tower with a class token only that.
    pub tokens: Value,
    /// Patches each token stands for, `[N, count, 1]`; `None` if it is one for all.
    pub sizes: Option<Value>,
    pub count: usize,
}

impl<'a> Transformer<'a> {
    /// The embedding `[N, embedding]`.
    ///
    /// # Errors
    /// [`Error::Graph`] for a head without a projection whose norm could be folded nowhere.
    pub fn read_out(
        &self,
        graph: &mut Graph<'a>,
        config: &VisionConfig,
        left: &Left,
        embedding: usize,
    ) -> Result<Value, Error> {
        let head = config.head;
        // Behind these heads no norm is left for a layer to take in.
        let normless = matches!(head.pooling, Pooling::Attention | Pooling::Pooler);
        if !head.projected && !normless {
            return Err(Error::Graph("a norm before the embedding needs a projection behind it".into()));
        }
        graph.enter("head");
        let projection = head.projected.then(|| {
            let norm = (!normless).then(|| "vision.post_norm".into());
            self.projection_layer(graph, "vision.projection".into(), norm, embedding, true)
        });
        let pooled = match head.pooling {
            Pooling::Class => graph.layer_norm("norm", &left.tokens, self.width, self.norm_eps),
            Pooling::Pooler => {
                let normed = graph.layer_norm("norm", &left.tokens, self.width, self.norm_eps);
                self.pooler(graph, &normed, Some("vision.post_norm".into()))
            }
            Pooling::Mean => {
                let mean = graph.mean_of_patches(config, &left.tokens, left);
                graph.layer_norm("norm", &mean, self.width, self.norm_eps)
            }
            Pooling::NormedMean => {
                let normed = graph.layer_norm("norm", &left.tokens, self.width, self.norm_eps);
                graph.mean_of_patches(config, &normed, left)
            }
            Pooling::Attention => self.pool_by_attention(graph, left),
        };
        let out = match projection {
            Some(layer) => {
                let input = graph.linear_input("pooled", &pooled, self.precision.kept());
                graph.linear("projection", &input, &layer)
            }
            None => pooled,
        };
        let flat = graph.reshape("projection/flat", &out, &[0, embedding as i64]);
        if !head.unit {
            return Ok(flat);
        }
        let [unit, _] = graph.normalize("embedding", &flat);
        Ok(unit)
    }

    /// The hyperbolic tangent of the pooler on `x [N, 1, width]` behind `norm`.
    pub fn pooler(&self, graph: &mut Graph<'a>, x: &Value, norm: Option<String>) -> Value {
        let name = format!("{}.pooler", graph.tower());
        let spec = LinearSpec {
            name: name.clone(),
            inputs: self.width,
            outputs: self.width,
            precision: self.precision.kept(),
            bias: true,
            groups: vec![self.load(Affine { layer: name, norm, scale: 1.0 })],
        };
        let layer = graph.linear_layer("pooler", spec);
        let input = graph.linear_input("pooler", x, self.precision.kept());
        let out = graph.linear("pooler", &input, &layer);
        graph.node("Tanh", "pooler/tanh", &[&out])
    }

    /// What the head's query reads from the normed tokens, through its MLP: `[N, 1, width]`.
    fn pool_by_attention(&self, graph: &mut Graph<'a>, left: &Left) -> Value {
        let (source, width, stride) = (self.source, self.width, padded(self.width));
        let scale = 1.0 / ((width / self.heads) as f64).sqrt();
        let query = graph.rows_of_floats("vision.pool.query", &[1, stride], move || query(source, width, scale));
        let group = |part: &str| {
            self.load(Affine {
                layer: format!("vision.pool.{part}"),
                norm: Some("vision.post_norm".into()),
                scale: 1.0,
            })
        };
        let kv = LinearSpec {
            name: "vision.pool.kv".into(),
            inputs: width,
            outputs: width,
            precision: self.precision,
            bias: true,
            groups: vec![group("k"), group("v")],
        };
        let kv = graph.linear_layer("pool/kv", kv);
        let out = self.layer_in(graph, "pool", "out", width, width, None);
        let query = graph.columns("pool/query/columns", &query, width, stride);
        let query = graph.reshape("pool/query", &query, &[1, 1, width as i64]);
        let normed = graph.layer_norm("pool/norm", &left.tokens, width, self.norm_eps);
        let input = graph.linear_input("pool/norm", &normed, self.precision);
        let kv = graph.linear_split("pool/kv", &input, &kv, 0..2);
        let bias = left.sizes.as_ref().map(|sizes| key_bias(graph, sizes, left.count));
        let read = graph.attention(&Attention {
            q: &query,
            k: &kv[0],
            v: &kv[1],
            bias: bias.as_ref(),
            heads: self.heads,
            width,
        });
        let input = graph.linear_input("pool/read", &read, self.precision);
        let pooled = graph.linear("pool/out", &input, &out);
        self.perceive_in(graph, "pool", &pooled)
    }
}

impl Graph<'_> {
    /// The mean of all patches, of which each of `values [N, count, width]` stands for some: `[N, 1, width]`.
    fn mean_of_patches(&mut self, config: &VisionConfig, values: &Value, left: &Left) -> Value {
        let Some(sizes) = &left.sizes else { return self.reduce("ReduceMean", "mean", values, 1) };
        let weighted = self.node("Mul", "mean/weighted", &[values, sizes]);
        let mean = self.reduce("ReduceMean", "mean/of_tokens", &weighted, 1);
        let share = self.float(left.count as f32 / config.tokens() as f32);
        self.node("Mul", "mean", &[&mean, &share])
    }
}

/// The head's query behind its projection, scaled: `[padded(width)]`.
fn query(source: &dyn Source, width: usize, scale: f64) -> Result<Vec<f32>, Error> {
    let probe = floats(source, "vision.pool.probe", width)?;
    let layer = Affine { layer: "vision.pool.q".into(), norm: None, scale }.load(source)?;
    let mut query: Vec<f32> = layer
        .weight
        .chunks_exact(width)
        .zip(&layer.bias)
        .map(|(row, &bias)| {
            let product: f64 = row.iter().zip(&probe).map(|(&weight, probe)| f64::from(weight) * probe).sum();
            (product + f64::from(bias)) as f32
        })
        .collect();
    query.resize(padded(width), 0.0);
    Ok(query)
}
