//! What is flashed beside the code: models and photos.

/// Photos are linked in as they come from a camera driver: rows of RGB bytes.
pub const PHOTO_WIDTH: usize = 144;
/// See [`PHOTO_WIDTH`].
pub const PHOTO_HEIGHT: usize = 96;

/// The model files, as `edgelip-export` wrote them: they are executed where they lie.
pub static MODELS: [(&str, &[u8]); 2] = [("whole", &WHOLE.0), ("merged", &MERGED.0)];

/// Photos by name.
pub static PHOTOS: [(&str, &[u8]); 3] = [
    ("cat", include_bytes!("../photos/cat.rgb")),
    ("coffee", include_bytes!("../photos/coffee.rgb")),
    ("rocket", include_bytes!("../photos/rocket.rgb")),
];

/// Bytes at a multiple of 64, so that every tensor of the file is aligned too.
#[repr(C, align(64))]
struct Aligned<B>(B);

/// A model file in the linker script's section for models.
macro_rules! model {
    ($name:ident, $file:literal) => {
        // SAFETY: the section holds nothing but constant bytes, in a memory that is never written.
        #[unsafe(link_section = concat!(".models.", $file))]
        static $name: Aligned<[u8; include_bytes!(concat!(env!("OUT_DIR"), "/", $file)).len()]> =
            Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $file)));
    };
}

model!(WHOLE, "whole.onnx");
model!(MERGED, "merged.onnx");
