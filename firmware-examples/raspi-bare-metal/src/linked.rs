//! Models and photos: what lies in the image beside the program, and what is loaded elsewhere.

use core::ops::Range;

use edgelip_runtime::onnx;

use crate::checksum::checksum;
use crate::failure::Failure;

/// A model file as `edgelip-export` wrote it, executed where it lies.
pub struct Model {
    /// The file's name; or its address.
    pub name: &'static str,
    place: Place,
}

/// Where a model lies.
enum Place {
    /// In the image.
    Linked { bytes: &'static [u8], checksum: u64 },
    /// Where something else has loaded it.
    #[allow(dead_code, reason = "most images have no such model")]
    Loaded { address: usize },
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
        Model { name: $name, place: Place::Linked { bytes: &BYTES.0, checksum: $checksum } }
    }};
}

#[allow(unused_macros, reason = "most images have no such model")]
macro_rules! loaded {
    ($name:literal, $address:literal) => {
        Model { name: $name, place: Place::Loaded { address: $address } }
    };
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
    /// The file, whole. `free` is memory that the program has no part in: there a model may have been loaded.
    ///
    /// # Errors
    /// [`Failure::Missing`] or [`Failure::NotLoaded`] if there is nothing but zeros or erased flash where it begins; [`Failure::Damaged`] if it
    /// is not as it was linked.
    pub fn bytes(&self, free: &Range<usize>) -> Result<&'static [u8], Failure> {
        match self.place {
            Place::Linked { bytes, checksum } => self.linked(bytes, checksum),
            Place::Loaded { address } => self.loaded(address, free),
        }
    }

    fn linked(&self, bytes: &'static [u8], sum: u64) -> Result<&'static [u8], Failure> {
        // The compiler knows what was linked. What matters is what has been loaded.
        let bytes = core::hint::black_box(bytes);
        if empty(bytes) {
            return Err(Failure::Missing { model: self.name, address: bytes.as_ptr().addr() });
        }
        if checksum(bytes) != sum {
            return Err(Failure::Damaged { model: self.name });
        }
        Ok(bytes)
    }

    fn loaded(&self, address: usize, free: &Range<usize>) -> Result<&'static [u8], Failure> {
        if !free.contains(&address) {
            return Err(Failure::NotFree { address, start: free.start, end: free.end });
        }
        let start = core::ptr::with_exposed_provenance(address);
        // SAFETY: this memory is mapped and no part of the program, which never writes there.
        let memory = unsafe { core::slice::from_raw_parts(start, free.end - address) };
        if empty(memory) {
            return Err(Failure::NotLoaded { address });
        }
        onnx::leading(memory).map_err(|error| Failure::Refused { model: self.name, error })
    }
}

/// Whether there is nothing but zeros or erased flash where a file should begin.
fn empty(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(64)];
    [0, 0xFF].iter().any(|blank| start.iter().all(|byte| byte == blank))
}
