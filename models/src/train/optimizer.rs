//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with gradient clipping, its state open to checkpoints.

use tch::{Kind, Tensor};

use crate::config::Train;
use crate::parameters::Parameter;

/// The optimiser's memory: a mean of the gradient and of its square for each parameter.
#[derive(Debug)]
pub struct AdamW {
    /// Means of gradients.
    pub first: Vec<Tensor>,
    /// Means of squared gradients.
    pub second: Vec<Tensor>,
}

/// The learning rate of a step: linear warm-up, then half a cosine (Loshchilov and Hutter, arXiv 1608.03983).
pub fn learning_rate(train: &Train, step: u64) -> f64 {
    if step < train.warmup {
        return train.learning_rate * (step + 1) as f64 / train.warmup as f64;
    }
    let progress = (step - train.warmup) as f64 / (train.steps.saturating_sub(train.warmup)).max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
    train.final_rate + (train.learning_rate - train.final_rate) * cosine
}

impl AdamW {
    /// Nothing remembered yet.
    pub fn new(parameters: &[Parameter]) -> Self {
        let zeros = || parameters.iter().map(|parameter| parameter.tensor.zeros_like().detach()).collect();
        AdamW { first: zeros(), second: zeros() }
    }

    /// One step along the collected gradients, which are emptied; the gradient's norm before clipping.
    pub fn step(&mut self, parameters: &[Parameter], train: &Train, step: u64) -> f64 {
        tch::no_grad(|| {
            let gradients: Vec<Tensor> = parameters.iter().map(|parameter| parameter.tensor.grad()).collect();
            let squares: Vec<Tensor> = gradients
                .iter()
                .filter(|gradient| gradient.defined())
                .map(|gradient| gradient.square().sum(Kind::Float))
                .collect();
            let norm = Tensor::stack(&squares, 0).sum(Kind::Double).sqrt().double_value(&[]);
            let shrink = if norm > train.clip { train.clip / norm } else { 1.0 };
            let rate = learning_rate(train, step);
            let [beta1, beta2] = train.betas;
            let correction = |beta: f64| 1.0 - beta.powf((step + 1) as f64);
            let root = correction(beta2).sqrt();
            for (i, (parameter, mut gradient)) in parameters.iter().zip(gradients).enumerate() {
                if !gradient.defined() {
                    continue;
                }
                if shrink < 1.0 {
                    let _ = gradient.g_mul_scalar_(shrink);
                }
                let _ = self.first[i].lerp_(&gradient, 1.0 - beta1);
                let _ = self.second[i].lerp_(&gradient.square(), 1.0 - beta2);
                let mut tensor = parameter.tensor.shallow_clone();
                if parameter.decays {
                    let _ = tensor.g_mul_scalar_(1.0 - rate * train.weight_decay);
                }
                let spread = self.second[i].sqrt().g_div_scalar_(root).g_add_scalar_(train.epsilon);
                let change = (&self.first[i] / spread).g_mul_scalar_(rate / correction(beta1));
                let _ = tensor.g_sub_(&change);
                parameter.tensor.shallow_clone().zero_grad();
            }
            norm
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use tch::Device;

    fn train() -> Train {
        Train {
            steps: 100,
            batch: 2,
            accumulate: 1,
            warmup: 10,
            learning_rate: 0.1,
            final_rate: 0.01,
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
    fn the_rate_warms_up_peaks_and_ends() {
        let rate = |step| learning_rate(&train(), step);
        assert!((rate(0) - 0.01).abs() < 1e-12 && (rate(4) - 0.05).abs() < 1e-12);
        assert!((rate(10) - 0.1).abs() < 1e-12 && (rate(55) - 0.055).abs() < 1e-12 && (rate(100) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn two_steps_by_hand() {
        let tensor = Tensor::from_slice(&[1f64]).to_device(Device::Cpu).set_requires_grad(true);
        let parameters = [Parameter { name: "x".into(), tensor: tensor.shallow_clone(), decays: true }];
        let mut optimizer = AdamW::new(&parameters);
        let config = Train { warmup: 0, final_rate: 0.1, ..train() };
        let (mut x, mut m, mut v) = (1f64, 0f64, 0f64);
        for step in 0..2 {
            (&tensor * &tensor * 3.0).sum(Kind::Double).backward();
            let norm = optimizer.step(&parameters, &config, step);
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
}
