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
    /// What the optimiser may take it for.
    pub role: Role,
}

impl Parameter {
    /// The same tensor again.
    fn share(&self) -> Parameter {
        Parameter { name: self.name.clone(), tensor: self.tensor.shallow_clone(), role: self.role }
    }
}

/// What a tensor is to the optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Biases, norms, filters, embeddings: no weight decay.
    Vector,
    /// A matrix at the edge of the network: first or last layer.
    Edge,
    /// So many matrices inside of the network, stacked along the outputs; the kernel of a convolution is a matrix `[out, in · 9]`.
    Hidden(i64),
}

/// All trainable tensors. Layers share them with [`Tensor::shallow_clone`]: both see every in-place update.
#[derive(Debug)]
pub struct Parameters {
    all: RefCell<Vec<Parameter>>,
    /// Tensors to hand out again, in the order they were made.
    shared: Vec<Parameter>,
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
        Parameters { all: RefCell::default(), shared: Vec::new(), seed, device }
    }

    /// Hands out these tensors again instead of new ones: layers made from it share all weights with the ones made before.
    pub fn sharing(parameters: &[Parameter]) -> Self {
        let device = parameters.first().map_or(Device::Cpu, |parameter| parameter.tensor.device());
        let shared = parameters.iter().map(Parameter::share).collect();
        Parameters { all: RefCell::default(), shared, seed: 0, device }
    }

    /// A new matrix at the network's edge.
    pub fn edge(&self, name: &str, shape: &[i64], start: Start) -> Tensor {
        self.add(name, shape, start, Role::Edge)
    }

    /// `stacked` new matrices inside of the network, in one tensor.
    pub fn hidden(&self, name: &str, shape: &[i64], stacked: i64, start: Start) -> Tensor {
        self.add(name, shape, start, Role::Hidden(stacked))
    }

    /// A new tensor without weight decay.
    pub fn vector(&self, name: &str, shape: &[i64], start: Start) -> Tensor {
        self.add(name, shape, start, Role::Vector)
    }

    fn add(&self, name: &str, shape: &[i64], start: Start, role: Role) -> Tensor {
        let mut all = self.all.borrow_mut();
        if let Some(parameter) = self.shared.get(all.len()) {
            assert_eq!(
                (parameter.name.as_str(), parameter.role),
                (name, role),
                "layers are made in the same order again"
            );
            all.push(parameter.share());
            return parameter.tensor.shallow_clone();
        }
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
        all.push(Parameter { name: name.into(), tensor: tensor.shallow_clone(), role });
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
