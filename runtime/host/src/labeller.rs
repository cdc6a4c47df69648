//! A model together with the file it borrows from, for callers that can't borrow: other languages.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use edgelip_runtime::image::Rgb;
use self_cell::self_cell;

use crate::Error;
use crate::classifier::{Classifier, LabelSource, Scores};
use crate::image_tower::Options;
use crate::label_bank::LabelBank;
use crate::label_set::LabelSet;
use crate::mapping::Mapping;
use crate::text_tower::TextTower;

/// Where a model's bytes are. Weights are read there, never copied.
#[derive(Debug)]
pub enum Bytes {
    /// In a mapped file.
    File(Mapping),
    /// In memory that stays as it is.
    Memory(&'static [u8]),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::File(mapping) => mapping,
            Bytes::Memory(bytes) => bytes,
        }
    }
}

self_cell! {
    struct Opened {
        owner: Bytes,
        #[covariant]
        dependent: Classifier,
    }
}

/// What labels were asked for last.
type Wish = (LabelSet, Vec<String>, PathBuf);

/// A model file that is open, and labels to choose from.
pub struct Labeller {
    opened: Opened,
    options: Options,
    chosen: Option<Wish>,
}

impl Labeller {
    /// Maps and opens a model file.
    ///
    /// # Errors
    /// As [`Mapping::open`] and [`Classifier::open`]; a model without labels is none.
    pub fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let mapping = Mapping::open(path)?;
        mapping.prefetch();
        Self::new(Bytes::File(mapping), path, options)
    }

    /// Opens a model whose bytes are in memory, at a multiple of 64.
    ///
    /// # Errors
    /// As [`Classifier::open`]; a model without labels is none.
    pub fn from_bytes(bytes: &'static [u8], options: Options) -> Result<Self, Error> {
        Self::new(Bytes::Memory(bytes), Path::new("model"), options)
    }

    fn new(bytes: Bytes, path: &Path, options: Options) -> Result<Self, Error> {
        let opened = Opened::try_new(bytes, |bytes| {
            let mut classifier = Classifier::open(bytes, path, &options, LabelSource::None)?;
            own_labels(&mut classifier)?;
            Ok(classifier)
        });
        // The runtime's errors name what is wrong in a file, not the file.
        let opened = opened.map_err(|error| match error {
            Error::Runtime(source) => Error::Model { path: path.to_path_buf(), source },
            other => other,
        })?;
        Ok(Labeller { opened, options, chosen: None })
    }

    /// Chooses from these labels from now on, which the text tower in `text` embeds with `templates`. The same wish again costs nothing;
    /// after an error the earlier labels stay.
    ///
    /// # Errors
    /// The text tower's, or [`Error::Unusable`] if it does not belong to the model.
    pub fn choose_from(&mut self, set: &LabelSet, templates: &[String], text: &Path) -> Result<(), Error> {
        let wish = (set.clone(), templates.to_vec(), text.to_path_buf());
        if self.chosen.as_ref() == Some(&wish) {
            return Ok(());
        }
        let mapping = Mapping::open(text)?;
        let bank = TextTower::open(&mapping, text, self.options.engine, self.options.threads)
            .and_then(|mut tower| LabelBank::embed(set, templates, &mut tower, &mut |_| {}))
            .map_err(|error| match error {
                Error::Runtime(source) => Error::Model { path: text.to_path_buf(), source },
                other => other,
            })?;
        self.opened.with_dependent_mut(|_, classifier| classifier.set_labels(LabelSource::Bank(bank)))?;
        self.chosen = Some(wish);
        Ok(())
    }

    /// Chooses from the labels in the model's file again.
    ///
    /// # Errors
    /// None that [`Labeller::open`] would not have met.
    pub fn choose_from_own(&mut self) -> Result<(), Error> {
        if self.chosen.take().is_some() {
            self.opened.with_dependent_mut(|_, classifier| own_labels(classifier))?;
        }
        Ok(())
    }

    /// Scores the labels for an image.
    ///
    /// # Errors
    /// As [`Classifier::classify`]; [`Error::Unusable`] if the model has no labels and none were chosen.
    pub fn classify(&mut self, image: Rgb<'_>) -> Result<Scores<'_>, Error> {
        if self.chosen.is_none() && self.model().tower().vision().is_some_and(|vision| vision.labels().is_none()) {
            return Err(Error::Unusable("the model has no labels of its own: give names, and a text tower".into()));
        }
        self.opened.with_dependent_mut(|_, classifier| classifier.classify(image))
    }

    /// The embedding `[E]` of an image, l2-normalised.
    ///
    /// # Errors
    /// As [`Classifier::embed`].
    pub fn embed(&mut self, image: Rgb<'_>) -> Result<&[f32], Error> {
        self.opened.with_dependent_mut(|_, classifier| classifier.embed(image))
    }

    /// The model and the labels to choose from.
    pub fn model(&self) -> &Classifier<'_> {
        self.opened.borrow_dependent()
    }
}

/// The file's labels, if it has some; a foreign graph may have classes.
fn own_labels(classifier: &mut Classifier<'_>) -> Result<(), Error> {
    let has_none = classifier.tower().vision().is_some_and(|vision| vision.labels().is_none());
    classifier.set_labels(if has_none { LabelSource::None } else { LabelSource::Model })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labeller_can_be_sent_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Labeller>();
    }
}
