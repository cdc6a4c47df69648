//! PNG as Pillow reads it, which differs from the specification in corners: 16-bit grey is clipped at 255, other 16-bit
//! samples keep their high byte, and the transparent colour is compared after scaling, by its low byte.

use std::io::Cursor;

use image::metadata::Orientation;
use png::{BitDepth, ColorType, Decoder, Info, Limits, Transformations};

use super::alpha::Alpha;
use super::{Decoded, Options, check_size};

/// What the decoder may allocate besides the pixels.
const MAX_OVERHEAD: usize = 64 << 20;

/// Decodes a PNG file of any colour type, depth and interlacing; of an animation the first image.
pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Decoded, String> {
    let damaged = |error: png::DecodingError| format!("damaged PNG image: {error}");
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_OVERHEAD });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(damaged)?;
    let length = check_size(header.width, header.height, options)?;
    let mut reader = decoder.read_info().map_err(damaged)?;

    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let pixels = Pixels::new(info, options.alpha)?;
    let mut data = vec![0; length];
    if info.interlaced {
        let mut stored = vec![0; reader.output_buffer_size().ok_or("too large for this machine")?];
        let line = reader.output_line_size(width as u32).ok_or("too large for this machine")?;
        reader.next_frame(&mut stored).map_err(damaged)?;
        for (row, out) in stored.chunks_exact(line).zip(data.chunks_exact_mut(width * 3)) {
            pixels.unpack(row, out);
        }
    } else {
        for out in data.chunks_exact_mut(width * 3) {
            let row = reader.next_row().map_err(damaged)?.ok_or("damaged PNG image: rows are missing")?;
            pixels.unpack(row.data(), out);
        }
    }
    Ok(Decoded { data, height, width, orientation: orientation.unwrap_or(Orientation::NoTransforms) })
}

/// How the stored samples become RGB.
enum Pixels {
    /// One sample of 1 to 8 bits, looked up.
    Table { bits: usize, colours: Box<[[u8; 3]; 256]> },
    /// One 16-bit sample, clipped and looked up.
    DeepGrey { colours: Box<[[u8; 3]; 256]> },
    /// Three samples of `bytes` bytes, of which the first counts; one colour may be transparent.
    Rgb { bytes: usize, transparent: Option<[u8; 3]>, alpha: Alpha },
    /// Grey and alpha.
    GreyAlpha { bytes: usize, alpha: Alpha },
    /// RGB and alpha.
    Rgba { bytes: usize, alpha: Alpha },
}

impl Pixels {
    fn new(info: &Info<'_>, alpha: Alpha) -> Result<Pixels, String> {
        let bytes = if info.bit_depth == BitDepth::Sixteen { 2 } else { 1 };
        let bits = info.bit_depth as usize;
        let transparency = info.trns.as_deref();
        Ok(match info.color_type {
            ColorType::Grayscale => {
                let colours = greys(bits, transparency, alpha);
                if bytes == 2 { Pixels::DeepGrey { colours } } else { Pixels::Table { bits, colours } }
            }
            ColorType::Indexed => {
                let palette = info.palette.as_deref().ok_or("damaged PNG image: the palette is missing")?;
                Pixels::Table { bits, colours: indexed(palette, transparency.unwrap_or_default(), alpha) }
            }
            ColorType::Rgb => {
                // The decoder has dropped the high bytes unless the samples have two.
                let transparent = transparency.and_then(|t| match *t {
                    [red, green, blue] | [_, red, _, green, _, blue] => Some([red, green, blue]),
                    _ => None,
                });
                Pixels::Rgb { bytes, transparent, alpha }
            }
            ColorType::GrayscaleAlpha => Pixels::GreyAlpha { bytes, alpha },
            ColorType::Rgba => Pixels::Rgba { bytes, alpha },
        })
    }

    /// Turns a stored row into `[width, 3]` bytes.
    fn unpack(&self, row: &[u8], out: &mut [u8]) {
        let out = out.chunks_exact_mut(3);
        match self {
            Pixels::Table { bits, colours } => {
                for (x, pixel) in out.enumerate() {
                    let shift = 8 - bits - x * bits % 8;
                    let sample = usize::from(row[x * bits / 8]) >> shift & ((1 << bits) - 1);
                    pixel.copy_from_slice(&colours[sample]);
                }
            }
            Pixels::DeepGrey { colours } => {
                for (pixel, sample) in out.zip(row.chunks_exact(2)) {
                    let sample = u16::from_be_bytes([sample[0], sample[1]]).min(255);
                    pixel.copy_from_slice(&colours[usize::from(sample)]);
                }
            }
            Pixels::Rgb { bytes, transparent, alpha } => {
                for (pixel, samples) in out.zip(row.chunks_exact(3 * bytes)) {
                    let colour = [samples[0], samples[*bytes], samples[2 * bytes]];
                    let opacity = if Some(colour) == *transparent { 0 } else { 255 };
                    pixel.copy_from_slice(&alpha.flatten([colour[0], colour[1], colour[2], opacity]));
                }
            }
            Pixels::GreyAlpha { bytes, alpha } => {
                for (pixel, samples) in out.zip(row.chunks_exact(2 * bytes)) {
                    let (grey, opacity) = (samples[0], samples[*bytes]);
                    pixel.copy_from_slice(&alpha.flatten([grey, grey, grey, opacity]));
                }
            }
            Pixels::Rgba { bytes, alpha } => {
                for (pixel, samples) in out.zip(row.chunks_exact(4 * bytes)) {
                    let sample = |channel| samples[channel * bytes];
                    pixel.copy_from_slice(&alpha.flatten([sample(0), sample(1), sample(2), sample(3)]));
                }
            }
        }
    }
}

fn greys(bits: usize, transparency: Option<&[u8]>, alpha: Alpha) -> Box<[[u8; 3]; 256]> {
    let transparent = transparency.and_then(|t| t.last()).map(|&low| if bits == 1 { 255 * low.min(1) } else { low });
    let step = match bits {
        1 => 255,
        2 => 85,
        4 => 17,
        _ => 1,
    };
    let mut colours = Box::new([[0; 3]; 256]);
    for (sample, colour) in (0..=255u8).zip(colours.iter_mut()) {
        let grey = sample.wrapping_mul(step);
        let opacity = if Some(grey) == transparent { 0 } else { 255 };
        *colour = alpha.flatten([grey, grey, grey, opacity]);
    }
    colours
}

/// Entries past the palette's end are black, as Pillow has them.
fn indexed(palette: &[u8], transparency: &[u8], alpha: Alpha) -> Box<[[u8; 3]; 256]> {
    let mut colours = Box::new([[0; 3]; 256]);
    let opacity = transparency.iter().copied().chain(std::iter::repeat(255));
    for ((colour, entry), opacity) in colours.iter_mut().zip(palette.chunks_exact(3)).zip(opacity) {
        *colour = alpha.flatten([entry[0], entry[1], entry[2], opacity]);
    }
    colours
}
