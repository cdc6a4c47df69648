//! The text tower: token ids to embedding.

use edgelip_kernels::{
    Activation, Kernels, Linear, Parallel, Rows, RowsMut, Step, attention_scratch, linear_scratch, padded,
};

use crate::model::{LinearShape, Loader, Metadata, Precision, Table, invalid, linear_name};
use crate::onnx::File;
use crate::ops::tanh::tanh;
use crate::plan::{MAX_BLOCKS, VisionShape};
use crate::post_norm::PostNorms;
use crate::scratch::{self, Arena};
use crate::transformer::{Buffers, Sight, Transformer};
use crate::vision::expect;
use crate::{Error, Problem};

const MAX_CONTEXT: usize = 1 << 12;
const MAX_VOCABULARY: usize = 1 << 24;

/// What becomes the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    /// The first end token.
    EndFirst(u32),
    /// The first token with the largest id.
    LargestId,
    /// The mean of all tokens.
    Mean,
    /// What a pooler makes of the first token.
    First,
    /// The last token of the context, which texts are padded to; all tokens see each other.
    Last(Padding),
}

/// What fills the context of a tower whose attention sees the padding too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// The token that is repeated.
    pub id: u32,
    /// Whether it stands in front of the text and not behind it.
    pub before: bool,
}

/// A text tower, executed where its file lies.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    file: File<'a>,
    precision: Precision,
    pooling: Pooling,
    context: usize,
    vocabulary: usize,
    embedding: usize,
    token: Table<'a>,
    position: &'a [f32],
    transformer: Transformer<'a>,
    /// Of a tower whose norms stand behind the sums and whose tokens see each other.
    norms: Option<PostNorms<'a>>,
    /// Its hyperbolic tangent is what is pooled, with [`Pooling::First`].
    pooler: Option<Linear<'a>>,
    projection: Option<Linear<'a>>,
}

impl<'a> Text<'a> {
    /// Opens a text tower and checks all of it.
    ///
    /// # Errors
    /// What is missing or does not fit, by name.
    pub fn open(bytes: &'a [u8], kernels: Kernels) -> Result<Self, Error> {
        let file = File::parse(bytes)?;
        let metadata = Metadata(&file);
        metadata.check("text")?;
        let shape = VisionShape {
            image: [1, 1],
            patch: 1,
            width: metadata.number("edgelip.width")?,
            heads: metadata.number("edgelip.heads")?,
            blocks: metadata.number("edgelip.blocks")?,
            mlp: metadata.number("edgelip.mlp")?,
            embedding: metadata.number("edgelip.embedding")?,
            ..VisionShape::default()
        };
        shape.check()?;
        let context: usize = metadata.number("edgelip.context")?;
        let vocabulary: usize = metadata.number("edgelip.vocabulary")?;
        if context == 0 || vocabulary == 0 {
            return Err(invalid("edgelip.context"));
        }
        if context > MAX_CONTEXT || vocabulary > MAX_VOCABULARY || shape.blocks > MAX_BLOCKS {
            return Err(Error::TooLarge);
        }
        let post_norm = match file.metadata("edgelip.norm") {
            None => false,
            Some(_) => metadata.word("edgelip.norm", &[("pre", false), ("post", true)])?,
        };
        let pooling = pooling(&metadata, post_norm, vocabulary)?;
        let precision = metadata.precision()?;
        let kept = if precision == Precision::F32 { Precision::F32 } else { Precision::F16 };
        let width = padded(shape.width);
        let mut loader = Loader::new(&file, "text.");
        let of_table = if post_norm || matches!(pooling, Pooling::Last(_)) { precision } else { kept };
        let token = loader.table(["text.token.weight", "text.token.scale"], of_table, [vocabulary, width])?;
        let position = loader.floats(None, "text.position", &[context, width])?;
        let (kernels, curve) = (precision.kernels(kernels), (metadata.activation()?, metadata.norm_eps()?));
        let transformer = Transformer::load(&mut loader, kernels, precision, &shape, curve)?;
        let norms =
            if post_norm { Some(PostNorms::load(&mut loader, precision, shape.width, shape.blocks)?) } else { None };
        let square = LinearShape { inputs: shape.width, outputs: shape.width, groups: 1, precision: kept, bias: true };
        let pooler = match pooling {
            Pooling::First => Some(loader.linear(None, linear_name!("text.pooler"), square)?),
            _ => None,
        };
        let name = linear_name!("text.projection");
        let projection = if !post_norm || file.initializer(name.weight).is_some() {
            Some(loader.linear(None, name, LinearShape { outputs: shape.embedding, ..square })?)
        } else if shape.embedding == shape.width {
            None
        } else {
            return Err(invalid("edgelip.embedding"));
        };
        let embedding = shape.embedding;
        let text = Text {
            precision,
            pooling,
            context,
            vocabulary,
            embedding,
            token,
            position,
            transformer,
            norms,
            pooler,
            projection,
            file,
        };
        text.scratch_len(context, 1)?;
        Ok(text)
    }

