//! Prints `golden.txt`: the firmware's own code on the host. `golden.sh` runs it.
//!
//! Columns, between tabs: model, photo, label, score.

use edgelip_cortex_m::flash::{MODELS, PHOTO_HEIGHT, PHOTO_WIDTH, PHOTOS};
use edgelip_cortex_m::labeller::{Arena, MAX_EMBEDDING, MAX_PIXELS, label};
use edgelip_runtime::image::Rgb;
use edgelip_runtime::{Error, Kernels, Vision};

fn main() -> Result<(), Error> {
    let mut scratch = vec![0.0; 1 << 20];
    let mut arena = Arena { scratch: &mut scratch, pixels: &mut [0; MAX_PIXELS], embedding: &mut [0.0; MAX_EMBEDDING] };
    for (model, bytes) in MODELS {
        // The best that this machine has, as `edgelip classify` takes them. All give the same bits.
        let vision = Vision::open(bytes, Kernels::detect())?;
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
