//! All parameters in one buffer: what the optimiser does to them is a few large operations instead of a dozen small ones for each, which
//! take longer to start on a GPU than to run.

use tch::{Kind, Tensor};

use crate::config::Optimizer;
use crate::parameters::{Parameter, Role};

/// The buffer and what lies where: vectors, then edge matrices, then hidden ones, those of one shape side by side.
#[derive(Debug)]
pub struct Flat {
    /// All values; the parameters' own tensors are parts of it.
    pub values: Tensor,
    parts: Vec<Part>,
    /// The parameters in the buffer's order.
    order: Vec<usize>,
    /// Elements that have no weight decay, the first ones.
    pub vectors: i64,
    /// Elements that are changed element by element, the first ones.
    pub scaled: i64,
    /// Stacks of matrices `[count, out, in]` that are changed as matrices, one after the other behind the `scaled` ones.
    pub stacks: Vec<[i64; 3]>,
}

/// One parameter's place.
#[derive(Debug)]
struct Part {
    first: i64,
    shape: Vec<i64>,
}

impl Flat {
    /// Moves the parameters into one buffer. Whoever shares their tensors keeps sharing them.
    pub fn new(parameters: &[Parameter], kind: Optimizer) -> Flat {
        let place = |parameter: &Parameter| match (kind, parameter.role) {
            (_, Role::Vector) => (0, [0; 3]),
            (Optimizer::Muon, Role::Hidden(layers)) => {
                let rows = parameter.tensor.size()[0] / layers;
                let columns = parameter.tensor.numel() as i64 / (layers * rows).max(1);
                (2, [rows, columns, layers])
            }
            _ => (1, [0; 3]),
        };
        let places: Vec<(u8, [i64; 3])> = parameters.iter().map(place).collect();
        let mut order: Vec<usize> = (0..parameters.len()).collect();
        order.sort_by_key(|&i| (places[i].0, places[i].1[0], places[i].1[1]));

        let mut parts: Vec<Part> =
            parameters.iter().map(|parameter| Part { first: 0, shape: parameter.tensor.size() }).collect();
        let (mut count, mut vectors, mut scaled) = (0, 0, 0);
        let mut stacks: Vec<[i64; 3]> = Vec::new();
        for &i in &order {
            parts[i].first = count;
            count += parameters[i].tensor.numel() as i64;
            match places[i] {
                (0, _) => (vectors, scaled) = (count, count),
                (1, _) => scaled = count,
                (_, [rows, columns, layers]) => match stacks.last_mut() {
                    Some(last) if last[1..] == [rows, columns] => last[0] += layers,
                    _ => stacks.push([layers, rows, columns]),
                },
            }
        }
        let values: Vec<Tensor> =
            order.iter().map(|&i| parameters[i].tensor.detach().contiguous().view([-1])).collect();
        let flat = Flat { values: Tensor::cat(&values, 0), parts, order, vectors, scaled, stacks };
        tch::no_grad(|| {
            for (i, parameter) in parameters.iter().enumerate() {
                parameter.tensor.shallow_clone().set_data(&flat.part(&flat.values, i));
            }
        });
        flat
    }

    /// The part of a buffer laid out like this one that belongs to a parameter, in its shape; empty where the buffer ends before it.
    pub fn part(&self, buffer: &Tensor, parameter: usize) -> Tensor {
        let Part { first, shape } = &self.parts[parameter];
        if *first >= buffer.numel() as i64 {
            return Tensor::zeros([0], (Kind::Float, buffer.device()));
        }
        buffer.narrow(0, *first, shape.iter().product()).view(shape.as_slice())
    }

    /// Gradients, one for each parameter, as such a buffer: zeros where there are none.
    pub fn gather(&self, gradients: &[Tensor]) -> Tensor {
        let one = |&i: &usize| match gradients[i].defined() {
            true => gradients[i].contiguous().view([-1]),
            false => Tensor::zeros([self.parts[i].shape.iter().product()], (Kind::Float, self.values.device())),
        };
        Tensor::cat(&self.order.iter().map(one).collect::<Vec<_>>(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn parameter(name: &str, shape: &[i64], first: i64, role: Role) -> Parameter {
        let count: i64 = shape.iter().product();
        let tensor = (Tensor::arange(count, (Kind::Float, Device::Cpu)) + first as f64).view(shape);
        Parameter { name: name.into(), tensor: tensor.set_requires_grad(true), role }
    }

    #[test]
    fn parameters_become_parts_of_the_buffer_and_stay_shared() {
        let all = [
            parameter("qkv", &[6, 2], 0, Role::Hidden(3)),
            parameter("bias", &[3], 100, Role::Vector),
            parameter("convolution", &[4, 1, 2, 1], 200, Role::Hidden(1)),
            parameter("out", &[2, 2], 300, Role::Hidden(1)),
            parameter("embedding", &[2, 3], 400, Role::Edge),
            parameter("scale", &[], 500, Role::Vector),
        ];
        let shared = all[0].tensor.shallow_clone();
        let flat = Flat::new(&all, Optimizer::Muon);
        assert_eq!((flat.vectors, flat.scaled, flat.stacks.as_slice()), (4, 10, [[4, 2, 2], [1, 4, 2]].as_slice()));
        for (i, parameter) in all.iter().enumerate() {
            assert_eq!(flat.part(&flat.values, i), parameter.tensor);
            assert!(parameter.tensor.requires_grad());
        }
        tch::no_grad(|| {
            let _ = flat.values.shallow_clone().g_add_scalar_(1.0);
        });
        assert_eq!((shared.double_value(&[5, 1]), all[5].tensor.double_value(&[])), (12.0, 501.0));
        assert_eq!(flat.part(&Tensor::zeros([10], (Kind::Float, Device::Cpu)), 0).numel(), 0);
        assert_eq!(Flat::new(&all, Optimizer::AdamW).scaled, 34);

        let loss = (&shared * 2.0).sum(Kind::Float) + &all[5].tensor * 3.0;
        let tensors: Vec<Tensor> = [&all[0], &all[5]].map(|parameter| parameter.tensor.shallow_clone()).into();
        let found = Tensor::run_backward(&[loss], &tensors, false, false);
        let mut gradients: Vec<Tensor> = (0..6).map(|_| Tensor::new()).collect();
        (gradients[0], gradients[5]) = (found[0].shallow_clone(), found[1].shallow_clone());
        let gathered = flat.gather(&gradients);
        let mean = |i: usize| flat.part(&gathered, i).mean(Kind::Float).double_value(&[]);
        assert_eq!((mean(0), mean(5), mean(1), mean(4)), (2.0, 3.0, 0.0, 0.0));
    }
}
