//! Tensors as windows on storages, which several may share.

use super::element::Element;

/// PyTorch's own limit is 64; no weight has more than a few.
const MAX_AXES: usize = 8;

/// A row of elements in an entry of the archive.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    /// The entry's name behind `data/`.
    pub(super) key: String,
    /// `None` if each tensor tells its own.
    pub(super) element: Option<Element>,
    /// Elements; bytes, if they are not known.
    pub(super) count: usize,
}

/// A tensor: places in a storage, by an offset and a stride for each axis.
#[derive(Debug, Clone)]
pub(super) struct TensorView {
    /// The entry's name behind `data/`.
    pub(super) key: String,
    pub(super) element: Element,
    /// Elements of the whole storage.
    pub(super) stored: usize,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
}

impl TensorView {
    /// A view, if it lies in its storage.
    ///
    /// # Errors
    /// The reason: a shape beyond the storage, or one that repeats elements, so that a small file could ask for any amount of memory.
    pub(super) fn new(
        storage: &Storage,
        element: Option<Element>,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<TensorView, String> {
        let told = element.or(storage.element).ok_or("a tensor that does not say what it is made of")?;
        let stored = if storage.element.is_none() { storage.count / told.size() } else { storage.count };
        if shape.len() != strides.len() || shape.len() > MAX_AXES {
            return Err(format!("a tensor of {} axes with {} strides", shape.len(), strides.len()));
        }
        let count = shape.iter().try_fold(1usize, |count, &length| count.checked_mul(length));
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (&length, &stride)| {
            last.checked_add(length.saturating_sub(1).checked_mul(stride)?)
        });
        let fits = match (count, last) {
            (Some(0), _) => true,
            (Some(count), Some(last)) => count <= stored && last < stored,
            _ => false,
        };
        if !fits {
            return Err(format!("a tensor of shape {shape:?} in a storage of {stored} elements"));
        }
        let offset = if count == Some(0) { 0 } else { offset };
        Ok(TensorView { key: storage.key.clone(), element: told, stored, offset, shape, strides })
    }

    /// Elements in the view.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Elements from the first to the last place.
    pub(super) fn span(&self) -> usize {
        if self.count() == 0 {
            return 0;
        }
        1 + self.shape.iter().zip(&self.strides).map(|(length, stride)| (length - 1) * stride).sum::<usize>()
    }

    /// The elements of the view in row-major order, out of those of its span.
    pub(super) fn gather(&self, span: Vec<f32>) -> Vec<f32> {
        let mut dense = 1;
        let is_dense = self.shape.iter().zip(&self.strides).rev().all(|(&length, &stride)| {
            let fits = length == 1 || stride == dense;
            dense *= length;
            fits
        });
        if is_dense {
            return span;
        }
        let mut index = vec![0; self.shape.len()];
        let mut place = 0;
        let mut data = Vec::with_capacity(self.count());
        for _ in 0..self.count() {
            data.push(span[place]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                place += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                place -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        data
    }
}
