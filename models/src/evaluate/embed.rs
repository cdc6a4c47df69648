//! Embeddings of all images of a data set.

use rayon::prelude::*;
use tch::{Device, Tensor};

use crate::data::{Dataset, square};
use crate::vision::{Features, ImageTower, Merge};

/// Images embedded together.
const BATCH: usize = 128;

/// Unit embeddings `[images, E]` on the CPU, without augmentation.
pub fn embed(tower: &ImageTower, dataset: &Dataset, merge: Option<&Merge>, device: Device) -> Tensor {
    embed_with(tower, dataset, merge, device, &|features| tower.embedding(&features))
}

/// What `choose` takes of each image's features, one row an image, on the CPU.
pub fn embed_with(
    tower: &ImageTower,
    dataset: &Dataset,
    merge: Option<&Merge>,
    device: Device,
    choose: &dyn Fn(Features) -> Tensor,
) -> Tensor {
    let shape = tower.shape();
    let side = shape.image as usize;
    let parts: Vec<Tensor> = dataset
        .items
        .chunks(BATCH)
        .map(|items| {
            let pixels: Vec<Vec<f32>> = items
                .par_iter()
                .map(|item| {
                    let mut planes = square(&item.photo, side);
                    for (plane, (mean, std)) in
                        planes.chunks_exact_mut(side * side).zip(shape.mean.iter().zip(shape.std))
                    {
                        plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
                    }
                    planes
                })
                .collect();
            let images = Tensor::from_slice(&pixels.concat()).view([items.len() as i64, 3, side as i64, side as i64]);
            tch::no_grad(|| choose(tower.forward(&images.to_device(device), merge))).to_device(Device::Cpu)
        })
        .collect();
    Tensor::cat(&parts, 0)
}
