use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Canvas, Display, check};
use crate::Error;

/// A Linux framebuffer device, as `/dev/fb0`. What it showed before comes back in the end.
///
/// Size and format come from the device's attributes under `/sys/class/graphics`, so that all it takes is reading and writing files.
/// Pixels are taken to be in the usual order: 5 bits of blue, 6 of green, 5 of red in 16, or a byte of blue, green and red in 24 and 32.
#[derive(Debug)]
pub struct Framebuffer {
    file: File,
    path: PathBuf,
    size: [u32; 2],
    /// Bytes from one row to the next.
    stride: usize,
    /// Bytes of a pixel.
    depth: usize,
    /// What was there.
    before: Vec<u8>,
    /// What will be there.
    bytes: Vec<u8>,
}

/// The longest side.
const MAX_SIDE: u32 = 16_384;

impl Framebuffer {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be read and written; [`Error::Malformed`] if it is no framebuffer, or one of an unknown format.
    pub fn open(device: &Path) -> Result<Self, Error> {
        let name = device.file_name().unwrap_or_default();
        Self::with_attributes(device, &Path::new("/sys/class/graphics").join(name))
    }

    /// Opens a device whose attributes are files in this folder.
    ///
    /// # Errors
    /// As [`Framebuffer::open`].
    pub fn with_attributes(device: &Path, attributes: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).open(device).map_err(Error::io(device))?;
        let read = |name: &str| {
            let path = attributes.join(name);
            let text = fs::read_to_string(&path);
            text.map_err(|error| Error::malformed(device, format!("is no framebuffer: {}: {error}", path.display())))
        };
        let unknown =
            |what: &str, value: &str| Error::malformed(device, format!("{what} {:?} is not known", value.trim()));
        // The visible part; what is behind it is for flipping pages.
        let (mode, whole) = (read("modes").unwrap_or_default(), read("virtual_size")?);
        let size = mode_size(&mode).or_else(|| pair(whole.trim(), ',')).ok_or_else(|| unknown("the size", &whole))?;
        let bits = read("bits_per_pixel")?;
        let depth = match bits.trim() {
            "16" => 2,
            "24" => 3,
            "32" => 4,
            _ => return Err(unknown("the number of bits per pixel,", &bits)),
        };
        let row = size[0] as usize * depth;
        let stride = read("stride")?;
        let fits = |stride: &usize| (row..=4 * MAX_SIDE as usize).contains(stride);
        let stride = stride.trim().parse().ok().filter(fits).ok_or_else(|| unknown("the stride", &stride))?;
        let mut before = vec![0; stride * size[1] as usize];
        file.read_exact_at(&mut before, 0).map_err(Error::io(device))?;
        let bytes = before.clone();
        Ok(Framebuffer { file, path: device.to_path_buf(), size, stride, depth, before, bytes })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, 0)
    }
}

/// The size in a line like `U:1920x1080p-60`.
fn mode_size(modes: &str) -> Option<[u32; 2]> {
    let (_, size) = modes.lines().next()?.split_once(':')?;
    let (width, height) = size.split_once('x')?;
    let height = height.split(|letter: char| !letter.is_ascii_digit()).next()?;
    pair(&format!("{width},{height}"), ',')
}

fn pair(text: &str, separator: char) -> Option<[u32; 2]> {
    let (width, height) = text.split_once(separator)?;
    let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    Some([side(width)?, side(height)?])
}

impl Display for Framebuffer {
    fn size(&self) -> [u32; 2] {
        self.size
    }

