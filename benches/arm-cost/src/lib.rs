//! What both programs have in common: their arguments, and an input that is the same for both.

use std::error::Error;

/// The model's path and how often to run it.
pub struct Arguments {
    /// An image tower as edgelip exports it.
    pub model: String,
    /// Number of inferences.
    pub times: usize,
}

impl Arguments {
    /// Reads `MODEL TIMES`.
    ///
    /// # Errors
    /// If they are not there.
    pub fn read() -> Result<Self, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let (Some(model), Some(times)) = (arguments.next(), arguments.next()) else {
            return Err("usage: MODEL TIMES".into());
        };
        Ok(Arguments { model, times: times.parse()? })
    }
}

/// Pixels `[H, W, 3]` of noise.
pub fn noise(height: usize, width: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..height * width * 3).map(|_| next()).collect()
}

/// A file's bytes, aligned for `f32`s.
///
/// # Errors
/// If it can't be read.
pub fn aligned(path: &str) -> std::io::Result<(Vec<f32>, usize)> {
    let bytes = std::fs::read(path)?;
    let mut floats = vec![0.0; bytes.len().div_ceil(size_of::<f32>())];
    edgelip_kernels::cast::bytes_mut(&mut floats)[..bytes.len()].copy_from_slice(&bytes);
    Ok((floats, bytes.len()))
}

/// The first values of an embedding, to see that both programs compute the same.
pub fn print(kernels: &str, embedding: &[f32]) {
    let length = embedding.iter().map(|value| value * value).sum::<f32>().sqrt();
    let first: Vec<String> = embedding.iter().map(|value| format!("{:.6}", value / length)).collect();
    println!("{kernels}: {}", first.join(" "));
}
