//! Small panels on a SPI bus.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use embedded_graphics::pixelcolor::Rgb565;
use embedded_graphics::prelude::*;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiDevice;
use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use linux_embedded_hal::{CdevPin, Delay, SpidevDevice};
use mipidsi::interface::SpiInterface;
use mipidsi::models::{ILI9341Rgb565, Model, ST7789};
use mipidsi::options::{ColorInversion, ColorOrder, Orientation};
use mipidsi::{Builder, NoResetPin};

use super::{Canvas, Display, check};
use crate::Error;

/// The chip on a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Sitronix ST7789, up to 240×320.
    St7789,
    /// Ilitek ILI9341, 240×320.
    Ili9341,
}

/// How a panel is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// The device of the GPIO lines, as `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// The line that tells commands from data.
    pub command: u32,
    /// The reset line; without one a command resets the panel.
    pub reset: Option<u32>,
    /// The line that switches the light on.
    pub light: Option<u32>,
    /// The bus clock.
    pub hertz: u32,
}

/// How far a picture is turned clockwise on a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// As the panel stands.
    None,
    /// By 90°.
    Quarter,
    /// By 180°.
    Half,
    /// By 270°.
    ThreeQuarters,
}

/// How a panel is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mounting {
    /// Width and height of the picture, as people see it.
    pub size: [u32; 2],
    /// How far it is turned on the panel.
    pub rotation: Rotation,
    /// Where the panel begins in its controller's memory.
    pub offset: [u16; 2],
    /// Whether the panel shows the opposite of each colour otherwise.
    pub inverted: bool,
    /// Whether red and blue change places otherwise.
    pub bgr: bool,
}

/// Bytes that go over the bus at once: spidev takes no more by default.
const BATCH: usize = 4096;

/// Opens a panel on a bus of Linux, as `/dev/spidev0.0`. It is black in the end. Not yet run on a real one.
///
/// # Errors
/// [`Error::Io`] if the bus or a line can't be used, [`Error::Malformed`] if there is no such panel.
pub fn open(
    device: &Path,
    controller: Controller,
    wiring: &Wiring,
    mounting: Mounting,
) -> Result<Box<dyn Display>, Error> {
    let mut spi = SpidevDevice::open(device).map_err(|error| failed(device, error))?;
    let options =
        SpidevOptions::new().bits_per_word(8).max_speed_hz(wiring.hertz).mode(SpiModeFlags::SPI_MODE_0).build();
    spi.0.configure(&options).map_err(Error::io(device))?;
    let mut chip = Chip::new(&wiring.chip).map_err(|error| failed(&wiring.chip, error))?;
    let mut line = |line: u32, value: u8| {
        let pin = chip.get_line(line).and_then(|line| line.request(LineRequestFlags::OUTPUT, value, "edgelip"));
        pin.and_then(CdevPin::new).map_err(|error| failed(&wiring.chip, format!("line {line}: {error}")))
    };
    let pins = Pins {
        command: line(wiring.command, 0)?,
        reset: wiring.reset.map(|number| line(number, 1)).transpose()?,
        light: wiring.light.map(|number| line(number, 1)).transpose()?,
    };
    start(device, controller, (spi, pins, &mut Delay), mounting)
}

/// The lines of a panel.
struct Pins<PIN> {
    command: PIN,
    reset: Option<PIN>,
    light: Option<PIN>,
}

fn start<SPI: SpiDevice + 'static, PIN: OutputPin + 'static>(
    device: &Path,
    controller: Controller,
    (spi, pins, delay): (SPI, Pins<PIN>, &mut impl DelayNs),
    mounting: Mounting,
) -> Result<Box<dyn Display>, Error> {
    match controller {
        Controller::St7789 => start_model(device, ST7789, (spi, pins, delay), mounting),
        Controller::Ili9341 => start_model(device, ILI9341Rgb565, (spi, pins, delay), mounting),
    }
}

