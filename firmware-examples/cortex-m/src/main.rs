//! Labels three photos with two compressions of one model, on a Cortex-M without a heap, and holds the scores against the host's.
//!
//! The model files are executed in flash; all working memory is three static arrays. Output goes to the debugger (or QEMU) by semihosting,
//! and the exit code says whether every score was right.
#![no_std]
#![no_main]

mod golden;
mod halt;
mod stack;

use core::fmt::Write;

use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use edgelip_cortex_m::flash;
use edgelip_cortex_m::labeller::{Arena, Labelled, MAX_EMBEDDING, MAX_PIXELS, label};
use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Kernels, Part, Vision, classify};
use halt::halt;

/// Length of the scratch memory in `f32`s. The merged model needs most: at this size matching tokens takes more than fewer tokens save.
const ARENA: usize = if cfg!(feature = "small-arena") { 9 * 1024 } else { 36 * 1024 };
/// How far a score may be from the host's.
const TOLERANCE: f32 = 1e-3;
/// So many bytes of erased flash are no model.
const ERASED: usize = 64;
/// How many labels are printed.
const TOP: usize = 3;

#[entry]
fn main() -> ! {
    // `entry` hands these out as exclusive references, once.
    static mut SCRATCH: [f32; ARENA] = [0.0; ARENA];
    static mut PIXELS: [u8; MAX_PIXELS] = [0; MAX_PIXELS];
    static mut EMBEDDING: [f32; MAX_EMBEDDING] = [0.0; MAX_EMBEDDING];

    let Ok(mut console) = hio::hstdout() else { halt(false) };
    let arena = Arena { scratch: SCRATCH, pixels: PIXELS, embedding: EMBEDDING };
    let passed = run(arena, &mut console).is_ok_and(|passed| passed);
    halt(passed)
}

/// Labels everything with everything; whether all went as on the host.
fn run(mut arena: Arena<'_>, console: &mut hio::HostStream) -> Result<bool, core::fmt::Error> {
    writeln!(console, "edgelip on {} with {} kernels", env!("MACHINE"), Kernels::compiled().name())?;
    let mut passed = true;
    for (name, bytes) in flash::MODELS {
        passed &= run_model(name, bytes, &mut arena, console)?;
    }
    let (deepest, reserved) = (stack::deepest(), stack::reserved());
    writeln!(
        console,
        "arena: {} bytes; deepest stack: {deepest} of {reserved} bytes",
        4 * (ARENA + MAX_EMBEDDING) + MAX_PIXELS
    )?;
    // Used up to its last word, it may have gone on into the arena.
    passed &= deepest < reserved;
    writeln!(console, "{}", if passed { "passed" } else { "FAILED" })?;
    Ok(passed)
}

fn run_model(
    name: &str,
    bytes: &[u8],
    arena: &mut Arena<'_>,
    console: &mut hio::HostStream,
) -> Result<bool, core::fmt::Error> {
    if bytes.iter().take(ERASED).all(|&byte| byte == 0xFF) {
        writeln!(console, "model `{name}` at {:p}: missing, the flash is erased", bytes.as_ptr())?;
        return Ok(false);
    }
    // Borrowed where it was made: taken out of its result it would be on the stack a second time.
    let opened = Vision::open(bytes, Kernels::compiled());
    let vision = match &opened {
        Ok(vision) => vision,
        Err(error) => {
            writeln!(console, "model `{name}` at {:p}: {error}", bytes.as_ptr())?;
            return Ok(false);
        }
    };
    writeln!(
        console,
        "model `{name}` at {:p}: {} bytes, {} thousand multiply-adds, {} of {ARENA} floats",
        bytes.as_ptr(),
        bytes.len(),
        (vision.plan().macs() / 1000) as u32,
        vision.scratch_len(1).unwrap_or(usize::MAX),
    )?;
    // Instructions of a label are counted as the difference that ten more make.
    let times = if option_env!("REPEAT") == Some(name) { 11 } else { 1 };
    for (photo, data) in flash::PHOTOS {
        let image = Rgb { data, height: flash::PHOTO_HEIGHT, width: flash::PHOTO_WIDTH };
        let mut labelled = label(vision, image, arena);
        for _ in 1..times {
            labelled = label(vision, image, arena);
        }
        match labelled {
            Ok(labelled) if report(vision, name, photo, &labelled, console)? => {}
            Ok(_) => return Ok(false),
            Err(error) => {
                writeln!(console, "photo `{photo}`: {error}")?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Prints the best labels; whether all scores are the host's.
fn report(
    vision: &Vision<'_>,
    model: &str,
    photo: &str,
    labelled: &Labelled,
    console: &mut hio::HostStream,
) -> Result<bool, core::fmt::Error> {
    let (Some(bank), Some(golden)) = (vision.labels(), golden::scores(model, photo)) else {
        writeln!(console, "photo `{photo}`: nothing to compare with")?;
        return Ok(false);
    };
    write!(console, "  {photo:8}")?;
    let mut top = [0; TOP];
    let found = classify::top_k(labelled.scores(), &mut top);
    for &index in top.iter().take(found) {
        let hundredths = (labelled.scores().at(index) * 1e4 + 0.5) as u32;
        write!(console, "{} {}.{:02} %  ", bank.name(index).unwrap_or("?"), hundredths / 100, hundredths % 100)?;
    }

    let (mut agree, mut worst) = (golden.len() == bank.len(), 0.0f32);
    for (name, score) in bank.names().zip(labelled.scores()) {
        let expected = golden.iter().find(|golden| golden.0 == name).map_or(f32::INFINITY, |golden| golden.1);
        let off = (score - expected).abs();
        worst = worst.max(off);
        // Also false for what is not a number.
        agree &= off <= TOLERANCE;
    }
    writeln!(console, "(off by {} millionths)", (worst * 1e6) as u32)?;
    Ok(agree)
}
