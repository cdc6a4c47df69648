//! Embeddings of all images of a data set.

use tch::{Device, Tensor};

use crate::data::{Dataset, normalise, square};
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
            let images = normalise(items.len(), side, shape, |row| square(&items[row].photo, side));
            tch::no_grad(|| choose(tower.forward(&images.to_device(device), merge))).to_device(Device::Cpu)
        })
        .collect();
    Tensor::cat(&parts, 0)
}
