//! Token ids to embedding.

use ndarray::{Array2, Axis, Slice};

use super::attention::Mask;
use super::bert;
use super::block::{Mixing, Mlp, Shape};
use super::layer::{Linear, Norm, normalized, read1, read2};
use crate::Error;
use crate::source::{NormPlace, Source, TextConfig, TextPooling};

/// The l2-normalised embeddings `[texts, embedding]` of token ids, start and end token included; texts that the tower wants padded are padded.
///
/// # Errors
/// A tensor that can't be read or has a wrong shape, a text that is empty or longer than the model's context, an id outside its
/// vocabulary, a text without its end token.
pub fn text(source: &dyn Source, texts: &[Vec<u32>]) -> Result<Array2<f32>, Error> {
    let config = source.model().text()?;
    let shape = shape(config);
    let texts = &padded(config, texts);
    let mut batch = embed_tokens(source, config, texts)?;
    if config.norm == NormPlace::Post {
        return bert::embed(source, config, shape, batch, &mut |_, _| ());
    }
    for block in 0..config.blocks {
        let name = format!("text.blocks.{block}");
        let mixing = Mixing::read(source, &name, shape)?;
        for x in &mut batch {
            *x = mixing.apply(x, Mask { sizes: None, causal: !matches!(config.pooling, TextPooling::Last(_)) }).0;
        }
        drop(mixing);
        let mlp = Mlp::read(source, &name, shape)?;
        for x in &mut batch {
            *x = mlp.apply(x);
        }
    }

    let embedding = source.model().embedding;
    let final_norm = Norm::read(source, "text.final_norm", config.width, config.norm_eps)?;
    let projection = Linear::read(source, "text.projection", embedding, config.width)?;
    let mut embeddings = Array2::zeros((texts.len(), embedding));
    for ((ids, x), mut out) in texts.iter().zip(&batch).zip(embeddings.axis_iter_mut(Axis(0))) {
        let end = end_of(config, ids)?;
        let pooled = final_norm.apply(&x.slice_axis(Axis(0), Slice::from(end..=end)).to_owned());
        out.assign(&normalized(projection.apply(&pooled).row(0)));
    }
    Ok(embeddings)
}

/// The largest magnitude of each channel `[width]` behind each norm of a tower with post-norms, over all tokens of the texts: the
/// embedding's norm first, then two for each block.
///
/// # Errors
/// As [`text`]; [`Error::Reference`] for a tower with pre-norms.
pub fn norm_ranges(source: &dyn Source, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, Error> {
    let config = source.model().text()?;
    if config.norm != NormPlace::Post {
        return Err(Error::Reference("only post-norms have ranges of their own".into()));
    }
    let mut ranges = vec![vec![0.0f32; config.width]; 1 + 2 * config.blocks];
    let mut observe = |norm: usize, x: &Array2<f32>| {
        for row in x.outer_iter() {
            ranges[norm].iter_mut().zip(row).for_each(|(range, &value)| *range = range.max(value.abs()));
        }
    };
    let batch = embed_tokens(source, config, texts)?;
    bert::embed(source, config, shape(config), batch, &mut observe)?;
    Ok(ranges)
}

fn shape(config: &TextConfig) -> Shape {
    Shape {
        width: config.width,
        heads: config.heads,
        mlp: config.mlp,
        activation: config.activation,
        eps: config.norm_eps,
    }
}

/// The rows of the token table, with their positions and, in BERT, the type of all of them.
fn embed_tokens(source: &dyn Source, config: &TextConfig, texts: &[Vec<u32>]) -> Result<Vec<Array2<f32>>, Error> {
    let table = read2(source, "text.token.weight", [config.vocabulary, config.width])?;
    let position = read2(source, "text.position", [config.context, config.width])?;
    let kind = match config.norm {
        NormPlace::Pre => None,
        NormPlace::Post => Some(read1(source, "text.token_type", config.width)?),
    };
    let mut batch = Vec::with_capacity(texts.len());
    for ids in texts {
        if ids.is_empty() || ids.len() > config.context {
            return Err(Error::Reference(format!("{} token ids, where 1 to {} fit", ids.len(), config.context)));
        }
        let mut x = position.slice_axis(Axis(0), Slice::from(..ids.len())).to_owned();
        for (mut row, &id) in x.axis_iter_mut(Axis(0)).zip(ids) {
            if id as usize >= config.vocabulary {
                return Err(Error::Reference(format!("token id {id} in a vocabulary of {}", config.vocabulary)));
            }
            row += &table.row(id as usize);
            if let Some(kind) = &kind {
                row += kind;
            }
        }
        batch.push(x);
    }
    Ok(batch)
}

/// Texts as long as the context, if the tower wants that.
fn padded(config: &TextConfig, texts: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let TextPooling::Last(padding) = config.pooling else { return texts.to_vec() };
    let fill = |ids: &Vec<u32>| {
        let missing = vec![padding.id; config.context.saturating_sub(ids.len())];
        if padding.before { [&missing[..], ids].concat() } else { [ids, &missing[..]].concat() }
    };
    texts.iter().map(fill).collect()
}

/// The position whose row stands for the whole text.
fn end_of(config: &TextConfig, ids: &[u32]) -> Result<usize, Error> {
    let end = match config.pooling {
        TextPooling::Last(_) => return Ok(ids.len() - 1),
        TextPooling::EotFirst | TextPooling::Mean | TextPooling::Pooler => config.eot,
        TextPooling::EotArgmax => ids.iter().copied().max().unwrap_or(config.eot),
    };
    ids.iter().position(|&id| id == end).ok_or_else(|| Error::Reference(format!("the end token {end} is missing")))
}