    fn show(&mut self, canvas: &Canvas) -> Result<(), Error> {
        check(self, canvas)?;
        for (row, pixels) in self.bytes.chunks_exact_mut(self.stride).zip(canvas.rows()) {
            for (to, pixel) in row.chunks_exact_mut(self.depth).zip(pixels.chunks_exact(3)) {
                let (red, green, blue) = (pixel[0], pixel[1], pixel[2]);
                match to {
                    [low, high] => {
                        let value = u16::from(red >> 3) << 11 | u16::from(green >> 2) << 5 | u16::from(blue >> 3);
                        [*low, *high] = value.to_le_bytes();
                    }
                    [first, second, third, unused @ ..] => {
                        [*first, *second, *third] = [blue, green, red];
                        unused.fill(255);
                    }
                    _ => {}
                }
            }
        }
        self.write(&self.bytes).map_err(Error::io(&self.path))
    }
}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        // Nobody is left to be told that the screen can't be reached any more.
        let _ = self.write(&self.before);
    }
}

#[cfg(test)]
mod tests {
    use embedded_graphics::pixelcolor::Rgb888;
    use embedded_graphics::prelude::*;

    use super::*;

    /// A file that looks like a device of 3×2 pixels, with these attributes.
    fn device(folder: &Path, attributes: &[(&str, &str)], bytes: usize) -> Result<Framebuffer, Error> {
        let path = folder.join("fb0");
        fs::write(&path, vec![9; bytes]).unwrap();
        for (name, value) in attributes {
            fs::write(folder.join(name), format!("{value}\n")).unwrap();
        }
        Framebuffer::with_attributes(&path, folder)
    }

    #[test]
    fn pixels_are_written_in_the_devices_format_and_taken_back() {
        for (bits, stride, red, green) in [
            ("16", 8, &[0x00, 0xF8][..], &[0xE0, 0x07][..]),
            ("24", 10, &[0, 0, 255], &[0, 255, 0]),
            ("32", 12, &[0, 0, 255, 255], &[0, 255, 0, 255]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let attributes = [
                ("virtual_size", "3,4"),
                ("modes", "U:3x2p-60"),
                ("bits_per_pixel", bits),
                ("stride", &stride.to_string()),
            ];
            let mut framebuffer = device(folder.path(), &attributes, 4 * stride).unwrap();
            let mut canvas = Canvas::new(framebuffer.size());
            assert_eq!(canvas.size(), [3, 2]);
            canvas.clear(Rgb888::RED).unwrap();
            canvas.draw_iter([Pixel(Point::new(1, 1), Rgb888::GREEN)]).unwrap();
            framebuffer.show(&canvas).unwrap();
            let shown = fs::read(folder.path().join("fb0")).unwrap();
            let depth = red.len();
            assert_eq!(&shown[..depth], red);
            assert_eq!(&shown[stride + depth..][..depth], green);
            assert_eq!(&shown[stride + 2 * depth..][..depth], red);
            // Neither the padding of rows nor the second page are touched.
            assert!(shown[3 * depth..stride].iter().chain(&shown[2 * stride..]).all(|&byte| byte == 9));
            assert!(framebuffer.show(&Canvas::new([2, 3])).is_err());
            drop(framebuffer);
            assert_eq!(fs::read(folder.path().join("fb0")).unwrap(), vec![9; 4 * stride]);
        }
    }

    #[test]
    fn what_is_no_framebuffer_is_an_error() {
        let good = [("virtual_size", "3,2"), ("bits_per_pixel", "32"), ("stride", "12")];
        for (name, value, reason) in [
            ("virtual_size", "3", "the size"),
            ("virtual_size", "0,2", "the size"),
            ("bits_per_pixel", "8", "bits per pixel"),
            ("stride", "11", "the stride"),
            ("stride", "99999999999", "the stride"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let message = device(folder.path(), &[&good[..], &[(name, value)]].concat(), 24).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(device(folder.path(), &good[1..], 24).unwrap_err().to_string().contains("is no framebuffer"));
        assert!(device(folder.path(), &good, 23).is_err() && device(folder.path(), &good, 24).is_ok());
        assert!(Framebuffer::open(Path::new("/dev/null")).is_err() && Framebuffer::open(Path::new("/no/fb9")).is_err());
    }
}
