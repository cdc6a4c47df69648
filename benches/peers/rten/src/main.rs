//! rten as a peer of `edgelip bench`: loads a model, runs it once, then once more for each line it is given. See benches/README.md.
//!
//!     cargo build --release                                               (in this folder)
//!     edgelip bench model.onnx --peer "rten=benches/peers/rten/target/release/rten-peer"
//!
//! It takes files of 32-bit floats: rten 0.24 reads no 16-bit ones, which int8 files have too.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let argument = |name: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).ok_or(format!("{name} is missing"))
    };
    let pixels = read(&argument("--input")?)?;
    let pool = ThreadPool::with_num_threads(argument("--threads")?.parse()?);
    let options = RunOptions::default().with_thread_pool(Some(Arc::new(pool)));

    let start = Instant::now();
    let model = ModelOptions::with_all_ops().load_file(argument("--model")?)?;
    let load_ms = milliseconds(start);
    let ids = (model.node_id("pixel_values")?, model.node_id("image_embeds")?);
    let start = Instant::now();
    let output = run(&model, ids, &pixels, &options)?;
    let first_ms = milliseconds(start);

    let output: Vec<String> = output.iter().map(|value| format!("{value:e}")).collect();
    let mut out = io::stdout().lock();
    writeln!(out, r#"{{"load_ms": {load_ms}, "first_ms": {first_ms}, "output": [{}]}}"#, output.join(","))?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        run(&model, ids, &pixels, &options)?;
        writeln!(out, "{:.4}", milliseconds(start))?;
        out.flush()?;
    }
    Ok(())
}

fn run(
    model: &Model,
    (input, output): (NodeId, NodeId),
    pixels: &NdTensor<f32, 4>,
    options: &RunOptions,
) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut outputs = model.run(vec![(input, pixels.view().into())], &[output], Some(options.clone()))?;
    let embedding: NdTensor<f32, 2> = outputs.pop().ok_or("no output")?.try_into()?;
    Ok(embedding.to_vec())
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Reads a NumPy file with floats `[1, 3, H, W]`.
fn read(path: &str) -> Result<NdTensor<f32, 4>, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let length = bytes.get(8..10).ok_or("not a NumPy file")?;
    let start = 10 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    let header = std::str::from_utf8(bytes.get(10..start).ok_or("not a NumPy file")?)?;
    let dims = header.split_once('(').and_then(|(_, rest)| rest.split_once(')')).ok_or("no shape")?.0;
    let dims: Vec<usize> =
        dims.split(',').map(str::trim).filter(|dim| !dim.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
    let shape: [usize; 4] = dims.try_into().map_err(|_| "not four dimensions")?;
    let (floats, _) = bytes[start..].as_chunks::<4>();
    let values: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if values.len() != shape.iter().product() {
        return Err("the values do not fill the shape".into());
    }
    Ok(NdTensor::from_data(shape, values))
}
