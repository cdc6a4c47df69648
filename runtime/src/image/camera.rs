//! Rows of the usual camera formats as RGB, for boards that have a sensor but no decoder.
//!
//! All work on one row, so that a frame can be converted where it lies or while it arrives.

use crate::Error;

/// The range that a camera's YUV bytes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 0 to 255, as in JPEG.
    Full,
    /// 16 to 235 (luma) and 16 to 240 (chroma), as in video.
    Limited,
}

/// Little-endian RGB565, `[width]` pairs of bytes, to `[width, 3]` bytes.
///
/// # Errors
/// [`Error::Length`] if the rows do not have the same width.
pub fn rgb565(row: &[u8], out: &mut [u8]) -> Result<(), Error> {
    check("an RGB565 row", row.len(), out.len() / 3 * 2, out)?;
    for (pair, pixel) in row.chunks_exact(2).zip(out.chunks_exact_mut(3)) {
        let value = u16::from_le_bytes([pair[0], pair[1]]);
        let (red, green, blue) = ((value >> 11) as u8, (value >> 5 & 63) as u8, (value & 31) as u8);
        pixel.copy_from_slice(&[red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]);
    }
    Ok(())
}

/// YUYV (YUY2), four bytes for two pixels, to `[width, 3]` bytes; BT.601. The width is even.
///
/// # Errors
/// [`Error::Length`] if the rows do not have the same even width.
pub fn yuyv(row: &[u8], range: Range, out: &mut [u8]) -> Result<(), Error> {
    check("a YUYV row", row.len(), (out.len() / 3).next_multiple_of(2) * 2, out)?;
    for (quad, pixels) in row.chunks_exact(4).zip(out.chunks_mut(6)) {
        for (luma, pixel) in [quad[0], quad[2]].into_iter().zip(pixels.chunks_exact_mut(3)) {
            pixel.copy_from_slice(&bt601(luma, quad[1], quad[3], range));
        }
    }
    Ok(())
}

/// A luma row of NV12 and its row of interleaved chroma, shared by two luma rows, to `[width, 3]` bytes; BT.601.
///
/// # Errors
/// [`Error::Length`] if the rows do not have the same width, the chroma row's rounded up to even.
pub fn nv12(luma: &[u8], chroma: &[u8], range: Range, out: &mut [u8]) -> Result<(), Error> {
    check("an NV12 luma row", luma.len(), out.len() / 3, out)?;
    check("an NV12 chroma row", chroma.len(), luma.len().next_multiple_of(2), out)?;
    for ((pair, lumas), pixels) in chroma.chunks_exact(2).zip(luma.chunks(2)).zip(out.chunks_mut(6)) {
        for (&luma, pixel) in lumas.iter().zip(pixels.chunks_exact_mut(3)) {
            pixel.copy_from_slice(&bt601(luma, pair[0], pair[1], range));
        }
    }
    Ok(())
}

/// A luma row of planar YUV 4:2:0 (I420) and its rows of chroma, shared by two luma rows, to `[width, 3]` bytes; BT.601.
///
/// # Errors
/// [`Error::Length`] if the rows do not have the same width, those of chroma half of it, rounded up.
pub fn yuv420(luma: &[u8], u: &[u8], v: &[u8], range: Range, out: &mut [u8]) -> Result<(), Error> {
    check("a YUV 4:2:0 luma row", luma.len(), out.len() / 3, out)?;
    for chroma in [u, v] {
        check("a YUV 4:2:0 chroma row", chroma.len(), luma.len().div_ceil(2), out)?;
    }
    for (((&u, &v), lumas), pixels) in u.iter().zip(v).zip(luma.chunks(2)).zip(out.chunks_mut(6)) {
        for (&luma, pixel) in lumas.iter().zip(pixels.chunks_exact_mut(3)) {
            pixel.copy_from_slice(&bt601(luma, u, v, range));
        }
    }
    Ok(())
}

fn check(what: &'static str, length: usize, expected: usize, out: &[u8]) -> Result<(), Error> {
    if length == expected && out.len().is_multiple_of(3) { Ok(()) } else { Err(Error::Length { what, expected }) }
}

/// BT.601 in 16-bit fixed point.
fn bt601(y: u8, u: u8, v: u8, range: Range) -> [u8; 3] {
    let (y, u, v) = (i32::from(y), i32::from(u) - 128, i32::from(v) - 128);
    let (luma, [red_v, green_u, green_v, blue_u]) = match range {
        Range::Full => (y << 16, [91881, 22554, 46802, 116130]),
        Range::Limited => ((y - 16) * 76309, [104597, 25675, 53279, 132201]),
    };
    let byte = |value: i32| ((value + (1 << 15)) >> 16).clamp(0, 255) as u8;
    [byte(luma + red_v * v), byte(luma - green_u * u - green_v * v), byte(luma + blue_u * u)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rgb565_reaches_both_ends() {
        let mut out = [0; 12];
        rgb565(&[0, 0, 0xFF, 0xFF, 0x00, 0xF8, 0x1F, 0x00], &mut out).unwrap();
        assert_eq!(out, [0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255]);
        assert!(rgb565(&[0; 3], &mut out).is_err());
    }

    #[test]
    fn yuv_agrees_with_the_definition() {
        for (range, y_scale, c_scale, black) in
            [(Range::Full, 1.0, 1.0, 0.0), (Range::Limited, 255.0 / 219.0, 255.0 / 224.0, 16.0)]
        {
            for code in 0..=0x00FF_FFFFu32 {
                if code % 4099 != 0 {
                    continue;
                }
                let [y, u, v, _] = code.to_le_bytes();
                let luma = (f64::from(y) - black) * y_scale;
                let (cb, cr) = ((f64::from(u) - 128.0) * c_scale, (f64::from(v) - 128.0) * c_scale);
                let exact = [luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb];
                for (got, exact) in bt601(y, u, v, range).into_iter().zip(exact) {
                    assert!((f64::from(got) - exact.clamp(0.0, 255.0)).abs() < 0.51, "{y} {u} {v} {range:?}");
                }
            }
        }
    }

    #[test]
    fn packed_and_planar_agree() {
        let (luma, chroma) = ([10, 200, 90, 255], [1, 250, 128, 3]);
        let packed = [10, 1, 200, 250, 90, 128, 255, 3];
        let (mut a, mut b) = ([0; 12], [0; 12]);
        yuyv(&packed, Range::Full, &mut a).unwrap();
        nv12(&luma, &chroma, Range::Full, &mut b).unwrap();
        assert_eq!(a, b);
        yuv420(&luma, &[1, 128], &[250, 3], Range::Full, &mut b).unwrap();
        assert_eq!(a, b);
        let mut odd = [0; 9];
        nv12(&luma[..3], &chroma, Range::Full, &mut odd).unwrap();
        assert_eq!(odd, a[..9]);
        odd.fill(0);
        yuv420(&luma[..3], &[1, 128], &[250, 3], Range::Full, &mut odd).unwrap();
        assert_eq!(odd, a[..9]);
        assert!(yuv420(&luma[..3], &[1, 128], &[250], Range::Full, &mut odd).is_err());
        assert!(nv12(&luma[..3], &chroma[..2], Range::Full, &mut odd).is_err());
    }
}
