//! What a model is verified on: a photo, its mirror image, and seeded random images and texts.

use edgelip::decode;
use edgelip::engine::native;
use edgelip_runtime::image::{Preprocess, Resize};
use ndarray::Array3;

use crate::Error;
use crate::source::{TextConfig, TextPooling, VisionConfig};

/// Launch of DSCOVR, by SpaceX, released into the public domain; 480×320.
const PHOTO: &[u8] = include_bytes!("photo.webp");

/// An image as the runtime takes it, and as the graph and the reference do.
pub struct Image {
    /// What it shows, for the report.
    pub name: String,
    /// `[H, W, 3]`.
    pub bytes: Vec<u8>,
    /// `[3, H, W]`, normalised.
    pub pixels: Array3<f32>,
}

/// A text as token ids, start and end token included.
pub struct Text {
    /// How long it is, for the report.
    pub name: String,
    /// The ids.
    pub ids: Vec<u32>,
}

/// The shipped photo, its mirror image, and `random` images that are noise at a scale of one pixel, two pixels, four pixels ….
///
/// # Errors
/// A preprocessing that does not end at the model's size.
pub fn images(config: &VisionConfig, preprocess: &Preprocess, random: usize, seed: u64) -> Result<Vec<Image>, Error> {
    let [height, width] = config.image_size;
    let photo = photo(config, preprocess)?;
    let mirrored: Vec<u8> = photo
        .chunks_exact(3 * width)
        .flat_map(|row| row.rchunks_exact(3).flatten().copied().collect::<Vec<u8>>())
        .collect();
    let mut all = vec![("photo".to_owned(), photo), ("photo, mirrored".to_owned(), mirrored)];
    let mut generator = Generator(seed);
    for octave in 0..random {
        let scale = 1 << octave.min(5);
        let noise = (0..height.div_ceil(scale) * width.div_ceil(scale) * 3)
            .map(|_| generator.next() as u8)
            .collect::<Vec<u8>>();
        let at = |y: usize, x: usize, c: usize| noise[((y / scale) * width.div_ceil(scale) + x / scale) * 3 + c];
        let bytes = (0..height * width * 3).map(|i| at(i / 3 / width, i / 3 % width, i % 3)).collect();
        all.push((format!("noise of {scale} px"), bytes));
    }
    let normalised = |bytes: &[u8]| {
        Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            let value = f64::from(bytes[(y * width + x) * 3 + c]) * preprocess.rescale;
            (value as f32 - preprocess.mean[c]) / preprocess.std[c]
        })
    };
    Ok(all.into_iter().map(|(name, bytes)| Image { name, pixels: normalised(&bytes), bytes }).collect())
}

/// The shipped photo after resize and crop.
fn photo(config: &VisionConfig, preprocess: &Preprocess) -> Result<Vec<u8>, Error> {
    let photo = decode::from_bytes(PHOTO, &decode::Options::default())
        .map_err(|reason| Error::Verify(format!("the shipped photo: {reason}")))?;
    let (height, width) = (photo.height, photo.width);
    // A model without any resizing of its own still gets its size.
    let mut preprocess = *preprocess;
    if preprocess.output(height, width)? != config.image_size {
        let [rows, columns] = config.image_size;
        preprocess.resize = Resize::Exact(rows, columns);
        preprocess.crop = None;
    }
    let mut scratch = vec![0.0; preprocess.scratch_len(height, width)?];
    let mut bytes = vec![0; config.image_size[0] * config.image_size[1] * 3];
    preprocess.apply(&native::kernels(), photo.view(), &mut scratch, &mut bytes)?;
    Ok(bytes)
}

/// `count` random texts, from the shortest to the longest that the model takes.
pub fn texts(config: &TextConfig, count: usize, seed: u64) -> Vec<Text> {
    let mut generator = Generator(seed);
    let last = config.vocabulary as u32 - 1;
    let end = match config.pooling {
        TextPooling::EotFirst | TextPooling::Mean | TextPooling::Pooler | TextPooling::Last(_) => config.eot,
        TextPooling::EotArgmax => last,
    };
    let mut texts = Vec::with_capacity(count);
    for index in 0..count {
        let shortest = 3.min(config.context);
        let length = shortest + (config.context - shortest) * index / (count - 1).max(1);
        let mut ids: Vec<u32> = (1..length)
            .map(|_| match (generator.next() % u64::from(last.max(1))) as u32 {
                // Any id but the one that ends the text.
                id if id >= end => id + 1,
                id => id,
            })
            .collect();
        ids.push(end);
        texts.push(Text { name: format!("{length} tokens"), ids });
    }
    texts
}

/// SplitMix64 by Sebastiano Vigna.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
