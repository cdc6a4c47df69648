//! Runs a model a number of times by onnxruntime, on one thread. `ORT_DYLIB_PATH` says where its library is.

use std::error::Error;

use arm_cost::{Arguments, aligned, noise, print};
use edgelip_kernels::cast;
use edgelip_runtime::{Kernels, Vision};
use ort::session::Session;
use ort::value::Tensor;

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { model, times } = Arguments::read()?;
    // Opened for what it says of its input.
    let (file, len) = aligned(&model)?;
    let vision = Vision::open(&cast::bytes(&file)[..len], Kernels::generic())?;
    let [height, width] = vision.shape().image;
    let mut values = vec![0.0; 3 * height * width];
    vision.preprocess().normalize(&noise(height, width), &mut values)?;

    let environment = ort::environment::init_from(std::env::var("ORT_DYLIB_PATH")?)?.build()?;
    let builder = Session::builder(&environment)?.with_intra_threads(1)?.with_inter_threads(1)?;
    let mut session = { builder }.commit_from_file(&model)?;
    let mut embedding = vec![0.0; vision.shape().embedding];
    for _ in 0..times {
        let input = Tensor::from_array(([1, 3, height, width], values.clone()))?;
        let outputs = session.run(ort::inputs!["pixel_values" => input])?;
        embedding.copy_from_slice(outputs["image_embeds"].try_extract_tensor::<f32>()?.1);
    }
    print("onnxruntime", &embedding);
    Ok(())
}
