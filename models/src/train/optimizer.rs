//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) and Muon with gradient clipping, their state open to checkpoints.

use tch::{Kind, Tensor};

use super::{learning_rate, muon};
use crate::config::{self, Train};
use crate::parameters::{Parameter, Role};

/// The optimiser's memory for each parameter.
#[derive(Debug)]
pub struct Optimizer {
    /// Means of gradients.
    pub first: Vec<Tensor>,
    /// Means of squared gradients; empty where orthogonalised changes need none.
    pub second: Vec<Tensor>,
}

/// What one step has in common for all parameters.
struct Step<'a> {
    train: &'a Train,
    /// Counted from 1.
    number: i32,
    rate: f64,
}

impl Optimizer {
    /// Nothing remembered yet.
    pub fn new(parameters: &[Parameter], kind: config::Optimizer) -> Self {
        let zeros = |parameter: &Parameter| parameter.tensor.zeros_like().detach();
        let second = |parameter: &Parameter| match stacked(parameter, kind) {
            Some(_) => Tensor::zeros([0], (Kind::Float, parameter.tensor.device())),
            None => zeros(parameter),
        };
        Optimizer { first: parameters.iter().map(zeros).collect(), second: parameters.iter().map(second).collect() }
    }

    /// One step along `gradients`, one for each parameter, undefined where there is none; their norm before clipping.
    pub fn step(&mut self, parameters: &[Parameter], gradients: Vec<Tensor>, train: &Train, step: u64) -> f64 {
        tch::no_grad(|| {
            let squares: Vec<Tensor> = gradients
                .iter()
                .filter(|gradient| gradient.defined())
                .map(|gradient| gradient.square().sum(Kind::Float))
                .collect();
            let norm = Tensor::stack(&squares, 0).sum(Kind::Double).sqrt().double_value(&[]);
            let shrink = if norm > train.clip { train.clip / norm } else { 1.0 };
            let step = Step { train, number: step as i32 + 1, rate: learning_rate(train, step) };
            for (i, (parameter, mut gradient)) in parameters.iter().zip(gradients).enumerate() {
                if !gradient.defined() {
                    continue;
                }
                if shrink < 1.0 {
                    let _ = gradient.g_mul_scalar_(shrink);
                }
                let _ = self.first[i].lerp_(&gradient, 1.0 - train.betas[0]);
                let change = match stacked(parameter, train.optimizer) {
                    // Nesterov's look ahead: the momentum as it will be if the gradient stays.
                    Some(layers) => {
                        let ahead = self.first[i].lerp(&gradient, 1.0 - train.betas[0]);
                        muon::change(&ahead, layers, train.precision.kind())
                    }
                    None => self.scaled(i, &gradient, &step),
                };
                let mut tensor = parameter.tensor.shallow_clone();
                if parameter.role != Role::Vector {
                    let _ = tensor.g_mul_scalar_(1.0 - step.rate * train.weight_decay);
                }
                let _ = tensor.g_sub_(&(change * step.rate));
            }
            norm
        })
    }

    /// Adam's change: the mean gradient over the root of the mean square, both freed from their start at zero.
    fn scaled(&mut self, i: usize, gradient: &Tensor, step: &Step<'_>) -> Tensor {
        let correction = |beta: f64| 1.0 - beta.powi(step.number);
        let [beta1, beta2] = step.train.betas;
        let _ = self.second[i].lerp_(&gradient.square(), 1.0 - beta2);
        let root = correction(beta2).sqrt();
        let spread = self.second[i].sqrt().g_div_scalar_(root).g_add_scalar_(step.train.epsilon);
        (&self.first[i] / spread).g_div_scalar_(correction(beta1))
    }
}

/// How many matrices a parameter stacks, if its changes are orthogonalised.
fn stacked(parameter: &Parameter, kind: config::Optimizer) -> Option<i64> {
    match (kind, parameter.role) {
        (config::Optimizer::Muon, Role::Hidden(layers)) => Some(layers),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Precision, Schedule};
    use tch::Device;

    pub fn train() -> Train {
        Train {
            steps: 100,
            batch: 2,
            sides: vec![],
            accumulate: 1,
            warmup: 10,
            learning_rate: 0.1,
            final_rate: 0.01,
            schedule: Schedule::Cosine,
            optimizer: config::Optimizer::AdamW,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.5,
            clip: 1.0,
            ema: 0.9,
            precision: Precision::F32,
            checkpoint_minutes: 1.0,
        }
    }

    #[test]
    fn two_steps_of_adam_by_hand() {
        let tensor = Tensor::from_slice(&[1f64]).to_device(Device::Cpu).set_requires_grad(true);
        let parameters = [Parameter { name: "x".into(), tensor: tensor.shallow_clone(), role: Role::Edge }];
        let config = Train { warmup: 0, final_rate: 0.1, ..train() };
        let mut optimizer = Optimizer::new(&parameters, config.optimizer);
        let (mut x, mut m, mut v) = (1f64, 0f64, 0f64);
        for step in 0..2 {
            let loss = (&tensor * &tensor * 3.0).sum(Kind::Double);
            let gradients = Tensor::run_backward(&[loss], &[&tensor], false, false);
            let norm = optimizer.step(&parameters, gradients, &config, step);
            let gradient = 6.0 * x;
            assert!((norm - gradient).abs() < 1e-5);
            let clipped = gradient / gradient.abs().max(1.0);
            m = 0.9 * m + 0.1 * clipped;
            v = 0.999 * v + 0.001 * clipped * clipped;
            let t = step as i32 + 1;
            x = x * (1.0 - 0.1 * 0.5)
                - 0.1 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
            assert!((tensor.double_value(&[0]) - x).abs() < 1e-6, "step {step}");
        }
    }

    #[test]
    fn muon_goes_downhill_along_all_directions_alike() {
        let target = Tensor::randn([4, 8], (Kind::Float, Device::Cpu));
        let tensor = Tensor::zeros([4, 8], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let parameters = [Parameter { name: "x".into(), tensor: tensor.shallow_clone(), role: Role::Hidden(1) }];
        let config =
            Train { optimizer: config::Optimizer::Muon, weight_decay: 0.0, warmup: 0, learning_rate: 0.2, ..train() };
        let mut optimizer = Optimizer::new(&parameters, config.optimizer);
        let loss = || (&tensor - &target).square().sum(Kind::Float);
        let first = loss().double_value(&[]);
        for step in 0..100 {
            let gradients = Tensor::run_backward(&[loss()], &[&tensor], false, false);
            optimizer.step(&parameters, gradients, &config, step);
        }
        assert!(loss().double_value(&[]) < 0.05 * first);
        assert_eq!(optimizer.second[0].numel(), 0);
    }
}
