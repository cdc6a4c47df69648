//! From an image to the pixels a model sees: resize, crop and normalise, to the last bit what Pillow and the Python
//! reference preprocessing make of it. Nothing is computed that the crop does not read.

pub mod camera;
mod crop;
mod filter;
mod resize;

use crate::Error;
use edgelip_kernels::{Kernels, Part, cast};

pub use filter::Filter;

/// A borrowed image, 8 bits a channel.
#[derive(Clone, Copy, Debug)]
pub struct Rgb<'a> {
    /// `[height, width, 3]`, red first, without gaps between rows.
    pub data: &'a [u8],
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

impl<'a> Rgb<'a> {
    /// Row `y` as `[width, 3]` bytes; the size must have been checked.
    fn row(&self, y: usize) -> &'a [u8] {
        self.data.part(y * self.width * 3..(y + 1) * self.width * 3)
    }

    fn check(&self) -> Result<(), Error> {
        let bytes = self.height.checked_mul(self.width).and_then(|pixels| pixels.checked_mul(3));
        if bytes == Some(self.data.len()) && bytes != Some(0) { Ok(()) } else { Err(Error::Image) }
    }
}

/// The size an image is resampled to before it is cropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this length, the longer one follows, rounded down.
    Shortest(usize),
    /// Exactly this height and width, whatever the aspect ratio.
    Exact(usize, usize),
    /// The image's own size.
    None,
}

/// Which rows and columns a crop takes when one more is left over on one side than on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Centre {
    /// The first one is rounded down, as in transformers' own image processors.
    #[default]
    Floor,
    /// Half a pixel is rounded to the even neighbour, as in torchvision, open_clip and timm.
    Even,
}

/// All that is done to an image before the model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// The size to resample to.
    pub resize: Resize,
    /// The resampling filter.
    pub filter: Filter,
    /// Height and width cut from the centre; what the image lacks is black. `None` keeps the whole image.
    pub crop: Option<[usize; 2]>,
    /// Where the centre is, if in doubt.
    pub centre: Centre,
    /// Factor from bytes to the range that `mean` and `std` are in.
    pub rescale: f64,
    /// Mean of each channel.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

impl Preprocess {
    /// Height and width that [`apply`](Self::apply) gives for an image of this size.
    ///
    /// # Errors
    /// [`Error::Image`] for a side of zero, [`Error::TooLarge`] for sizes beyond this machine's arithmetic.
    pub fn output(&self, height: usize, width: usize) -> Result<[usize; 2], Error> {
        Ok(crop::Geometry::new(self, height, width)?.output())
    }

    /// The scratch, in `f32`s, that [`apply`](Self::apply) needs for an image of this size.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn scratch_len(&self, height: usize, width: usize) -> Result<usize, Error> {
        let geometry = crop::Geometry::new(self, height, width)?;
        Ok(resize::Layout::new(self.filter, &geometry.rows, &geometry.columns)?.len())
    }

    /// Resizes and crops `image` into `out`, `[H, W, 3]` bytes of the size that [`output`](Self::output) tells.
    ///
    /// # Errors
    /// [`Error::Image`] if the bytes of the image contradict its size, [`Error::Scratch`] and [`Error::Length`] if a slice
    /// is too short, and those of [`output`](Self::output).
    pub fn apply(&self, kernels: &Kernels, image: Rgb<'_>, scratch: &mut [f32], out: &mut [u8]) -> Result<(), Error> {
        image.check()?;
        let geometry = crop::Geometry::new(self, image.height, image.width)?;
        let [height, width] = geometry.output();
        let expected = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(3)).ok_or(Error::TooLarge)?;
        if out.len() != expected {
            return Err(Error::Length { what: "pixels after preprocessing", expected });
        }
        let layout = resize::Layout::new(self.filter, &geometry.rows, &geometry.columns)?;
        let needed = layout.len();
        let scratch = scratch.get_mut(..needed).ok_or(Error::Scratch { needed })?;
        if geometry.is_padded() {
            out.fill(0);
        }
        let (words, lines) = scratch.cut_mut(layout.words());
        layout.run(kernels, image, cast::i32s_mut(words), cast::bytes_mut(lines), out);
        Ok(())
    }

    /// Turns `[H, W, 3]` bytes into `[3, H, W]` floats: `((byte · rescale) − mean) / std`. The product is rounded from
    /// double precision, as the reference does.
    ///
    /// # Errors
    /// [`Error::Length`] if `out` is not as long as `pixels`, or that is no multiple of 3.
    pub fn normalize(&self, pixels: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let plane = pixels.len() / 3;
        if plane * 3 != pixels.len() || out.len() != pixels.len() {
            return Err(Error::Length { what: "normalised pixels", expected: plane * 3 });
        }
        if plane == 0 {
            return Ok(());
        }
        for (channel, values) in out.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for (value, pixel) in values.iter_mut().zip(pixels.chunks_exact(3)) {
                *value = ((f64::from(pixel[channel]) * self.rescale) as f32 - mean) / std;
            }
        }
        Ok(())
    }
}
