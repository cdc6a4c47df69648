//! The answer on screens.

use std::path::Path;

use anyhow::{Context, Result, bail};
use edgelip::Classifier;
use edgelip::camera::Frame;
use edgelip::display::{Canvas, Display, PictureFile};
use edgelip_drawing::{Cost, Label, Notice, Photo, Regions, Report, Screen};

use super::answer::Answer;
use super::settings::Settings;
use super::values::Size;

/// All screens that are asked for, each with the picture it shows.
pub struct Screens(Vec<(Box<dyn Display>, Canvas)>);

impl Screens {
    /// Opens them.
    pub fn open(settings: &Settings, force: bool) -> Result<Self> {
        let mut screens = Vec::new();
        for name in &settings.display {
            let display = open(name, settings, force)?;
            let canvas = Canvas::new(display.size());
            screens.push((display, canvas));
        }
        Ok(Screens(screens))
    }

    /// Draws and shows an answer.
    pub fn show(&mut self, answer: &Answer<'_>, frame: &Frame, model: &str, classifier: &Classifier<'_>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let labels: Vec<_> =
            answer.labels.iter().map(|scored| Label { name: scored.label, score: scored.score }).collect();
        let tower = classifier.tower();
        let (saving, grid) =
            tower.vision().map_or((0.0, [0; 2]), |vision| (vision.plan().saving(), vision.shape().grid()));
        let merged = tower.tokens().and_then(|tokens| Regions::new(tokens, grid[0], grid[1]));
        let photo = match merged {
            Some(_) => Photo::new(tower.pixels(), tower.size()[0], tower.size()[1]),
            None => Photo::new(&frame.data, frame.height, frame.width),
        };
        let report = Report {
            model,
            compression: saving as f32,
            costs: &[Cost::Micros((answer.milliseconds * 1e3) as u64)],
            photo,
            merged,
            labels: &labels,
        };
        let status = answer.status();
        let screen = Screen { reports: &[report], status: Some(&status) };
        for (display, canvas) in &mut self.0 {
            let Ok(()) = screen.draw(canvas);
            display.show(canvas)?;
        }
        Ok(())
    }

    /// Draws and shows a notice. Whether there is any screen that it is on.
    pub fn tell(&mut self, title: &str, text: &str) -> bool {
        let mut told = false;
        for (display, canvas) in &mut self.0 {
            let Ok(()) = Notice { title, text }.draw(canvas);
            told |= display.show(canvas).is_ok();
        }
        told
    }

    /// Whether any of them shows something else when the program has ended.
    pub fn fade(&self) -> bool {
        self.0.iter().any(|(display, _)| !display.lasts())
    }
}

/// Opens a screen by its name, `KIND` or `KIND:PATH`.
fn open(name: &str, settings: &Settings, force: bool) -> Result<Box<dyn Display>> {
    let (kind, path) = name.split_once(':').map_or((name, None), |(kind, path)| (kind, Some(Path::new(path))));
    Ok(match kind {
        "png" => {
            let path = path.context("--display png:FILE needs the file's name")?;
            Box::new(PictureFile::new(path, size(settings), force)?)
        }
        #[cfg(unix)]
        "fb" => Box::new(edgelip::display::Framebuffer::open(path.unwrap_or(Path::new("/dev/fb0")))?),
        #[cfg(all(feature = "drm", target_os = "linux"))]
        "drm" => Box::new(edgelip::display::Drm::open(path.unwrap_or(Path::new("/dev/dri/card0")))?),
        #[cfg(not(all(feature = "drm", target_os = "linux")))]
        "drm" => bail!("this build has no DRM screens; build with --features drm, on Linux"),
        #[cfg(all(feature = "panel", target_os = "linux"))]
        "st7789" => panel(path, edgelip::display::panel::Controller::St7789, settings)?,
        #[cfg(all(feature = "panel", target_os = "linux"))]
        "ili9341" => panel(path, edgelip::display::panel::Controller::Ili9341, settings)?,
        #[cfg(not(all(feature = "panel", target_os = "linux")))]
        "st7789" | "ili9341" => bail!("this build has no panels; build with --features panel, on Linux"),
        _ => bail!(
            "--display {name}: there are png:FILE, fb[:DEVICE], drm[:DEVICE], st7789[:DEVICE] and ili9341[:DEVICE]"
        ),
    })
}

#[cfg(all(feature = "panel", target_os = "linux"))]
fn panel(
    path: Option<&Path>,
    controller: edgelip::display::panel::Controller,
    settings: &Settings,
) -> Result<Box<dyn Display>> {
    use edgelip::display::panel::{self, Mounting, Rotation, Wiring};
    let rotation = match settings.panel_rotate.unwrap_or(0) {
        0 => Rotation::None,
        90 => Rotation::Quarter,
        180 => Rotation::Half,
        270 => Rotation::ThreeQuarters,
        other => bail!("--panel-rotate {other}: there are 0, 90, 180 and 270"),
    };
    let wiring = Wiring {
        chip: settings.panel_chip.clone().unwrap_or("/dev/gpiochip0".into()),
        command: settings.panel_dc.unwrap_or(25),
        reset: settings.panel_reset,
        light: settings.panel_light,
        hertz: settings.panel_clock.unwrap_or(32_000_000),
    };
    let mounting = Mounting {
        size: size(settings),
        rotation,
        offset: settings.panel_offset.map_or([0, 0], |offset| offset.0),
        inverted: settings.panel_invert.unwrap_or(false),
        bgr: settings.panel_bgr.unwrap_or(false),
    };
    Ok(panel::open(path.unwrap_or(Path::new("/dev/spidev0.0")), controller, &wiring, mounting)?)
}

/// The size of screens that have none of their own.
fn size(settings: &Settings) -> [u32; 2] {
    settings.display_size.map_or([320, 240], |Size { width, height }| [width as u32, height as u32])
}