    /// The embedding of a text, l2-normalised.
    ///
    /// `ids` are those of the tower's tokenizer. Of a CLIP they contain the end token, and what follows the token that is read is ignored; of a
    /// BERT, every id counts, so there must be no padding; of a SigLIP, fewer than the context are padded as [`Text::padding`] says.
    /// `scratch` holds at least [`Text::scratch_len`] floats for that many ids; `embedding` is `[E]`.
    ///
    /// # Errors
    /// [`Error::Tokens`] for ids outside the vocabulary or beyond the context, [`Error::NoEndToken`],
    /// [`Error::Length`] or [`Error::Scratch`] if a slice has another length.
    pub fn embed(
        &self,
        ids: &[u32],
        scratch: &mut [f32],
        parallel: &dyn Parallel,
        embedding: &mut [f32],
    ) -> Result<(), Error> {
        expect("embedding", embedding.len(), self.embedding)?;
        let read = self.read_row(ids)?;
        // Of a CLIP attention is causal: nothing after the row that is read can change it.
        let ids = if self.padding().is_some() { ids } else { &ids[..read.map_or(ids.len(), |read| read + 1)] };
        let count = self.rows(ids.len());
        let lengths = self.lengths(count, parallel.workers());
        let mut arena = Arena::new(scratch, scratch::total(&lengths)?)?;
        let mut buffers = Buffers {
            tokens: arena.take(lengths[0])?,
            rows: arena.take(lengths[1])?,
            wide: arena.take(lengths[2])?,
            query: arena.take(lengths[3])?,
            kernel: arena.take(lengths[4])?,
        };
        self.embed_tokens(ids, buffers.tokens);
        parallel.finished(Step::Embed);
        match (&self.norms, read, &self.projection) {
            (None, Some(read), Some(projection)) => {
                self.run_to_row(&mut buffers, count, read, parallel)?;
                self.transformer.project(projection, &mut buffers, read, embedding, parallel)
            }
            (Some(norms), ..) => {
                self.run_full(norms, &mut buffers, count, parallel)?;
                self.pool(&mut buffers, count, embedding, parallel)
            }
            // `open` gives every tower without post-norms a projection and a row to read.
            _ => Err(invalid("edgelip.norm")),
        }
    }

    /// CLIP's and SigLIP's blocks; the last one only for the row that is read.
    fn run_to_row(
        &self,
        buffers: &mut Buffers<'_>,
        count: usize,
        read: usize,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let sight = if self.padding().is_some() { Sight::All(None) } else { Sight::Causal };
        for index in 0..self.transformer.count {
            let last = index + 1 == self.transformer.count;
            let rows = if last { read..count } else { 0..count };
            self.transformer.attend(index, buffers, count, rows.clone(), sight, parallel)?;
            self.transformer.mlp(index, buffers, rows, parallel)?;
            parallel.finished(Step::Block);
        }
        Ok(())
    }

    /// BERT's blocks.
    fn run_full(
        &self,
        norms: &PostNorms<'_>,
        buffers: &mut Buffers<'_>,
        count: usize,
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let Transformer { kernels, width, norm_eps, .. } = &self.transformer;
        norms.embed.apply(kernels, buffers.tokens, (count, *width), *norm_eps)?;
        parallel.finished(Step::Norm);
        let mut before = &norms.embed;
        for (index, [behind_attention, behind_mlp]) in norms.blocks.iter().enumerate().take(self.transformer.count) {
            self.transformer.attend_then_norm(index, buffers, count, [before, behind_attention], parallel)?;
            self.transformer.mlp_then_norm(index, buffers, count, [behind_attention, behind_mlp], parallel)?;
            before = behind_mlp;
            parallel.finished(Step::Block);
        }
        Ok(())
    }

    /// The mean of `count` tokens, or what a pooler makes of the first; projected if there is a projection, and scaled to length 1.
    fn pool(
        &self,
        buffers: &mut Buffers<'_>,
        count: usize,
        embedding: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), Error> {
        let (kernels, width) = (&self.transformer.kernels, padded(self.transformer.width));
        let pooled = &mut buffers.rows[..width];
        match &self.pooler {
            None => {
                pooled.fill(0.0);
                for token in buffers.tokens.chunks_exact(width).take(count) {
                    pooled.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
                }
                pooled.iter_mut().for_each(|sum| *sum /= count as f32);
            }
            Some(pooler) => {
                let (first, out) = (Rows::new(buffers.tokens, 1, width)?, RowsMut::new(pooled, 1, width)?);
                kernels.linear(first, pooler, Activation::None, false, out, buffers.kernel, parallel)?;
                tanh(pooled);
            }
        }
        let Some(projection) = &self.projection else {
            kernels.normalize(&pooled[..embedding.len()], embedding);
            return Ok(());
        };
        let projected = RowsMut::new(buffers.query, 1, projection.outputs)?;
        let pooled = Rows::new(pooled, 1, width)?;
        kernels.linear(pooled, projection, Activation::None, false, projected, buffers.kernel, parallel)?;
        kernels.normalize(&buffers.query[..embedding.len()], embedding);
        Ok(())
    }

