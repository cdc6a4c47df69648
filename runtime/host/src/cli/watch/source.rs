//! Where the frames come from.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use edgelip::camera::{Folder, Frame, Layout, Paced, Source, Taken, Yuv420};
use edgelip::{Error, decode};

use super::settings::Settings;
use super::values::{RangeName, Size};

/// Any of the sources.
pub struct AnySource(Box<dyn Source>);

impl Source for AnySource {
    fn next(&mut self, frame: &mut Frame) -> Result<Taken, Error> {
        self.0.next(frame)
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }
}

/// Opens the source that the settings name.
pub fn open(settings: &Settings) -> Result<AnySource> {
    let path =
        settings.source.as_deref().context("give a camera device, a folder of photos, or - for standard input")?;
    if path.as_os_str() == "-" {
        let Size { width, height } = settings.size.context("frames on standard input have no size: give --size")?;
        let layout = Layout::new(width, height, settings.stride)?;
        let range = settings.range.unwrap_or(RangeName::Full);
        return Ok(AnySource(Box::new(Yuv420::new(io::stdin(), layout, range.into()))));
    }
    let kind = fs::metadata(path).map_err(Error::io(path))?;
    if kind.is_dir() {
        return folder(path, settings);
    }
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_char_device(&kind.file_type()) {
        return camera(path, settings);
    }
    bail!(
        "{}: neither a folder of photos nor a camera device; frames in a file or a pipe go to standard input: give -",
        path.display()
    )
}

fn folder(path: &Path, settings: &Settings) -> Result<AnySource> {
    let options = decode::Options { rotate: settings.exif.unwrap_or(false), ..decode::Options::default() };
    let folder = Folder::open(path, settings.repeat.unwrap_or(false), options)?;
    Ok(AnySource(match settings.fps {
        Some(fps) => Box::new(Paced::new(folder, Duration::from_secs_f64(1.0 / fps.0))),
        None => Box::new(folder),
    }))
}

#[cfg(all(feature = "v4l2", target_os = "linux"))]
fn camera(path: &Path, settings: &Settings) -> Result<AnySource> {
    let Size { width, height } = settings.size.unwrap_or(Size { width: 640, height: 480 });
    let fps = settings.fps.map_or(30.0, |fps| fps.0);
    let range = settings.range.unwrap_or(RangeName::Limited);
    Ok(AnySource(Box::new(edgelip::camera::V4l2::open(path, [width, height], fps, range.into())?)))
}

#[cfg(all(unix, not(all(feature = "v4l2", target_os = "linux"))))]
fn camera(path: &Path, _: &Settings) -> Result<AnySource> {
    bail!("{}: this build has no V4L2 cameras; build with --features v4l2, on Linux", path.display())
}
