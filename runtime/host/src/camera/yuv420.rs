//! Planar frames one after another, as `rpicam-vid --codec yuv420` writes them.

use std::io::{ErrorKind, Read};

use edgelip_runtime::image::camera::{self, Range};

use super::{Frame, Source, Taken};
use crate::Error;

/// Raspberry Pi's camera stack starts each row of luma at a multiple of this many bytes.
const ROW_ALIGNMENT: usize = 64;

/// The longest side of a frame.
const MAX_SIDE: usize = 16_384;

/// Where the pixels of a frame are: rows of luma, then half as many rows of U, then those of V, all rows with their padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    width: usize,
    height: usize,
    stride: usize,
}

impl Layout {
    /// Frames of this size. `stride` is the bytes from one row of luma to the next, by default as `rpicam-vid` has it: the width
    /// rounded up to a multiple of 64. Rows of chroma are half as long.
    ///
    /// # Errors
    /// [`Error::Unusable`] for a side that is 0, odd or too long, or an odd or too short stride.
    pub fn new(width: usize, height: usize, stride: Option<usize>) -> Result<Self, Error> {
        if [width, height].iter().any(|side| !(2..=MAX_SIDE).contains(side) || side % 2 == 1) {
            return Err(Error::Unusable(format!("frames of {width}x{height}: sides are even, from 2 to {MAX_SIDE}")));
        }
        let stride = stride.unwrap_or(width.next_multiple_of(ROW_ALIGNMENT));
        if stride % 2 == 1 || !(width..=4 * MAX_SIDE).contains(&stride) {
            let most = 4 * MAX_SIDE;
            return Err(Error::Unusable(format!(
                "a stride of {stride}: it is even, from the width, {width}, to {most}"
            )));
        }
        Ok(Layout { width, height, stride })
    }

    /// Bytes of a frame.
    pub fn bytes(&self) -> usize {
        self.stride * self.height / 2 * 3
    }
}

/// Frames from any reader, for example standard input.
pub struct Yuv420<R> {
    reader: R,
    layout: Layout,
    range: Range,
    bytes: Vec<u8>,
    any: bool,
}

impl<R: Read + Send> Yuv420<R> {
    /// Frames of this layout. `rpicam-vid` writes the full range.
    pub fn new(reader: R, layout: Layout, range: Range) -> Self {
        Yuv420 { reader, layout, range, bytes: vec![0; layout.bytes()], any: false }
    }

    /// How many of a frame's bytes were still to come.
    fn fill(&mut self) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < self.bytes.len() {
            match self.reader.read(&mut self.bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("frames")(error)),
            }
        }
        Ok(filled)
    }
}

impl<R: Read + Send> Source for Yuv420<R> {
    fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error> {
        let filled = self.fill()?;
        let Layout { width, height, stride } = self.layout;
        if filled < self.bytes.len() {
            // A camera that is switched off leaves its last frame unfinished.
            if self.any || filled == 0 {
                return Ok(Taken::End);
            }
            let whole = self.bytes.len();
            return Err(Error::Unusable(format!(
                "frames: {filled} bytes are not one of {width}x{height} with a stride of {stride}, which has {whole}"
            )));
        }
        self.any = true;
        let (luma, chroma) = self.bytes.split_at(stride * height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        frame.data.resize(width * height * 3, 0);
        for (y, pixels) in frame.data.chunks_exact_mut(width * 3).enumerate() {
            let (row, half) = (y / 2 * (stride / 2), width / 2);
            let (u, v) = (&u[row..][..half], &v[row..][..half]);
            camera::yuv420(&luma[y * stride..][..width], u, v, self.range, pixels)?;
        }
        (frame.height, frame.width, frame.name) = (height, width, None);
        Ok(Taken::Frame)
    }

    fn is_live(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_behind_padding() {
        // Two frames of 4×2: rows of luma take 64 bytes, rows of chroma 32.
        let layout = Layout::new(4, 2, None).unwrap();
        assert_eq!(layout.bytes(), 2 * 64 + 2 * 32);
        let mut bytes = Vec::new();
        for (luma, u, v) in [(100, 128, 128), (50, 128, 255)] {
            for (value, row, used, rows) in [(luma, 64, 4, 2), (u, 32, 2, 1), (v, 32, 2, 1)] {
                for _ in 0..rows {
                    bytes.extend((0..row).map(|x| if x < used { value } else { 77 }));
                }
            }
        }
        bytes.extend([1; 100]);
        let (mut source, mut frame) = (Yuv420::new(&bytes[..], layout, Range::Full), Frame::default());
        assert!(matches!(source.next(&mut frame), Ok(Taken::Frame)));
        assert_eq!((frame.width, frame.height, &frame.data), (4, 2, &vec![100; 24]));
        assert!(matches!(source.next(&mut frame), Ok(Taken::Frame)));
        assert_eq!(frame.data[..3], [228, 0, 50]);
        assert!(frame.data.chunks(3).all(|pixel| pixel == &frame.data[..3]));
        assert!(matches!(source.next(&mut frame), Ok(Taken::End)));
        assert!(matches!(source.next(&mut frame), Ok(Taken::End)));
    }

    #[test]
    fn sizes_that_fit_nothing_are_errors() {
        for (width, height, stride) in [
            (0, 2, None),
            (3, 2, None),
            (4, 5, None),
            (20_000, 2, None),
            (4, 2, Some(2)),
            (4, 2, Some(7)),
            (4, 2, Some(usize::MAX)),
        ] {
            assert!(Layout::new(width, height, stride).is_err(), "{width} {height} {stride:?}");
        }
        let mut source = Yuv420::new(&[0; 9][..], Layout::new(4, 2, Some(4)).unwrap(), Range::Full);
        let message = source.next(&mut Frame::default()).unwrap_err().to_string();
        assert!(message.contains("9 bytes") && message.contains("has 12"), "{message}");
    }
}
