//! Photos as RGB bytes, as the Python preprocessing of Hugging Face reads them with Pillow: PNG to the last bit, JPEG and
//! WebP but for the rounding of their decoders.

mod alpha;
mod jpeg;
mod png;

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use edgelip_runtime::image::Rgb;
use image::codecs::{jpeg::JpegDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat};

use crate::Error;

pub use alpha::Alpha;

/// The most bytes that are read of a file.
const MAX_FILE: u64 = 256 << 20;

/// How to read a photo.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Turn the image as its EXIF orientation says. Off by default: the models' own preprocessing does not.
    pub rotate: bool,
    /// What becomes of transparency.
    pub alpha: Alpha,
    /// The most pixels to decode; what claims more is refused before it is decoded.
    pub max_pixels: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { rotate: false, alpha: Alpha::White, max_pixels: 100_000_000 }
    }
}

/// A decoded photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    /// `[height, width, 3]`.
    pub data: Vec<u8>,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// The file says that it is to be shown turned or mirrored, and this was not done: worth a warning.
    pub is_turned: bool,
}

impl RgbImage {
    /// The image as the runtime takes it.
    pub fn view(&self) -> Rgb<'_> {
        Rgb { data: &self.data, height: self.height, width: self.width }
    }
}

/// Reads and decodes a photo with the default [`Options`].
///
/// # Errors
/// One line that names the file: it can't be read, is no image, is damaged, cut short or too large.
pub fn rgb8(path: &Path) -> Result<RgbImage, Error> {
    rgb8_with(path, &Options::default())
}

/// Reads and decodes a photo. What kind of image it is its bytes tell, not its name.
///
/// # Errors
/// As [`rgb8`].
pub fn rgb8_with(path: &Path, options: &Options) -> Result<RgbImage, Error> {
    // Opening a named pipe would wait for a writer: look before.
    let kind = fs::metadata(path).map_err(Error::io(path))?;
    if kind.is_dir() {
        return Err(Error::malformed(path, "a directory, not an image"));
    }
    if !kind.is_file() {
        return Err(Error::malformed(path, "is not a regular file; an image from a pipe is read with -"));
    }
    read_from(File::open(path).map_err(Error::io(path))?, path, options)
}

/// Reads a photo to its end, for example from standard input. `name` is for messages.
///
/// # Errors
/// As [`rgb8`].
pub fn read_from(source: impl Read, name: &Path, options: &Options) -> Result<RgbImage, Error> {
    let mut bytes = Vec::new();
    source.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(Error::io(name))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::malformed(name, format!("larger than {} MiB, not a photo", MAX_FILE >> 20)));
    }
    from_bytes(&bytes, options).map_err(|reason| Error::malformed(name, reason))
}

/// Decodes the bytes of an image file.
///
/// # Errors
/// The reason in words, without a name.
pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<RgbImage, String> {
    let format = match image::guess_format(bytes) {
        _ if bytes.is_empty() => return Err("the file is empty".into()),
        Ok(format) => format,
        Err(_) => return Err("not an image in PNG, JPEG or WebP format".into()),
    };
    let mut image = match format {
        ImageFormat::Png => png::decode(bytes, options),
        ImageFormat::Jpeg if !jpeg::is_complete(bytes) => Err("the JPEG image is cut short".into()),
        ImageFormat::Jpeg => from_decoder(JpegDecoder::new(Cursor::new(bytes)), options),
        ImageFormat::WebP => from_decoder(WebPDecoder::new(Cursor::new(bytes)), options),
        other => {
            let name = other.extensions_str().first().unwrap_or(&"unknown").to_uppercase();
            Err(format!("{name} images are not supported; convert it to PNG, JPEG or WebP"))
        }
    }?;
    let Decoded { orientation, .. } = image;
    if options.rotate && orientation != Orientation::NoTransforms {
        image = image.turned()?;
    }
    let Decoded { data, height, width, .. } = image;
    Ok(RgbImage { data, height, width, is_turned: !options.rotate && orientation != Orientation::NoTransforms })
}

/// What the decoders give: pixels as stored, and how they are meant to be shown.
struct Decoded {
    data: Vec<u8>,
    height: usize,
    width: usize,
    orientation: Orientation,
}

impl Decoded {
    fn turned(self) -> Result<Decoded, String> {
        let image = image::RgbImage::from_raw(self.width as u32, self.height as u32, self.data);
        let mut image = DynamicImage::ImageRgb8(image.ok_or("internal: pixels contradict the size")?);
        image.apply_orientation(self.orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(Decoded { data: image.into_rgb8().into_raw(), height, width, ..self })
    }
}

/// Refuses images that claim more pixels than allowed, and gives the length of their RGB bytes.
fn check_size(width: u32, height: u32, options: &Options) -> Result<usize, String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err("the image has no pixels".into());
    }
    if pixels > options.max_pixels {
        return Err(format!("{width}×{height} pixels are more than the {} allowed", options.max_pixels));
    }
    usize::try_from(pixels * 4).map(|bytes| bytes / 4 * 3).map_err(|_| "too large for this machine".into())
}

fn from_decoder(decoder: image::ImageResult<impl ImageDecoder>, options: &Options) -> Result<Decoded, String> {
    let damaged = |error: image::ImageError| format!("damaged image: {error}");
    let mut decoder = decoder.map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let length = check_size(width, height, options)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let mut stored = vec![0; length / 3 * usize::from(color.bytes_per_pixel())];
    decoder.read_image(&mut stored).map_err(damaged)?;
    let data = match color {
        ColorType::Rgb8 => stored,
        ColorType::L8 => stored.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::La8 => {
            stored.chunks_exact(2).flat_map(|p| options.alpha.flatten([p[0], p[0], p[0], p[1]])).collect()
        }
        ColorType::Rgba8 => {
            stored.chunks_exact(4).flat_map(|p| options.alpha.flatten([p[0], p[1], p[2], p[3]])).collect()
        }
        other => return Err(format!("pixels of type {other:?} are not supported")),
    };
    Ok(Decoded { data, height: height as usize, width: width as usize, orientation })
}
