//! Frames from a camera, or from what stands in for one.
//!
//! A [`Source`] gives frame after frame. A [`Capture`] lets it do so on a thread of its own and hands out the latest one, so that a camera
//! which is faster than the model is never behind the world: what nobody had time for is dropped, and counted.

mod capture;
mod folder;
mod paced;
#[cfg(all(feature = "v4l2", target_os = "linux"))]
mod v4l2;
mod yuv420;

pub use capture::{Capture, Next};
pub use folder::Folder;
pub use paced::Paced;
#[cfg(all(feature = "v4l2", target_os = "linux"))]
pub use v4l2::V4l2;
pub use yuv420::{Layout, Yuv420};

use edgelip_runtime::image::Rgb;

use crate::Error;

/// One picture of many. Its memory is used again for later ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// `[height, width, 3]`.
    pub data: Vec<u8>,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// The file it comes from, if it has one of its own.
    pub name: Option<String>,
}

impl Frame {
    /// The frame as the runtime takes it.
    pub fn view(&self) -> Rgb<'_> {
        Rgb { data: &self.data, height: self.height, width: self.width }
    }
}

/// What a source had.
#[derive(Debug)]
pub enum Taken {
    /// The frame has been filled.
    Frame,
    /// A frame that can't be used, and why; there may be others.
    Skipped(Error),
    /// There are no more frames.
    End,
}

/// Gives frames, one after another.
pub trait Source: Send {
    /// Waits for the next frame and fills `frame` with it.
    ///
    /// # Errors
    /// Why there can't be any more frames.
    fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error>;

    /// Whether frames come at their own time. Of such a source frames are dropped when nobody has time for them; another one waits.
    fn is_live(&self) -> bool;
}
