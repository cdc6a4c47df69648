//! The trainable tensors, by name, in the order they were made.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use crate::random::Stream;

/// One trainable tensor.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in checkpoints.
    pub name: String,
    /// A leaf that collects a gradient.
    pub tensor: Tensor,
    /// Whether weight decay applies: to matrices of linear layers only.
    pub decays: bool,
}

/// All trainable tensors. Layers share them with [`Tensor::shallow_clone`]: both see every in-place update.
#[derive(Debug)]
pub struct Parameters {
    all: RefCell<Vec<Parameter>>,
    seed: u64,
    device: Device,
}

/// How a tensor starts.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// One value everywhere.
    Constant(f64),
    /// A normal distribution around 0 with this standard deviation.
    Normal(f32),
}

impl Parameters {
    /// None yet.
    pub fn new(seed: u64, device: Device) -> Self {
        Parameters { all: RefCell::default(), seed, device }
    }

    /// A new tensor with weight decay.
    pub fn matrix(&self, name: &str, shape: &[i64], start: Start) -> Tensor {
        self.add(name, shape, start, true)
    }

    /// A new tensor without weight decay.
    pub fn vector(&self, name: &str, shape: &[i64], start: Start) -> Tensor {
        self.add(name, shape, start, false)
    }

    fn add(&self, name: &str, shape: &[i64], start: Start, decays: bool) -> Tensor {
        let mut all = self.all.borrow_mut();
        let tensor = match start {
            Start::Constant(value) => Tensor::full(shape, value, (Kind::Float, self.device)),
            Start::Normal(deviation) => {
                // Not libtorch's generator: its stream differs between devices and versions.
                let mut stream = Stream::new(&[self.seed, 0x1217, all.len() as u64]);
                let count = shape.iter().product::<i64>() as usize;
                let values: Vec<f32> = (0..count).map(|_| deviation * stream.normal()).collect();
                Tensor::from_slice(&values).reshape(shape).to_device(self.device)
            }
        };
        let tensor = tensor.set_requires_grad(true);
        all.push(Parameter { name: name.into(), tensor: tensor.shallow_clone(), decays });
        tensor
    }

    /// Where the tensors live.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The tensors, once all layers are made.
    pub fn into_inner(self) -> Vec<Parameter> {
        self.all.into_inner()
    }
}
