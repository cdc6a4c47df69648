//! Screens that a picture is shown on, from a file to a panel on a bus.
//!
//! A picture is drawn on a [`Canvas`] of the screen's size with embedded-graphics, and then shown as a whole, so that nothing flickers.

mod canvas;
#[cfg(all(feature = "drm", target_os = "linux"))]
mod drm;
#[cfg(unix)]
mod framebuffer;
#[cfg(all(feature = "panel", target_os = "linux"))]
pub mod panel;
mod picture_file;

pub use canvas::Canvas;
#[cfg(all(feature = "drm", target_os = "linux"))]
pub use drm::Drm;
#[cfg(unix)]
pub use framebuffer::Framebuffer;
pub use picture_file::PictureFile;

use crate::Error;

/// Shows pictures of its own size. What was there before comes back when it is dropped, where that is possible.
pub trait Display {
    /// Width and height in pixels.
    fn size(&self) -> [u32; 2];

    /// Whether the last picture stays when this is dropped.
    fn lasts(&self) -> bool {
        false
    }

    /// Shows a picture of this size.
    ///
    /// # Errors
    /// [`Error::Io`] if the screen can't be reached any more, [`Error::Unusable`] if the picture has another size.
    fn show(&mut self, canvas: &Canvas) -> Result<(), Error>;
}

/// Refuses a picture of another size than the display's.
fn check(display: &impl Display, canvas: &Canvas) -> Result<(), Error> {
    let ([width, height], [wanted_width, wanted_height]) = (canvas.size(), display.size());
    if canvas.size() == display.size() {
        return Ok(());
    }
    Err(Error::Unusable(format!("a picture of {width}x{height} for a screen of {wanted_width}x{wanted_height}")))
}
