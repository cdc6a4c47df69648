//! Runs a model a number of times, on one thread.

use std::error::Error;

use arm_cost::{Arguments, aligned, noise, print};
use edgelip_kernels::cast;
use edgelip_runtime::{Kernels, Single, Vision};

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { model, times } = Arguments::read()?;
    let (file, len) = aligned(&model)?;
    let vision = Vision::open(&cast::bytes(&file)[..len], Kernels::detect())?;
    let [height, width] = vision.shape().image;
    let pixels = noise(height, width);
    let mut scratch = vec![0.0; vision.scratch_len(1)?];
    let mut embedding = vec![0.0; vision.shape().embedding];
    for _ in 0..times {
        vision.embed(&pixels, &mut scratch, &Single, &mut embedding)?;
    }
    print(vision.kernels().name(), &embedding);
    Ok(())
}
