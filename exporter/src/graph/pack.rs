//! Panels of 16 outputs, as docs/file-format.md lays them out.

use std::io::{self, Write};

use edgelip_kernels::{LANES, padded};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Inputs of an integer layer are taken in groups of this many.
pub(super) const GROUP: usize = 4;

/// A weight quantised to integers.
pub(super) struct Quantised {
    /// `[outputs, inputs]`.
    pub weight: Vec<i8>,
    /// `[padded(outputs)]`.
    pub scale: Vec<f32>,
    /// `[padded(outputs)]`: what inputs offset by 128 add to a sum.
    pub zero: Vec<i32>,
}

/// Quantises `weight [outputs, inputs]`, each output with its own scale.
pub(super) fn quantise(weight: &[f32], inputs: usize) -> Quantised {
    let outputs = weight.len() / inputs;
    let mut scale = Vec::with_capacity(padded(outputs));
    let mut zero = Vec::with_capacity(padded(outputs));
    let mut quantised = Vec::with_capacity(weight.len());
    for row in weight.chunks_exact(inputs) {
        let largest = row.iter().fold(0f32, |largest, w| largest.max(w.abs()));
        let step = if largest / 127.0 > 0.0 { largest / 127.0 } else { 1.0 };
        let start = quantised.len();
        quantised.extend(row.iter().map(|w| (w / step).round_ties_even().clamp(-127.0, 127.0) as i8));
        scale.push(step);
        zero.push(128 * quantised[start..].iter().map(|&w: &i8| i32::from(w)).sum::<i32>());
    }
    scale.resize(padded(outputs), 1.0);
    zero.resize(padded(outputs), 0);
    Quantised { weight: quantised, scale, zero }
}

/// Writes `[padded(outputs) / 16, inputs, 16]` in f32.
pub(super) fn write_f32(weight: &[f32], inputs: usize, out: &mut dyn Write) -> io::Result<()> {
    write_panels(weight, inputs, 1, 0f32, |values, bytes| {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(bytes)
    })
}

/// Writes `[padded(outputs) / 16, inputs, 16]` in f16.
///
/// # Errors
/// Of kind [`io::ErrorKind::InvalidData`] for a weight beyond the range of f16.
pub(super) fn write_f16(weight: &[f32], inputs: usize, out: &mut dyn Write) -> io::Result<()> {
    write_panels(weight, inputs, 1, 0f32, |values, bytes| {
        push_f16(values, bytes)?;
        out.write_all(bytes)
    })
}

/// Writes `[padded(outputs) / 16, padded inputs / 4, 16, 4]` in i8.
pub(super) fn write_i8(weight: &[i8], inputs: usize, out: &mut dyn Write) -> io::Result<()> {
    write_panels(weight, inputs, GROUP, 0i8, |values, bytes| {
        bytes.extend(values.iter().map(|&value| value as u8));
        out.write_all(bytes)
    })
}

/// Appends values as f16.
pub(super) fn push_f16(values: &[f32], bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    if halves.iter().any(|value| !value.is_finite()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a weight is too large for f16: export in f32"));
    }
    bytes.extend(halves.iter().flat_map(|value| value.to_le_bytes()));
    Ok(())
}

/// The nearest f16.
pub(super) fn round_f16(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}

/// Hands out one panel `[inputs / group, 16, group]` after the other, padded with `zero`, and an empty buffer.
fn write_panels<T: Copy>(
    weight: &[T],
    inputs: usize,
    group: usize,
    zero: T,
    mut write: impl FnMut(&[T], &mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let mut panel = vec![zero; inputs.next_multiple_of(group) * LANES];
    let mut bytes = Vec::with_capacity(size_of_val(&panel[..]));
    for rows in weight.chunks(inputs * LANES) {
        panel.fill(zero);
        for (lane, row) in rows.chunks_exact(inputs).enumerate() {
            for (k, &value) in row.iter().enumerate() {
                panel[(k / group * LANES + lane) * group + k % group] = value;
            }
        }
        bytes.clear();
        write(&panel, &mut bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_each_weight_where_the_format_says() {
        let (outputs, inputs) = (19, 6);
        let weight: Vec<f32> = (0..outputs * inputs).map(|i| i as f32 - 50.0).collect();
        let mut bytes = Vec::new();
        write_f32(&weight, inputs, &mut bytes).unwrap();
        let packed: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        assert_eq!(packed.len(), 2 * inputs * 16);
        for n in 0..32 {
            for k in 0..inputs {
                let expected = if n < outputs { weight[n * inputs + k] } else { 0.0 };
                assert_eq!(packed[(n / 16 * inputs + k) * 16 + n % 16], expected);
            }
        }
        let quantised = quantise(&weight, inputs);
        let mut bytes = Vec::new();
        write_i8(&quantised.weight, inputs, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 2 * 2 * 16 * 4);
        for n in 0..32 {
            let mut sum = 0;
            for k in 0..8 {
                let value = bytes[((n / 16 * 2 + k / 4) * 16 + n % 16) * 4 + k % 4] as i8;
                sum += i32::from(value);
                let expected = if n < outputs && k < inputs { weight[n * inputs + k] } else { 0.0 };
                assert!((f32::from(value) * quantised.scale[n] - expected).abs() <= quantised.scale[n] * 0.5001);
            }
            assert_eq!(quantised.zero[n], 128 * sum);
        }
    }

    #[test]
    fn a_row_of_zeros_has_scale_one() {
        let quantised = quantise(&[0.0, 0.0, 1.0, -2.0], 2);
        assert_eq!(quantised.weight, [0, 0, 64, -127]);
        assert_eq!(quantised.scale[..3], [1.0, 2.0 / 127.0, 1.0]);
    }

    #[test]
    fn weights_beyond_f16_are_refused() {
        assert!(write_f16(&[1e5], 1, &mut Vec::new()).is_err());
        assert_eq!(round_f16(1.0 + 1.0 / 4096.0), 1.0);
    }
}
