//! What Python has as an image: a file's path, the file's contents, a NumPy array or a Pillow image.

use std::path::PathBuf;

use edgelip_runtime::image::Rgb;
use host::decode::{self, Alpha, RgbImage};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

use crate::error::{Error, raise};

/// An image that no longer needs Python.
pub enum Image {
    /// To be read.
    File(PathBuf),
    /// To be decoded: JPEG, PNG or WebP.
    Encoded(PyBackedBytes),
    /// `[height, width, channels]`, 3 or 4 of them; the bytes are Python's.
    Pixels { bytes: PyBackedBytes, height: usize, width: usize, channels: usize },
}

impl Image {
    /// Takes what it can use.
    ///
    /// # Errors
    /// `TypeError` for anything else.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Image> {
        if object.is_instance_of::<PyString>() || object.hasattr("__fspath__")? {
            return Ok(Image::File(object.extract()?));
        }
        if object.is_instance_of::<PyBytes>() {
            return Ok(Image::Encoded(object.extract()?));
        }
        if object.hasattr("mode")? && object.hasattr("convert")? {
            return pillow(object);
        }
        if object.hasattr("dtype")? && object.hasattr("shape")? && object.hasattr("tobytes")? {
            return array(object);
        }
        let name = object.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "an image is a path, an array of shape (height, width, 3) and dtype uint8, a Pillow image, or a file's bytes; not {name}"
        )))
    }

    /// The pixels.
    ///
    /// # Errors
    /// A file that can't be read or is no image.
    pub fn decode(&self) -> PyResult<Picture<'_>> {
        match self {
            Image::File(path) => Ok(Picture::Made(decode::rgb8(path).map_err(raise)?)),
            Image::Encoded(bytes) => match decode::from_bytes(bytes, &decode::Options::default()) {
                Ok(image) => Ok(Picture::Made(image)),
                Err(reason) => Err(Error::new_err(format!("the image: {reason}"))),
            },
            &Image::Pixels { ref bytes, height, width, channels: 4 } => {
                let flat = bytes.chunks_exact(4).flat_map(|p| Alpha::White.flatten([p[0], p[1], p[2], p[3]]));
                Ok(Picture::Made(RgbImage { data: flat.collect(), height, width, is_turned: false }))
            }
            &Image::Pixels { ref bytes, height, width, .. } => Ok(Picture::Lent(Rgb { data: bytes, height, width })),
        }
    }
}

/// Pixels, wherever they are.
pub enum Picture<'a> {
    /// In Python's memory.
    Lent(Rgb<'a>),
    /// In ours.
    Made(RgbImage),
}

impl Picture<'_> {
    /// The image as the runtime takes it.
    pub fn view(&self) -> Rgb<'_> {
        match self {
            Picture::Lent(image) => *image,
            Picture::Made(image) => image.view(),
        }
    }
}

/// A NumPy array, or what behaves like one.
fn array(object: &Bound<'_, PyAny>) -> PyResult<Image> {
    let kind = object.getattr("dtype")?.str()?.to_string();
    let shape: Vec<usize> = object.getattr("shape")?.extract()?;
    let &[height, width, channels @ 3] = &shape[..] else {
        return Err(PyTypeError::new_err(format!("an image's shape is (height, width, 3), not {}", tuple(&shape))));
    };
    if kind != "uint8" {
        return Err(PyTypeError::new_err(format!("an image's dtype is uint8, with values from 0 to 255, not {kind}")));
    }
    // Also puts the pixels of a slice or a transposed array one after the other.
    pixels(object.call_method0("tobytes")?, [height, width, channels])
}

fn pillow(image: &Bound<'_, PyAny>) -> PyResult<Image> {
    let mode: String = image.getattr("mode")?.extract()?;
    // Pillow clips these to 255 instead of scaling them.
    if mode.starts_with(['I', 'F']) {
        return Err(PyTypeError::new_err(format!("a Pillow image of mode {mode} is no photo; convert it to RGB")));
    }
    let is_transparent = mode.ends_with(['A', 'a']) || image.getattr("info")?.contains("transparency")?;
    let (mode, channels) = if is_transparent { ("RGBA", 4) } else { ("RGB", 3) };
    let image = image.call_method1("convert", (mode,))?;
    let (width, height): (usize, usize) = image.getattr("size")?.extract()?;
    pixels(image.call_method0("tobytes")?, [height, width, channels])
}

fn pixels(bytes: Bound<'_, PyAny>, [height, width, channels]: [usize; 3]) -> PyResult<Image> {
    let bytes: PyBackedBytes = bytes.extract()?;
    if bytes.is_empty() || bytes.len() != height.saturating_mul(width).saturating_mul(channels) {
        return Err(Error::new_err(format!("an image of {height}x{width} pixels with {} bytes", bytes.len())));
    }
    Ok(Image::Pixels { bytes, height, width, channels })
}

fn tuple(shape: &[usize]) -> String {
    format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
