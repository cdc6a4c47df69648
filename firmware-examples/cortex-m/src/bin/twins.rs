//! Holds the kernels that this core has instructions for against their plain twins, bit by bit: 8-bit layers of every depth up to 70 inputs,
//! for even and odd numbers of rows. The exit code says whether they agree.
#![no_std]
#![no_main]

#[path = "../halt.rs"]
mod halt;

use core::fmt::Write;

use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use edgelip_kernels::{Activation, Kernels, LANES, Linear, Panels, Part, Rows, RowsMut, Single, linear_scratch, math};
use halt::halt;

const MAX_ROWS: usize = 5;
const MAX_INPUTS: usize = 70;
const PANELS: usize = 2;
const OUTPUTS: usize = PANELS * LANES;
const STRIDE: usize = MAX_INPUTS.next_multiple_of(LANES);

/// Room for the largest layer.
struct Bench {
    weight: [i8; MAX_INPUTS.next_multiple_of(4) * OUTPUTS],
    scale: [f32; OUTPUTS],
    zero: [i32; OUTPUTS],
    bias: [f32; OUTPUTS],
    x: [f32; MAX_ROWS * STRIDE],
    scratch: [f32; linear_scratch(MAX_ROWS, MAX_INPUTS)],
}

#[entry]
fn main() -> ! {
    static mut BENCH: Bench = Bench {
        weight: [0; MAX_INPUTS.next_multiple_of(4) * OUTPUTS],
        scale: [0.0; OUTPUTS],
        zero: [0; OUTPUTS],
        bias: [0.0; OUTPUTS],
        x: [0.0; MAX_ROWS * STRIDE],
        scratch: [0.0; linear_scratch(MAX_ROWS, MAX_INPUTS)],
    };
    let Ok(mut console) = hio::hstdout() else { halt(false) };
    let (mut random, mut layers, mut agree) = (Random(1), 0u32, true);
    for inputs in 1..=MAX_INPUTS {
        BENCH.fill(inputs, &mut random);
        for rows in 1..=MAX_ROWS {
            for (activation, accumulate) in [(Activation::None, true), (Activation::Gelu, false)] {
                let mut apply = |kernels| BENCH.apply(kernels, rows, inputs, activation, accumulate);
                let (is, ought) = (apply(Kernels::compiled()), apply(Kernels::generic()));
                agree &= is.is_some() && is.map(bits) == ought.map(bits);
                layers += 1;
            }
        }
    }
    // 1 + 2⁻²³ is what lacks of the square's exact value if it is rounded before the sum.
    let (x, square) = (1.0 + f32::EPSILON, 1.0 + 2.0 * f32::EPSILON);
    let exact = math::fma(x, x, -square) == f32::EPSILON * f32::EPSILON
        && math::sqrt(2.0) == core::f32::consts::SQRT_2
        && (0..=u16::MAX).all(widens);
    let _ = writeln!(
        console,
        "{}: {layers} layers {} their plain twins; scalar instructions {}",
        Kernels::compiled().name(),
        if agree { "have the same bits as" } else { "do NOT all have the bits of" },
        if exact { "round once" } else { "ROUND WRONGLY" },
    );
    halt(agree && exact)
}

/// Whether half precision is widened to what its digits say.
fn widens(half: u16) -> bool {
    let (magnitude, fraction) = (math::f16_to_f32(half & 0x7fff), f32::from(half & 0x3ff));
    let exponent = u32::from(half >> 10 & 31);
    let ought = match exponent {
        31 => return !magnitude.is_finite() && (fraction == 0.0) == magnitude.is_infinite(),
        0 => fraction * f32::from_bits((127 - 24) << 23),
        _ => (1024.0 + fraction) * f32::from_bits((127 - 25 + exponent) << 23),
    };
    magnitude == ought && math::f16_to_f32(half).is_sign_negative() == (half >> 15 == 1)
}

fn bits(values: [f32; MAX_ROWS * OUTPUTS]) -> [u32; MAX_ROWS * OUTPUTS] {
    values.map(f32::to_bits)
}

impl Bench {
    /// A layer of so many inputs, and rows for it.
    fn fill(&mut self, inputs: usize, random: &mut Random) {
        self.zero.fill(0);
        let (steps, _) = self.weight.as_chunks_mut::<{ 4 * LANES }>();
        for (index, step) in steps.iter_mut().enumerate() {
            let (panel, step_of_panel) = (index / inputs.div_ceil(4), index % inputs.div_ceil(4));
            for (lane, weights) in step.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                for (input, weight) in (4 * step_of_panel..).zip(weights) {
                    *weight = if input < inputs { (random.next() % 255) as i8 } else { 0 }.max(-127);
                    if let Some(zero) = self.zero.get_mut(panel * LANES + lane) {
                        *zero += 128 * i32::from(*weight);
                    }
                }
            }
        }
        self.scale.fill_with(|| 0.001 + random.float().abs());
        self.bias.fill_with(|| random.float());
        self.x.fill_with(|| random.float());
    }

    fn apply(
        &mut self,
        kernels: Kernels,
        rows: usize,
        inputs: usize,
        activation: Activation,
        accumulate: bool,
    ) -> Option<[f32; MAX_ROWS * OUTPUTS]> {
        let mut y = [0.5; MAX_ROWS * OUTPUTS];
        let weight = self.weight.part(..inputs.next_multiple_of(4) * OUTPUTS);
        let panels = Panels::I8 { weight, scale: &self.scale, zero: &self.zero };
        let layer = Linear { panels, bias: &self.bias, inputs, outputs: OUTPUTS };
        let x = Rows::new(&self.x, rows, STRIDE).ok()?;
        let out = RowsMut::new(&mut y, rows, OUTPUTS).ok()?;
        kernels.linear(x, &layer, activation, accumulate, out, &mut self.scratch, &Single).ok()?;
        Some(y)
    }
}

/// A small generator of test values.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// Within ±1.
    fn float(&mut self) -> f32 {
        self.next() as f32 / (1 << 23) as f32 - 1.0
    }
}
