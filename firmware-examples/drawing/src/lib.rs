//! What a model made of a photo, drawn with embedded-graphics on anything that has pixels: a panel on a bus, a framebuffer, a file.
//!
//! No `std`, no allocation, no `unsafe`. A program makes a [`Report`] for each model and hands them to a [`Screen`], which lays them
//! out for the size it meets, from 128×160 to whole monitors. All is clipped to the target: long names end in `..`.
//!
//! ```
//! use edgelip_drawing::{Cost, Label, Photo, Regions, Report, Screen};
//! use embedded_graphics::{mock_display::MockDisplay, pixelcolor::Rgb888};
//!
//! let pixels = [90; 8 * 8 * 3];
//! let report = Report {
//!     model: "mlip-tiny",
//!     compression: 0.5,
//!     costs: &[Cost::Micros(4_100), Cost::Count(67_500_000, "instructions")],
//!     photo: Photo::new(&pixels, 8, 8),
//!     merged: Regions::new(&[0, 0, 1, 0], 2, 2),
//!     labels: &[Label { name: "a cup of coffee", score: 0.97 }, Label { name: "a rocket", score: 0.03 }],
//! };
//! let mut display = MockDisplay::<Rgb888>::new();
//! display.set_allow_overdraw(true);
//! Screen { reports: &[report], status: None }.draw(&mut display).unwrap();
//! ```
//!
//! When there is nothing to report, a [`Notice`] says why.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

#[cfg(test)]
extern crate std;

mod header;
mod labels;
mod metrics;
mod notice;
mod palette;
mod panel;
mod photo;
mod regions;
mod screen;
mod text;

use embedded_graphics::pixelcolor::{Rgb888, RgbColor};

pub use header::Cost;
pub use labels::Label;
pub use notice::Notice;
pub use photo::Photo;
pub use regions::Regions;
pub use screen::Screen;
pub use text::Line;

/// A colour that all of this can be drawn in.
pub trait Paint: RgbColor + From<Rgb888> {}

impl<C: RgbColor + From<Rgb888>> Paint for C {}

/// What one model made of one photo.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The share of the multiply-adds that merging saves, 0 for the original model.
    pub compression: f32,
    /// What it took, for example the latency.
    pub costs: &'a [Cost<'a>],
    /// What the model saw.
    pub photo: Option<Photo<'a>>,
    /// Which of its patches were merged: drawn over the photo, which must then be the very pixels that the model was given.
    pub merged: Option<Regions<'a>>,
    /// Labels, best first. As many are drawn as there is room for.
    pub labels: &'a [Label<'a>],
}