fn start_model<SPI: SpiDevice + 'static, PIN: OutputPin + 'static, MODEL: Model<ColorFormat = Rgb565> + 'static>(
    device: &Path,
    model: MODEL,
    (spi, pins, delay): (SPI, Pins<PIN>, &mut impl DelayNs),
    mounting: Mounting,
) -> Result<Box<dyn Display>, Error> {
    let Mounting { size, rotation, offset, inverted, bgr } = mounting;
    let (rotation, turned) = match rotation {
        Rotation::None => (mipidsi::options::Rotation::Deg0, false),
        Rotation::Quarter => (mipidsi::options::Rotation::Deg90, true),
        Rotation::Half => (mipidsi::options::Rotation::Deg180, false),
        Rotation::ThreeQuarters => (mipidsi::options::Rotation::Deg270, true),
    };
    let [width, height] = if turned { [size[1], size[0]] } else { size };
    let (most_width, most_height) = MODEL::FRAMEBUFFER_SIZE;
    let fits = |length: u32, offset: u16, most: u16| length > 0 && length <= u32::from(most.saturating_sub(offset));
    if !fits(width, offset[0], most_width) || !fits(height, offset[1], most_height) {
        let reason = format!(
            "a panel has at most {most_width}x{most_height} pixels upright, not {width}x{height} at {offset:?}"
        );
        return Err(Error::malformed(device, reason));
    }
    // One small buffer for as long as the program runs.
    let buffer = Box::leak(vec![0; BATCH].into_boxed_slice());
    let builder = Builder::new(model, SpiInterface::new(spi, pins.command, buffer))
        .display_size(width as u16, height as u16)
        .display_offset(offset[0], offset[1])
        .orientation(Orientation::new().rotate(rotation))
        .invert_colors(if inverted { ColorInversion::Inverted } else { ColorInversion::Normal })
        .color_order(if bgr { ColorOrder::Bgr } else { ColorOrder::Rgb });
    let (path, light) = (device.to_path_buf(), pins.light);
    Ok(match pins.reset {
        Some(reset) => {
            let display = builder.reset_pin(reset).init(delay).map_err(|error| unusable(device, error))?;
            Box::new(Panel { display, light, path, size })
        }
        None => {
            let display = builder.init(delay).map_err(|error| unusable(device, error))?;
            Box::new(Panel::<_, _, _, NoResetPin> { display, light, path, size })
        }
    })
}

/// A panel that has been started.
struct Panel<SPI: SpiDevice, PIN: OutputPin, MODEL: Model<ColorFormat = Rgb565>, RESET: OutputPin> {
    display: mipidsi::Display<SpiInterface<'static, SPI, PIN>, MODEL, RESET>,
    light: Option<PIN>,
    path: PathBuf,
    size: [u32; 2],
}

impl<SPI: SpiDevice, PIN: OutputPin, MODEL: Model<ColorFormat = Rgb565>, RESET: OutputPin>
    Panel<SPI, PIN, MODEL, RESET>
{
    fn fill(&mut self, colours: impl IntoIterator<Item = Rgb565>) -> Result<(), Error> {
        let [right, bottom] = self.size.map(|length| (length - 1) as u16);
        self.display.set_pixels(0, 0, right, bottom, colours).map_err(|error| unusable(&self.path, error))
    }
}

impl<SPI: SpiDevice, PIN: OutputPin, MODEL: Model<ColorFormat = Rgb565>, RESET: OutputPin> Display
    for Panel<SPI, PIN, MODEL, RESET>
{
    fn size(&self) -> [u32; 2] {
        self.size
    }

    fn show(&mut self, canvas: &Canvas) -> Result<(), Error> {
        check(self, canvas)?;
        let colour = |pixel: &[u8]| Rgb565::new(pixel[0] >> 3, pixel[1] >> 2, pixel[2] >> 3);
        self.fill(canvas.data().chunks_exact(3).map(colour))
    }
}

impl<SPI: SpiDevice, PIN: OutputPin, MODEL: Model<ColorFormat = Rgb565>, RESET: OutputPin> Drop
    for Panel<SPI, PIN, MODEL, RESET>
{
    fn drop(&mut self) {
        // Nobody is left to be told that the panel can't be reached any more.
        let _ = self.fill(core::iter::repeat_n(Rgb565::BLACK, (self.size[0] * self.size[1]) as usize));
        if let Some(light) = &mut self.light {
            let _ = light.set_low();
        }
    }
}

fn failed(path: &Path, error: impl ToString) -> Error {
    Error::io(path)(io::Error::other(error.to_string()))
}

/// The panel's driver has errors without words.
fn unusable(path: &Path, error: impl Debug) -> Error {
    failed(path, format!("the panel does not answer: {error:?}"))
}

#[cfg(test)]
mod tests;
