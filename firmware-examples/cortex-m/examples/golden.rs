//! Prints `golden.txt`: the firmware's own code on the host. `golden.sh` runs it.
//!
//! Columns, between tabs: model, photo, label, score.

use edgelip_cortex_m::flash::{MODELS, PHOTO_HEIGHT, PHOTO_WIDTH, PHOTOS};
use edgelip_cortex_m::labeller::{Arena, MAX_PIXELS, label};
use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Error, Kernels, Vision};

fn main() -> Result<(), Error> {
    let mut scratch = vec![0.0; 1 << 20];
    let mut arena = Arena { scratch: &mut scratch, pixels: &mut [0; MAX_PIXELS] };
    for (model, bytes) in MODELS {
        // The kernels that the firmware has. Vector kernels add in another order, and an 8-bit input may then round the other way.
        let vision = Vision::open(bytes, Kernels::generic())?;
        let bank = vision.labels().ok_or(Error::TooLarge)?;
        for (photo, data) in PHOTOS {
            let image = Rgb { data, height: PHOTO_HEIGHT, width: PHOTO_WIDTH };
            let labelled = label(&vision, image, &mut arena)?;
            for (name, score) in bank.names().zip(labelled.scores()) {
                println!("{model}\t{photo}\t{name}\t{score:.7}");
            }
        }
    }
    Ok(())
}
