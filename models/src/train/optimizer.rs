//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) and Muon with gradient clipping, their state open to checkpoints.

use tch::{Kind, Tensor};

use super::{Flat, learning_rate, muon};
use crate::config::Train;

/// The optimiser's memory, as buffers laid out like the parameters' one.
#[derive(Debug)]
pub struct Optimizer {
    /// Means of gradients.
    pub first: Tensor,
    /// Means of squared gradients, of the elements that are changed one by one: orthogonalised changes need none.
    pub second: Tensor,
}

impl Optimizer {
    /// Nothing remembered yet.
    pub fn new(flat: &Flat) -> Self {
        let first = flat.values.zeros_like();
        Optimizer { second: first.narrow(0, 0, flat.scaled).zeros_like(), first }
    }

    /// One step along a gradient laid out like the parameters; its norm before clipping.
    pub fn step(&mut self, flat: &Flat, mut gradient: Tensor, train: &Train, step: u64) -> f64 {
        tch::no_grad(|| {
            let norm = gradient.square().sum(Kind::Double).sqrt().double_value(&[]);
            if norm > train.clip {
                let _ = gradient.g_mul_scalar_(train.clip / norm);
            }
            let _ = self.first.lerp_(&gradient, 1.0 - train.betas[0]);
            let mut changes = vec![self.scaled(&gradient.narrow(0, 0, flat.scaled), train, step as i32 + 1)];
            if !flat.stacks.is_empty() {
                // Nesterov's look ahead: the momentum as it will be if the gradient stays.
                let ahead = self.first.lerp(&gradient, 1.0 - train.betas[0]);
                let mut first = flat.scaled;
                for stack in &flat.stacks {
                    let count = stack.iter().product();
                    let momenta = ahead.narrow(0, first, count).view(*stack);
                    changes.push(muon::changes(&momenta, train.precision.kind()).view([-1]));
                    first += count;
                }
            }
            let rate = learning_rate(train, step);
            let mut values = flat.values.shallow_clone();
            let decayed = values.size()[0] - flat.vectors;
            let _ = values.narrow(0, flat.vectors, decayed).g_mul_scalar_(1.0 - rate * train.weight_decay);
            let _ = values.g_sub_(&(Tensor::cat(&changes, 0) * rate));
            norm
        })
    }

    /// Adam's change, `number` counted from 1: the mean gradient over the root of the mean square, both freed from their start at zero.
    fn scaled(&mut self, gradient: &Tensor, train: &Train, number: i32) -> Tensor {
        let correction = |beta: f64| 1.0 - beta.powi(number);
        let [beta1, beta2] = train.betas;
        let _ = self.second.lerp_(&gradient.square(), 1.0 - beta2);
        let root = correction(beta2).sqrt();
        let spread = self.second.sqrt().g_div_scalar_(root).g_add_scalar_(train.epsilon);
        (self.first.narrow(0, 0, gradient.size()[0]) / spread).g_div_scalar_(correction(beta1))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{self, Precision, Schedule};
    use crate::parameters::{Parameter, Role};
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
        let flat = Flat::new(&parameters, config.optimizer);
        let mut optimizer = Optimizer::new(&flat);
        let (mut x, mut m, mut v) = (1f64, 0f64, 0f64);
        for step in 0..2 {
            let loss = (&tensor * &tensor * 3.0).sum(Kind::Double);
            let gradients = Tensor::run_backward(&[loss], &[&tensor], false, false);
            let norm = optimizer.step(&flat, flat.gather(&gradients), &config, step);
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
        let flat = Flat::new(&parameters, config.optimizer);
        let mut optimizer = Optimizer::new(&flat);
        let loss = || (&tensor - &target).square().sum(Kind::Float);
        let first = loss().double_value(&[]);
        for step in 0..100 {
            let gradients = Tensor::run_backward(&[loss()], &[&tensor], false, false);
            optimizer.step(&flat, flat.gather(&gradients), &config, step);
        }
        assert!(loss().double_value(&[]) < 0.05 * first);
        assert_eq!(optimizer.second.numel(), 0);
    }
}