    /// The position of the token whose row becomes the embedding, if it is one token's.
    fn read_row(&self, ids: &[u32]) -> Result<Option<usize>, Error> {
        if ids.is_empty() && self.padding().is_none()
            || ids.len() > self.context
            || ids.iter().any(|&id| id as usize >= self.vocabulary)
        {
            return Err(Error::Tokens);
        }
        let read = match self.pooling {
            Pooling::Mean | Pooling::First => return Ok(None),
            Pooling::Last(_) => Some(self.context - 1),
            Pooling::EndFirst(end) => ids.iter().position(|&id| id == end),
            Pooling::LargestId => ids.iter().max().and_then(|largest| ids.iter().position(|id| id == largest)),
        };
        read.map(Some).ok_or(Error::NoEndToken)
    }

    fn embed_tokens(&self, ids: &[u32], tokens: &mut [f32]) {
        let width = padded(self.transformer.width);
        let rows = tokens.chunks_exact_mut(width).zip(self.position.chunks_exact(width));
        let (padding, filled) = (self.padding(), self.rows(ids.len()) - ids.len());
        let pad = padding.as_ref().map_or(&0, |padding| &padding.id);
        let before = if padding.is_some_and(|padding| padding.before) { filled } else { 0 };
        let fill = core::iter::repeat_n(pad, before).chain(ids).chain(core::iter::repeat_n(pad, filled - before));
        for (&id, (row, position)) in fill.zip(rows) {
            row.copy_from_slice(position);
            self.token.add_row(id as usize, row);
        }
    }

    fn lengths(&self, tokens: usize, workers: usize) -> [usize; 5] {
        let Transformer { width, mlp, heads, .. } = self.transformer;
        let rows = tokens * padded(width);
        let kernel =
            linear_scratch(tokens, width.max(mlp)).max(attention_scratch(tokens, tokens, width / heads, workers));
        let wide = tokens * (3 * padded(width)).max(padded(mlp));
        [rows, rows, wide, padded(width).max(padded(self.embedding)), kernel]
    }

    /// Length of the scratch slice in `f32`s for `tokens` ids when `workers` threads are lent.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it exceeds the address space.
    pub fn scratch_len(&self, tokens: usize, workers: usize) -> Result<usize, Error> {
        scratch::total(&self.lengths(self.rows(tokens.min(self.context)), workers))
    }

    /// Tokens that are computed for a text of `tokens`.
    fn rows(&self, tokens: usize) -> usize {
        if self.padding().is_some() { self.context } else { tokens }
    }

    /// What texts shorter than the context are padded with, if the tower's attention sees that.
    pub fn padding(&self) -> Option<Padding> {
        match self.pooling {
            Pooling::Last(padding) => Some(padding),
            Pooling::EndFirst(_) | Pooling::LargestId | Pooling::Mean | Pooling::First => None,
        }
    }

    /// The most ids a text may have.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How many token ids there are.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Width of the embedding.
    pub fn embedding(&self) -> usize {
        self.embedding
    }

    /// How the weights are stored.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The kernels that will run it.
    pub fn kernels(&self) -> &Kernels {
        &self.transformer.kernels
    }

    /// Width, heads, blocks and hidden width of the transformer.
    pub fn dimensions(&self) -> [usize; 4] {
        let Transformer { width, heads, count, mlp, .. } = self.transformer;
        [width, heads, count, mlp]
    }

    /// The tokenizer: the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Metadata`] if the file has none.
    pub fn tokenizer(&self) -> Result<&'a str, Error> {
        let key = "edgelip.tokenizer";
        self.file.metadata(key).ok_or(Error::Metadata { key, problem: Problem::Missing })
    }

    /// The file it lies in.
    pub fn file(&self) -> &File<'a> {
        &self.file
    }
}

/// What becomes the embedding: with post-norms the mean, else an end token or the last one.
fn pooling(metadata: &Metadata<'_, '_>, post_norm: bool, vocabulary: usize) -> Result<Pooling, Error> {
    let key = "edgelip.pooling";
    match (metadata.text(key)?, post_norm) {
        ("mean", true) => Ok(Pooling::Mean),
        ("pooler", true) => Ok(Pooling::First),
        ("eot_first", false) => metadata.number("edgelip.eot").map(Pooling::EndFirst),
        ("eot_argmax", false) => Ok(Pooling::LargestId),
        ("last", false) => {
            let key = "edgelip.padding";
            let (side, id) = metadata.text(key)?.split_once(',').ok_or(invalid(key))?;
            let before = match side {
                "right" => false,
                "left" => true,
                _ => return Err(invalid(key)),
            };
            let id: u32 = id.trim().parse().map_err(|_| invalid(key))?;
            if id as usize >= vocabulary {
                return Err(invalid(key));
            }
            Ok(Pooling::Last(Padding { id, before }))
        }
        _ => Err(invalid(key)),
    }
}
