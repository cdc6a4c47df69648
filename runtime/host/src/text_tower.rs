//! From words to embeddings: the tokenizer and an engine with its buffers.

use std::path::Path;

use edgelip_runtime::Text;

use crate::Error;
use crate::engine::native::{self, NativeText};
use crate::engine::{Engine, Provider, TextEngine};
use crate::tokenizer::Tokenizer;

/// A text tower, ready to run.
pub struct TextTower<'a> {
    text: Text<'a>,
    engine: Box<dyn TextEngine + 'a>,
    kind: Engine,
    threads: usize,
    tokenizer: Option<Tokenizer>,
}

impl<'a> TextTower<'a> {
    /// Opens a text tower's bytes, aligned as a [`Mapping`](crate::Mapping) is. The tokenizer is read when a text first needs it.
    ///
    /// # Errors
    /// What the file lacks for the engine.
    pub fn open(bytes: &'a [u8], path: &Path, kind: Engine, threads: usize) -> Result<Self, Error> {
        let text = Text::open(bytes, native::kernels())?;
        let engine: Box<dyn TextEngine> = match kind {
            Engine::Native => Box::new(NativeText::new(text.clone(), threads)?),
            Engine::Tract => tract(bytes, path, &text)?,
            Engine::Ort(provider) => ort(bytes, path, &text, provider, threads)?,
        };
        Ok(TextTower { text, engine, kind, threads, tokenizer: None })
    }

    /// The l2-normalised embedding `[E]` of a text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::Runtime`], [`Error::Tract`] or [`Error::Ort`].
    pub fn embed(&mut self, text: &str) -> Result<&[f32], Error> {
        let (engine, tokenizer) = self.parts()?;
        engine.run(&tokenizer.encode(text)?)
    }

    /// The l2-normalised embedding `[E]` of token ids, start and end token included.
    ///
    /// # Errors
    /// [`Error::Runtime`], [`Error::Tract`] or [`Error::Ort`].
    pub fn embed_ids(&mut self, ids: &[u32]) -> Result<&[f32], Error> {
        self.engine.run(ids)
    }

    /// The tokenizer embedded in the file.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn tokenizer(&mut self) -> Result<&Tokenizer, Error> {
        if self.tokenizer.is_none() {
            self.tokenizer = Some(Tokenizer::from_text_model(self.text.file())?);
        }
        self.tokenizer.as_ref().ok_or_else(|| Error::Tokenizer("not read".into()))
    }

    /// The tower as the runtime sees it.
    pub fn text(&self) -> &Text<'a> {
        &self.text
    }

    /// What runs it.
    pub fn kind(&self) -> Engine {
        self.kind
    }

    /// Threads it may use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The engine and the tokenizer, to be used side by side.
    pub(crate) fn parts(&mut self) -> Result<(&mut (dyn TextEngine + 'a), &Tokenizer), Error> {
        self.tokenizer()?;
        match &self.tokenizer {
            Some(tokenizer) => Ok((&mut *self.engine, tokenizer)),
            None => Err(Error::Tokenizer("not read".into())),
        }
    }

    /// Bytes of work space that are allocated, if the engine knows.
    pub fn scratch_bytes(&self) -> Option<usize> {
        self.engine.scratch_bytes()
    }
}

#[cfg(feature = "tract")]
fn tract<'a>(bytes: &[u8], path: &Path, text: &Text<'_>) -> Result<Box<dyn TextEngine + 'a>, Error> {
    use crate::engine::tract::{Graph, TractText};
    Ok(Box::new(TractText::new(Graph::read(bytes, path)?, text.context(), text.padding())?))
}

#[cfg(not(feature = "tract"))]
fn tract<'a>(_: &[u8], _: &Path, _: &Text<'_>) -> Result<Box<dyn TextEngine + 'a>, Error> {
    Err(Error::NoTract)
}

#[cfg(feature = "ort")]
fn ort<'a>(
    bytes: &[u8],
    path: &Path,
    text: &Text<'_>,
    provider: Provider,
    threads: usize,
) -> Result<Box<dyn TextEngine + 'a>, Error> {
    use crate::engine::ort::{Graph, OrtText};
    Ok(Box::new(OrtText::new(Graph::read(bytes, path, provider, threads)?, text.context(), text.padding())?))
}

#[cfg(not(feature = "ort"))]
fn ort<'a>(_: &[u8], _: &Path, _: &Text<'_>, _: Provider, _: usize) -> Result<Box<dyn TextEngine + 'a>, Error> {
    Err(Error::NoOrt)
}
