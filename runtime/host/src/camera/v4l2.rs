use std::path::{Path, PathBuf};

use edgelip_runtime::image::camera::{self, Range};
use rscam::{Camera, Config};

use super::{Frame, Source, Taken};
use crate::Error;
use crate::decode::{self, Options};

/// A camera device of Linux, as `/dev/video0`. Not yet run on a real one.
pub struct V4l2 {
    camera: Camera,
    path: PathBuf,
    size: [usize; 2],
    format: Format,
    range: Range,
}

/// The formats that are understood, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yuyv,
    Nv12,
    Yu12,
    Mjpeg,
}

impl Format {
    const ALL: [Format; 4] = [Format::Yuyv, Format::Nv12, Format::Yu12, Format::Mjpeg];

    fn code(self) -> [u8; 4] {
        *match self {
            Format::Yuyv => b"YUYV",
            Format::Nv12 => b"NV12",
            Format::Yu12 => b"YU12",
            Format::Mjpeg => b"MJPG",
        }
    }
}

/// Buffers that the driver fills in turns.
const BUFFERS: u32 = 4;

impl V4l2 {
    /// Starts a camera with frames of this width and height, at about this rate. `range` is that of its YUV bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be opened, [`Error::Malformed`] if it is no camera or has no such frames.
    pub fn open(path: &Path, [width, height]: [usize; 2], fps: f64, range: Range) -> Result<Self, Error> {
        let name = path.to_str().ok_or_else(|| Error::malformed(path, "is no name of a camera"))?;
        let camera = Camera::new(name).map_err(Error::io(path))?;
        let offered: Vec<[u8; 4]> = camera.formats().map_while(|format| Some(format.ok()?.format)).collect();
        if offered.is_empty() {
            return Err(Error::malformed(path, "is no camera"));
        }
        let mut refusal = None;
        for format in Format::ALL.into_iter().filter(|format| offered.contains(&format.code())) {
            let config = Config {
                interval: (1000, (fps * 1000.0) as u32),
                resolution: (width as u32, height as u32),
                format: &format.code(),
                nbuffers: BUFFERS,
                ..Config::default()
            };
            let mut camera = Camera::new(name).map_err(Error::io(path))?;
            match camera.start(&config) {
                Ok(()) => {
                    let path = path.to_path_buf();
                    return Ok(V4l2 { camera, path, size: [width, height], format, range });
                }
                Err(error) => refusal = Some(error),
            }
        }
        let names = offered.iter().map(|code| String::from_utf8_lossy(code)).collect::<Vec<_>>().join(", ");
        Err(Error::malformed(
            path,
            match refusal {
                Some(error) => format!("has no frames of {width}x{height} at {fps} a second: {error}"),
                None => format!("has only formats that are not understood: {names}"),
            },
        ))
    }
}

impl Source for V4l2 {
    fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error> {
        let captured = self.camera.capture().map_err(Error::io(&self.path))?;
        let [width, height] = self.size;
        if self.format == Format::Mjpeg {
            // Now and then a USB camera sends half a picture; the next one is whole.
            return Ok(match decode::from_bytes(&captured, &Options::default()) {
                Ok(image) => {
                    *frame = Frame { data: image.data, height: image.height, width: image.width, name: None };
                    Taken::Frame
                }
                Err(reason) => Taken::Skipped(Error::malformed(&self.path, reason)),
            });
        }
        frame.data.resize(width * height * 3, 0);
        (frame.height, frame.width, frame.name) = (height, width, None);
        let Some(rows) = Rows::new(&captured, self.format, self.size) else {
            let reason = format!("a frame of {} bytes is not one of {width}x{height}", captured.len());
            return Ok(Taken::Skipped(Error::malformed(&self.path, reason)));
        };
        for (y, pixels) in frame.data.chunks_exact_mut(width * 3).enumerate() {
            rows.convert(y, width, self.range, pixels)?;
        }
        Ok(Taken::Frame)
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// The rows of a frame, whose driver may have padded them.
struct Rows<'b> {
    bytes: &'b [u8],
    format: Format,
    height: usize,
    /// Bytes from one row of luma to the next.
    stride: usize,
}

impl<'b> Rows<'b> {
    /// `None` if there are too few bytes.
    fn new(bytes: &'b [u8], format: Format, [width, height]: [usize; 2]) -> Option<Self> {
        let (stride, least) = match format {
            Format::Yuyv => (bytes.len() / height, width.next_multiple_of(2) * 2),
            _ => (bytes.len() * 2 / 3 / height, width.next_multiple_of(2)),
        };
        // Rows of chroma begin at even places.
        (stride >= least && height.is_multiple_of(2)).then_some(Rows { bytes, format, height, stride: stride / 2 * 2 })
    }

    /// Row `y` as `[width, 3]` bytes.
    fn convert(&self, y: usize, width: usize, range: Range, pixels: &mut [u8]) -> Result<(), Error> {
        let Rows { bytes, stride, height, .. } = *self;
        let row = |start: usize, length: usize| &bytes[start..][..length];
        let even = width.next_multiple_of(2);
        let chroma = height * stride;
        match self.format {
            Format::Yuyv => camera::yuyv(row(y * stride, even * 2), range, pixels)?,
            Format::Nv12 => camera::nv12(row(y * stride, width), row(chroma + y / 2 * stride, even), range, pixels)?,
            _ => {
                let (u, half) = (chroma + y / 2 * (stride / 2), stride / 2 * (height / 2));
                camera::yuv420(row(y * stride, width), row(u, even / 2), row(u + half, even / 2), range, pixels)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_behind_padding() {
        // A picture of 4×2, grey above and red below, in rows of 8 bytes of luma.
        for format in [Format::Yuyv, Format::Nv12, Format::Yu12] {
            let mut bytes = vec![0; if format == Format::Yuyv { 2 * 16 } else { 8 * 3 }];
            let stride = if format == Format::Yuyv { 16 } else { 8 };
            for (y, luma) in [100, 50].into_iter().enumerate() {
                let step = if format == Format::Yuyv { 2 } else { 1 };
                (0..4).for_each(|x| bytes[y * stride + step * x] = luma);
            }
            match format {
                Format::Yuyv => [1, 5, 17, 21].into_iter().for_each(|u| (bytes[u], bytes[u + 2]) = (128, 255)),
                Format::Nv12 => [16, 18].into_iter().for_each(|u| (bytes[u], bytes[u + 1]) = (128, 255)),
                _ => [16, 17].into_iter().for_each(|u| (bytes[u], bytes[u + 4]) = (128, 255)),
            }
            let rows = Rows::new(&bytes, format, [4, 2]).unwrap();
            let mut pixels = [0; 12];
            rows.convert(1, 4, Range::Full, &mut pixels).unwrap();
            assert_eq!(pixels, [228, 0, 50, 228, 0, 50, 228, 0, 50, 228, 0, 50], "{format:?}");
            assert!(Rows::new(&bytes[..7], format, [4, 2]).is_none());
        }
    }

    #[test]
    fn what_is_no_camera_is_an_error() {
        for path in ["/dev/null", "/no/such/video0"] {
            let message = V4l2::open(Path::new(path), [4, 2], 30.0, Range::Full).err().unwrap().to_string();
            assert!(message.starts_with(path), "{message}");
        }
    }
}
