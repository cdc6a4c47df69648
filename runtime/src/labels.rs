//! The label bank: names and their text embeddings, borrowed from the file.

use edgelip_kernels::Part;

use crate::model::Loader;
use crate::onnx::File;
use crate::split::split;
use crate::{Error, Problem};

/// Label names with one embedding each.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    names: &'a str,
    rows: &'a [f32],
    embedding: usize,
    /// Added to each label's logit; empty for none.
    biases: &'a [f32],
}

impl<'a> Labels<'a> {
    /// A bank of `names`, one a line, and as many l2-normalised `rows` `[labels, embedding]`.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one row for each name, or rows have no width.
    pub fn new(names: &'a str, rows: &'a [f32], embedding: usize) -> Result<Self, Error> {
        let expected = split(names, b'\n').count().checked_mul(embedding).ok_or(Error::TooLarge)?;
        if embedding == 0 {
            return Err(Error::Length { what: "width of label rows", expected: 1 });
        }
        crate::vision::expect("label rows", rows.len(), expected)?;
        Ok(Labels { names, rows, embedding, biases: &[] })
    }

    /// The bank of a file, if it has one.
    pub(crate) fn find(file: &File<'a>, loader: &mut Loader<'a>, embedding: usize) -> Result<Option<Self>, Error> {
        let name = "labels.weight";
        let names = match (file.metadata("edgelip.labels"), file.initializer(name)) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(Error::Metadata { key: "edgelip.labels", problem: Problem::Missing }),
            (Some(names), _) => names,
        };
        let count = split(names, b'\n').count();
        let rows = loader.floats(None, name, &[count, embedding])?;
        // A scalar is also in the metadata.
        let name = "labels.bias";
        let own = file.initializer(name).is_some_and(|bias| !bias.has_dims(&[]));
        let biases = if own { loader.floats(None, name, &[count])? } else { &[] };
        Ok(Some(Labels { biases, ..Self::new(names, rows, embedding)? }))
    }

    /// How many labels there are; at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.rows.len() / self.embedding.max(1)
    }

    /// The names, in the order of the rows.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        split(self.names, b'\n')
    }

    /// The name of label `index`.
    pub fn name(&self, index: usize) -> Option<&'a str> {
        self.names().nth(index)
    }

    /// What is added to the logit of label `index` besides the tower's bias: the bias of a classifier's row, else 0.
    pub fn bias(&self, index: usize) -> f32 {
        self.biases.get(index).copied().unwrap_or(0.0)
    }

    /// The embeddings, `[embedding]` each.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        self.rows.pieces(self.embedding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_has_a_row_of_some_width_for_each_name() {
        assert_eq!(Labels::new("cat\ndog", &[0.0; 6], 3).unwrap().len(), 2);
        assert!(Labels::new("cat\ndog", &[0.0; 5], 3).is_err());
        assert!(Labels::new("", &[], 0).is_err() && Labels::new("cat", &[0.0], 0).is_err());
    }
}
