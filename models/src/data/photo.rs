//! A decoded image.

use image::{ImageReader, Limits};

/// Pixels in memory, RGB, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Photo {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 · width · height` bytes.
    pub pixels: Vec<u8>,
}

/// The longest side kept: training images are small, and decoded ones stay in memory.
const LONGEST: u32 = 512;

impl Photo {
    /// Decodes JPEG, PNG or WebP; `None` if the bytes are none of them or damaged.
    pub fn decode(bytes: &[u8]) -> Option<Photo> {
        let mut reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().ok()?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(16_384);
        limits.max_image_height = Some(16_384);
        reader.limits(limits);
        let mut image = reader.decode().ok()?;
        if image.width().max(image.height()) > LONGEST {
            image = image.thumbnail(LONGEST, LONGEST);
        }
        let rgb = image.into_rgb8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        (width > 0 && height > 0).then(|| Photo { width, height, pixels: rgb.into_raw() })
    }
}
