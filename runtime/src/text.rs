//! The text tower: token ids to embedding.

use edgelip_kernels::{Kernels, Linear, Parallel, attention_scratch, linear_scratch, math, padded};

use crate::model::{LinearShape, Loader, Metadata, Precision, Table, invalid, linear_name};
use crate::onnx::File;
use crate::plan::{MAX_BLOCKS, VisionShape};
use crate::scratch::{self, Arena};
use crate::transformer::{Buffers, Sight, Transformer};
use crate::vision::expect;
use crate::{Error, Problem};

const MAX_CONTEXT: usize = 1 << 12;
const MAX_VOCABULARY: usize = 1 << 24;

/// Which token's row becomes the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    /// The first end token.
    EndFirst(u32),
    /// The first token with the largest id.
    LargestId,
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
    projection: Linear<'a>,
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
        let pooling = match metadata.word("edgelip.pooling", &[("eot_first", true), ("eot_argmax", false)])? {
            true => Pooling::EndFirst(metadata.number("edgelip.eot")?),
            false => Pooling::LargestId,
        };
        let precision = metadata.precision()?;
        let half = precision != Precision::F32;
        let width = padded(shape.width);
        let mut loader = Loader::new(&file, "text.blocks.");
        let token = loader.table("text.token.weight", half, &[vocabulary, width])?;
        let position = loader.floats(None, "text.position", &[context, width])?;
        let transformer = Transformer::load(
            &mut loader,
            kernels,
            precision,
            (shape.width, shape.heads, shape.mlp, shape.blocks),
            (metadata.activation()?, metadata.norm_eps()?),
        )?;
        let projection = LinearShape {
            inputs: shape.width,
            outputs: shape.embedding,
            groups: 1,
            precision: if half { Precision::F16 } else { Precision::F32 },
            bias: true,
        };
        let projection = loader.linear(None, linear_name!("text.projection"), projection)?;
        let embedding = shape.embedding;
        let text =
            Text { precision, pooling, context, vocabulary, embedding, token, position, transformer, projection, file };
        text.scratch_len(context, 1)?;
        Ok(text)
    }

    /// The embedding of a text, l2-normalised.
    ///
    /// `ids` start with the start token and contain the end token; what follows the token that is read is ignored.
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
        // Attention is causal: nothing after the row that is read can change it.
        let ids = &ids[..=read];
        let count = ids.len();
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
        for index in 0..self.transformer.count {
            let last = index + 1 == self.transformer.count;
            let rows = if last { read..count } else { 0..count };
            self.transformer.attend(index, &mut buffers, count, rows.clone(), Sight::Causal, parallel)?;
            self.transformer.mlp(index, &mut buffers, rows, parallel)?;
        }
        self.transformer.project(&self.projection, &mut buffers, read, embedding, parallel)
    }

    /// The position of the token whose row becomes the embedding.
    fn read_row(&self, ids: &[u32]) -> Result<usize, Error> {
        if ids.is_empty() || ids.len() > self.context || ids.iter().any(|&id| id as usize >= self.vocabulary) {
            return Err(Error::Tokens);
        }
        match self.pooling {
            Pooling::EndFirst(end) => ids.iter().position(|&id| id == end),
            Pooling::LargestId => ids.iter().max().and_then(|largest| ids.iter().position(|id| id == largest)),
        }
        .ok_or(Error::NoEndToken)
    }

    fn embed_tokens(&self, ids: &[u32], tokens: &mut [f32]) {
        let width = padded(self.transformer.width);
        let rows = tokens.chunks_exact_mut(width).zip(self.position.chunks_exact(width));
        for (&id, (row, position)) in ids.iter().zip(rows) {
            let range = id as usize * width..(id as usize + 1) * width;
            row.copy_from_slice(position);
            match self.token {
                Table::F32(table) => row.iter_mut().zip(&table[range]).for_each(|(sum, value)| *sum += value),
                Table::F16(table) => {
                    row.iter_mut().zip(&table[range]).for_each(|(sum, &bits)| *sum += math::f16_to_f32(bits));
                }
            }
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
        scratch::total(&self.lengths(tokens.min(self.context), workers))
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
