//! What a board's screen would show, on a workstation: one photo as one or several models see it, in a window or as a PNG picture.

#![forbid(unsafe_code)]

mod seen;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use edgelip::decode;
use edgelip_drawing::{Report, Screen};
use embedded_graphics::pixelcolor::Rgb565;
use embedded_graphics::prelude::*;
use embedded_graphics_simulator::{OutputSettingsBuilder, SimulatorDisplay};
use seen::Seen;

/// Show a photo and its labels as a board would
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  edgelip-simulator cup.jpg --model whole.onnx --model merged.onnx --size 640x480 --dump screen.png
  edgelip-simulator cup.jpg --model merged.onnx --check screen.png

Without --dump or --check it opens a window, in a build with --features window."
)]
struct Args {
    /// A JPEG, PNG or WebP file
    photo: PathBuf,

    /// An image tower with labels; several are shown side by side
    #[arg(short, long, value_name = "FILE", required = true)]
    model: Vec<PathBuf>,

    /// The screen
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "320x240", value_parser = parse_size)]
    size: Size,

    /// Leave out which patches were merged
    #[arg(long)]
    plain: bool,

    /// Write the screen to this PNG file
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    dump: Option<PathBuf>,

    /// Hold the screen against this PNG file, pixel by pixel; exit 1 if it differs
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

fn parse_size(text: &str) -> Result<Size, String> {
    match text.split_once('x').map(|(width, height)| (width.parse(), height.parse())) {
        Some((Ok(width @ 1..=4096), Ok(height @ 1..=4096))) => Ok(Size::new(width, height)),
        _ => Err("a size is written like 320x240, sides are at most 4096".into()),
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::from(2)
        }
    }
}

/// Whether all is as it should be.
fn run(args: &Args) -> Result<bool> {
    let photo = decode::rgb8(&args.photo)?;
    let seen = args.model.iter().map(|model| Seen::new(model, &photo)).collect::<Result<Vec<_>>>()?;
    let labels: Vec<_> = seen.iter().map(Seen::labels).collect();
    let costs: Vec<_> = seen.iter().map(|seen| [seen.cost()]).collect();
    let mut reports: Vec<Report<'_>> =
        seen.iter().zip(&labels).zip(&costs).map(|((seen, labels), costs)| seen.report(labels, costs)).collect();
    if args.plain {
        reports.iter_mut().for_each(|report| report.merged = None);
    }
    // As many colours as most panels have.
    let mut display = SimulatorDisplay::<Rgb565>::new(args.size);
    let Ok(()) = Screen { reports: &reports, status: None }.draw(&mut display);

    if let Some(path) = &args.check {
        let expected = SimulatorDisplay::load_png(path).with_context(|| path.display().to_string())?;
        let same = expected.size() == display.size() && display.diff(&expected).is_none();
        println!("{}: {}", path.display(), if same { "the same" } else { "differs" });
        return Ok(same);
    }
    match &args.dump {
        Some(path) => {
            let image = display.to_rgb_output_image(&OutputSettingsBuilder::new().build());
            image.save_png(path).with_context(|| path.display().to_string())?;
        }
        None => show(&display)?,
    }
    Ok(true)
}

#[cfg(feature = "window")]
fn show(display: &SimulatorDisplay<Rgb565>) -> Result<()> {
    let settings = OutputSettingsBuilder::new().scale(2).build();
    embedded_graphics_simulator::Window::new("edgelip", &settings).show_static(display);
    Ok(())
}

#[cfg(not(feature = "window"))]
fn show(_: &SimulatorDisplay<Rgb565>) -> Result<()> {
    anyhow::bail!("this build has no window: give --dump or --check, or build with --features window")
}
