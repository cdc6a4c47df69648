//! `edgelip preprocess`: an image as the model sees it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use edgelip::engine::native;
use edgelip::{npy, output::Output};
use edgelip_runtime::Vision;

use super::Outcome;
use super::options::with_file;
use super::picture::{self, PictureArgs};

/// Write an image as the model sees it, as a NumPy file
#[derive(clap::Args)]
#[command(after_help = "\
Without --u8 the array is [3, H, W] f32: resized, cropped and normalised as the checkpoint's own processor does.

Example:
  edgelip preprocess cat.jpg --model model.onnx -o pixels.npy")]
pub struct Args {
    /// A JPEG, PNG or WebP file
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// The image tower
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,

    /// The NumPy file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Write the bytes [H, W, 3] after resize and crop
    #[arg(long)]
    u8: bool,

    #[command(flatten)]
    picture: PictureArgs,

    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    Output::check(&args.output, args.force)?;
    let (preprocess, [height, width]) = with_file(&args.model, |mapping| {
        let vision = Vision::open(mapping, native::kernels())?;
        Ok((*vision.preprocess(), vision.shape().image))
    })?;
    let image = args.picture.read(&args.image)?;
    let size = preprocess.output(image.height, image.width).map_err(|error| picture::failed(&args.image, error))?;
    if size != [height, width] {
        bail!("{}: becomes {}x{} pixels, the model takes {height}x{width}", args.image.display(), size[0], size[1]);
    }
    let scratch = preprocess.scratch_len(image.height, image.width);
    let mut scratch = vec![0.0; scratch.map_err(|error| picture::failed(&args.image, error))?];
    let mut pixels = vec![0; height * width * 3];
    preprocess
        .apply(&native::kernels(), image.view(), &mut scratch, &mut pixels)
        .map_err(|error| picture::failed(&args.image, error))?;
    if args.u8 {
        npy::write(&args.output, args.force, &[height, width, 3], &pixels)?;
        writeln!(out, "{}: [{height}, {width}, 3] u8", args.output.display())?;
    } else {
        let mut values = vec![0.0; pixels.len()];
        preprocess.normalize(&pixels, &mut values)?;
        npy::write(&args.output, args.force, &[3, height, width], &values)?;
        writeln!(out, "{}: [3, {height}, {width}] f32", args.output.display())?;
    }
    Ok(Outcome::Done)
}
