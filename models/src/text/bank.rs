//! What the frozen tower says of every text of the data, computed once and kept on disk.

use std::path::Path;

use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::{Encoder, Tokenizer, pad};
use crate::error::Error;
use crate::loss::TextTokens;
use crate::tensor_file;

/// Texts embedded together.
const BATCH: usize = 64;

/// Embeddings of texts by their index.
#[derive(Debug)]
pub struct Bank {
    /// Unit vectors `[texts, E]`.
    pooled: Tensor,
    /// Unit token vectors of all texts one after the other `[sum of lengths, E]`, bfloat16; empty if not asked for.
    tokens: Tensor,
    /// Where each text's tokens start; one more entry than texts.
    starts: Vec<i64>,
}

impl Bank {
    /// A bank of given embeddings: unit vectors `[texts, E]`, unit token vectors of all texts one after the other, and where each text's
    /// tokens start, with the end of the last.
    pub fn new(pooled: Tensor, tokens: Tensor, starts: Vec<i64>) -> Bank {
        Bank { pooled, tokens, starts }
    }

    /// The same bank, for another thread: its tensors are shared.
    pub fn share(&self) -> Bank {
        Bank { pooled: self.pooled.shallow_clone(), tokens: self.tokens.shallow_clone(), starts: self.starts.clone() }
    }

    /// Embeds `texts`, or reads them from `cache` if they were embedded before with the same model.
    ///
    /// # Errors
    /// [`Error::Io`] if the cache can't be written.
    pub fn embed(
        texts: &[String],
        model: &dyn Encoder,
        tokenizer: &Tokenizer,
        with_tokens: bool,
        cache: Option<&Path>,
    ) -> Result<Bank, Error> {
        let file =
            cache.map(|folder| folder.join(format!("texts-{}.safetensors", key(texts, model, tokenizer, with_tokens))));
        if let Some(file) = &file
            && file.exists()
        {
            let mut read = tensor_file::read(file)?;
            let starts = read.take("starts")?;
            return Ok(Bank {
                pooled: read.take("pooled")?.to_device(model.device()),
                tokens: read.take("tokens")?.to_device(model.device()),
                starts: Vec::try_from(&starts).map_err(|error| Error::malformed(file, error))?,
            });
        }
        let bank = Bank::compute(texts, model, tokenizer, with_tokens);
        if let Some(file) = &file {
            let starts = Tensor::from_slice(&bank.starts);
            tensor_file::write(file, &[("pooled", &bank.pooled), ("tokens", &bank.tokens), ("starts", &starts)], &[])?;
        }
        Ok(bank)
    }

    fn compute(texts: &[String], model: &dyn Encoder, tokenizer: &Tokenizer, with_tokens: bool) -> Bank {
        let ids: Vec<Vec<i64>> = texts.iter().map(|text| tokenizer.ids(text)).collect();
        let mut starts = vec![0i64];
        for ids in &ids {
            starts.push(starts[starts.len() - 1] + if with_tokens { ids.len() as i64 } else { 0 });
        }
        let width = model.width();
        let pooled = Tensor::zeros([texts.len() as i64, width], (Kind::Float, Device::Cpu));
        let tokens = Tensor::zeros([starts[texts.len()], width], (Kind::BFloat16, Device::Cpu));
        // Texts of a length together: no arithmetic is spent on padding.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&i| ids[i].len());
        for part in order.chunks(BATCH) {
            let of_part: Vec<&[i64]> = part.iter().map(|&i| ids[i].as_slice()).collect();
            let (padded, mask) = pad(&of_part, model.device());
            let (embeddings, states) = tch::no_grad(|| model.forward(&padded, &mask));
            for (row, &i) in part.iter().enumerate() {
                pooled.get(i as i64).copy_(&embeddings.get(row as i64));
                if with_tokens {
                    let length = ids[i].len() as i64;
                    let of_text = crate::vision::unit(&states.get(row as i64).narrow(0, 0, length));
                    tokens.narrow(0, starts[i], length).copy_(&of_text);
                }
            }
        }
        Bank { pooled: pooled.to_device(model.device()), tokens: tokens.to_device(model.device()), starts }
    }

    /// Unit embeddings of these texts `[count, E]`.
    pub fn pooled(&self, texts: &[usize]) -> Tensor {
        self.pooled.index_select(0, &indices(texts).to_device(self.pooled.device()))
    }

    /// Their unit token vectors, padded to the longest of them.
    pub fn tokens(&self, texts: &[usize]) -> TextTokens {
        let span = |&i: &usize| (self.starts[i], self.starts[i + 1] - self.starts[i]);
        let longest = texts.iter().map(span).map(|(_, length)| length).max().unwrap_or(0);
        // Padding repeats the text's first token; the mask keeps it out.
        let (mut rows, mut mask) = (Vec::new(), Vec::new());
        for (start, length) in texts.iter().map(span) {
            rows.extend((0..longest).map(|m| start + if m < length { m } else { 0 }));
            mask.extend((0..longest).map(|m| f32::from(m < length)));
        }
        let (device, count) = (self.pooled.device(), texts.len() as i64);
        let values =
            self.tokens.index_select(0, &Tensor::from_slice(&rows).to_device(device)).view([count, longest, -1]);
        TextTokens { values, mask: Tensor::from_slice(&mask).view([count, longest]).to_device(device) }
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn indices(texts: &[usize]) -> Tensor {
    Tensor::from_slice(&texts.iter().map(|&i| i as i64).collect::<Vec<_>>())
}

/// Names the cache by everything that its content depends on.
fn key(texts: &[String], model: &dyn Encoder, tokenizer: &Tokenizer, with_tokens: bool) -> String {
    let mut hash = Sha256::new();
    let (ids, mask) = pad(&[&[101, 7, 102]], model.device());
    let (probe, _) = tch::no_grad(|| model.forward(&ids, &mask));
    let probe: Vec<f32> = Vec::try_from(probe.view([-1]).to_device(Device::Cpu)).unwrap_or_default();
    // Rounded: the last bits depend on the processor.
    hash.update(probe.iter().flat_map(|x| ((x * 1e4) as i32).to_le_bytes()).collect::<Vec<_>>());
    hash.update([u8::from(with_tokens), tokenizer.most() as u8]);
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
