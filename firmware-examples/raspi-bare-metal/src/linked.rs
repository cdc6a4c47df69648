//! What lies in the image beside the program: models and photos.

use crate::checksum::checksum;
use crate::failure::Failure;

/// A model file as `edgelip-export` wrote it, executed where it lies.
pub struct Model {
    /// The file's name.
    pub name: &'static str,
    bytes: &'static [u8],
    checksum: u64,
}

/// A photo.
pub struct Photo {
    /// The file's name.
    pub name: &'static str,
    /// Rows of RGB bytes.
    pub data: &'static [u8],
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

/// Bytes at a multiple of 64, so that every tensor of a file is aligned too.
#[repr(C, align(64))]
struct Aligned<B>(B);

macro_rules! model {
    ($name:literal, $path:literal, $length:literal, $checksum:literal) => {{
        // SAFETY: the section holds nothing but constant bytes.
        #[unsafe(link_section = ".models")]
        static BYTES: Aligned<[u8; $length]> = Aligned(*include_bytes!($path));
        Model { name: $name, bytes: &BYTES.0, checksum: $checksum }
    }};
}

macro_rules! photo {
    ($name:literal, $path:literal, $length:literal, $height:literal, $width:literal) => {{
        // SAFETY: the section holds nothing but constant bytes.
        #[unsafe(link_section = ".photos")]
        static BYTES: [u8; $length] = *include_bytes!($path);
        Photo { name: $name, data: &BYTES, height: $height, width: $width }
    }};
}

include!(concat!(env!("OUT_DIR"), "/linked.rs"));

impl Model {
    /// The file, whole and as it was linked.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is nothing but zeros or erased flash where it begins, [`Failure::Damaged`] if it has changed.
    pub fn bytes(&self) -> Result<&'static [u8], Failure> {
        // The compiler knows what was linked. What matters is what has been loaded.
        let bytes = core::hint::black_box(self.bytes);
        let start = &bytes[..bytes.len().min(64)];
        let empty = |blank| start.iter().all(|&byte| byte == blank);
        if empty(0) || empty(0xFF) {
            return Err(Failure::Missing { model: self.name, address: bytes.as_ptr().addr() });
        }
        if checksum(bytes) != self.checksum {
            return Err(Failure::Damaged { model: self.name });
        }
        Ok(bytes)
    }
}
