//! Prints how fast each instruction set of this CPU computes linear layers: `cargo run --release --features std --example peak`.
//!
//! `peak [THREADS] [NAME]` shows only instruction sets whose name contains NAME.

use std::time::Instant;

use edgelip_kernels::{Activation, Kernels, Linear, Panels, Pool, Rows, RowsMut, linear_scratch};

/// Rows, inputs and outputs of layers of ViT-B/32 and ViT-B/16.
const LAYERS: [[usize; 3]; 5] = [[1, 768, 3072], [50, 768, 3072], [50, 3072, 768], [197, 768, 768], [197, 3072, 768]];

/// Weights are taken from so many copies in turn, since a model's layers do not find theirs in the cache.
const COPIES: usize = 12;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let threads = arguments.get(1).and_then(|count| count.parse().ok()).unwrap_or(1);
    let wanted = arguments.get(2).map_or("", String::as_str);
    let pool = Pool::new(threads);
    println!("GFLOP/s (or GOP/s), {threads} threads");
    for kernels in Kernels::available().filter(|kernels| kernels.name().contains(wanted)) {
        for [rows, inputs, outputs] in LAYERS {
            let rates = ["f32", "f16", "i8"].map(|precision| rate(kernels, precision, [rows, inputs, outputs], &pool));
            let [f32s, f16s, i8s] = rates;
            println!(
                "{:12} {rows:4} x {inputs:4} x {outputs:4}   f32 {f32s:7.1}   f16 {f16s:7.1}   i8 {i8s:7.1}",
                kernels.name()
            );
        }
    }
}

fn rate(kernels: Kernels, precision: &str, [rows, inputs, outputs]: [usize; 3], pool: &Pool) -> f64 {
    let x = aligned(rows * inputs);
    let x = Rows::new(&x.0[x.1..], rows, inputs).unwrap();
    let mut y = aligned(rows * outputs);
    let bias = vec![0.5; outputs];
    let floats = aligned(COPIES * inputs * outputs);
    let halves = vec![0x3800u16; COPIES * inputs * outputs];
    let bytes: Vec<i8> = (0..COPIES * inputs * outputs).map(|i| (i * 7 % 255) as i8).collect();
    let (scale, zero) = (vec![1e-3; outputs], vec![0; outputs]);
    let mut scratch = vec![0.0; linear_scratch(rows, inputs)];
    let mut run = |copy: usize| {
        let range = (copy % COPIES) * inputs * outputs..(copy % COPIES + 1) * inputs * outputs;
        let panels = match precision {
            "f32" => Panels::F32(&floats.0[floats.1..][range]),
            "f16" => Panels::F16(&halves[range]),
            _ => Panels::I8 { weight: &bytes[range], scale: &scale, zero: &zero },
        };
        let layer = Linear { panels, bias: &bias, inputs, outputs };
        let y = RowsMut::new(&mut y.0[y.1..], rows, outputs).unwrap();
        kernels.linear(x, &layer, Activation::None, false, y, &mut scratch, pool).unwrap();
    };
    let mut best = f64::INFINITY;
    let start = Instant::now();
    for copy in 0.. {
        let round = Instant::now();
        run(copy);
        best = best.min(round.elapsed().as_secs_f64());
        if start.elapsed().as_millis() > 400 {
            break;
        }
    }
    2e-9 * (rows * inputs * outputs) as f64 / best
}

/// Values, and where among them a cache line begins.
fn aligned(len: usize) -> (Vec<f32>, usize) {
    let values = vec![0.25f32; len + 16];
    let start = values.as_ptr().align_offset(64);
    (values, start)
}
