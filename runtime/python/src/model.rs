//! The model as Python sees it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use host::label_set::{self, DEFAULT_TEMPLATE, LabelSet};
use host::threads::{MAX_THREADS, default_threads};
use host::{Labeller, Options, templates};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::{Error, raise};
use crate::image::Image;

/// A model file that is open.
///
/// The file is mapped into memory and its weights are read where they lie: opening takes next to no time, and processes that open the
/// same file share its memory. Threads may share a model; they take turns.
///
/// :param path: The image tower's file.
/// :param text: The text tower's file, which turns label names into embeddings; needed for labels other than the file's own.
/// :param threads: Threads to use. By default the physical cores that the process may use.
#[pyclass(module = "edgelip", frozen)]
pub struct Model {
    labeller: Mutex<Labeller>,
    path: PathBuf,
    text: Option<PathBuf>,
}

/// What to choose from.
type Choice = Option<(LabelSet, Vec<String>, PathBuf)>;

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (path, *, text = None, threads = None))]
    fn new(py: Python<'_>, path: PathBuf, text: Option<PathBuf>, threads: Option<usize>) -> PyResult<Self> {
        let threads = threads.unwrap_or_else(default_threads);
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(PyValueError::new_err(format!("threads are from 1 to {MAX_THREADS}")));
        }
        let options = Options { threads, ..Options::default() };
        let labeller = py.detach(|| Labeller::open(&path, options)).map_err(raise)?;
        Ok(Model { labeller: Mutex::new(labeller), path, text })
    }

    /// The labels that fit an image best.
    ///
    /// Labels that are asked for again, one call after another, are embedded once.
    ///
    /// :param image: A path, a NumPy array of shape (height, width, 3) and dtype uint8 (red, green, blue), a Pillow image, or the bytes of
    ///     a JPEG, PNG or WebP file.
    /// :param labels: Names to choose from. By default those in the model's file.
    /// :param top: How many to return; None for all of them.
    /// :param template: A prompt with {} for the name, or several, whose embeddings are averaged; or the name of a known set:
    ///     openai-80, simple-7, photo, none.
    /// :param text: The text tower's file, instead of the one that the model was opened with.
    /// :returns: Pairs of name and score, best first.
    #[pyo3(signature = (image, labels = None, *, top = Some(5), template = None, text = None))]
    fn classify(
        &self,
        py: Python<'_>,
        image: &Bound<'_, PyAny>,
        labels: Option<&Bound<'_, PyAny>>,
        top: Option<usize>,
        template: Option<&Bound<'_, PyAny>>,
        text: Option<PathBuf>,
    ) -> PyResult<Vec<(String, f32)>> {
        let image = Image::of(image)?;
        let choice = self.choice(labels, template, text)?;
        py.detach(|| {
            let picture = image.decode()?;
            let mut labeller = self.lock()?;
            match &choice {
                Some((set, templates, text)) => labeller.choose_from(set, templates, text),
                None => labeller.choose_from_own(),
            }
            .map_err(raise)?;
            let scores = labeller.classify(picture.view()).map_err(raise)?;
            let top = scores.top(top.unwrap_or(usize::MAX));
            Ok(top.into_iter().map(|best| (best.label, best.score)).collect())
        })
    }

    /// An image's embedding: a NumPy array of shape (embedding_size,) and dtype float32, of length 1.
    ///
    /// :param image: As for classify.
    fn embed<'py>(&self, py: Python<'py>, image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let image = Image::of(image)?;
        let bytes = py.detach(|| {
            let picture = image.decode()?;
            let mut labeller = self.lock()?;
            let embedding = labeller.embed(picture.view()).map_err(raise)?;
            Ok::<_, PyErr>(embedding.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>())
        })?;
        let array = py.import("numpy")?.call_method1("frombuffer", (PyBytes::new(py, &bytes), "float32"))?;
        // What comes from bytes is read-only.
        array.call_method0("copy")
    }

    /// The labels in the model's file.
    #[getter]
    fn labels(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| {
            let labeller = self.lock()?;
            let own = labeller.model().tower().vision().and_then(|vision| vision.labels());
            Ok(own.map(|labels| labels.names().map(str::to_string).collect()).unwrap_or_default())
        })
    }

    /// Height and width of the images that the model sees, after its own resize and crop.
    #[getter]
    fn image_size(&self, py: Python<'_>) -> PyResult<(usize, usize)> {
        py.detach(|| self.lock().map(|labeller| labeller.model().tower().size().into()))
    }

    /// The number of values in an embedding.
    #[getter]
    fn embedding_size(&self, py: Python<'_>) -> PyResult<usize> {
        let size = |labeller: MutexGuard<'_, Labeller>| {
            labeller.model().tower().vision().map_or(0, |vision| vision.shape().embedding)
        };
        py.detach(|| self.lock().map(size))
    }

    fn __repr__(&self) -> String {
        format!("edgelip.Model({:?})", self.path.display().to_string())
    }
}

impl Model {
    /// For one thread at a time; a thread that waits must not hold Python's lock.
    fn lock(&self) -> PyResult<MutexGuard<'_, Labeller>> {
        self.labeller.lock().map_err(|_| PyRuntimeError::new_err("an earlier call met a fault in edgelip itself"))
    }

    fn choice(
        &self,
        labels: Option<&Bound<'_, PyAny>>,
        template: Option<&Bound<'_, PyAny>>,
        text: Option<PathBuf>,
    ) -> PyResult<Choice> {
        let Some(labels) = labels else {
            return match template.is_some() || text.is_some() {
                true => Err(PyTypeError::new_err("template and text are for labels: give labels")),
                false => Ok(None),
            };
        };
        if labels.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("labels are a list of names, not one text"));
        }
        let names = labels.try_iter()?.map(|name| name?.extract()).collect::<PyResult<Vec<String>>>()?;
        let set = LabelSet::from_names("labels", names).map_err(raise)?;
        let templates = match template {
            None => Ok(vec![DEFAULT_TEMPLATE.to_string()]),
            Some(one) if one.is_instance_of::<PyString>() => {
                let one: String = one.extract()?;
                match templates::NAMES.contains(&one.as_str()) {
                    true => templates::resolve(&one),
                    false => label_set::templates("template", [one]),
                }
            }
            Some(several) => label_set::templates("template", several.extract::<Vec<String>>()?),
        };
        let Some(text) = text.or_else(|| self.text.clone()) else {
            return Err(Error::new_err("labels need a text tower: open the model with text=, or give it here"));
        };
        Ok(Some((set, templates.map_err(raise)?, text)))
    }
}
