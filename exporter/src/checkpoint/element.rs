//! How files store the elements of tensors, and the f32 that is made of them.

use half::{bf16, f16};

/// The type of a tensor's elements, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    /// Anything that is no weight, by its name and size: integers, truth values.
    Other(&'static str, usize),
}

impl Element {
    /// Bytes of one.
    pub(super) fn size(self) -> usize {
        match self {
            Element::F64 => 8,
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::Other(_, size) => size,
        }
    }

    /// What turns bytes into numbers.
    ///
    /// # Errors
    /// The reason, for a type that holds no weights.
    pub(super) fn widen(self) -> Result<Widen, String> {
        match self {
            Element::F64 => Ok(|bytes, out| out.extend(words(bytes).map(|word| f64::from_le_bytes(word) as f32))),
            Element::F32 => Ok(|bytes, out| out.extend(words(bytes).map(f32::from_le_bytes))),
            Element::F16 => Ok(|bytes, out| out.extend(words(bytes).map(|word| f16::from_le_bytes(word).to_f32()))),
            Element::Bf16 => Ok(|bytes, out| out.extend(words(bytes).map(|word| bf16::from_le_bytes(word).to_f32()))),
            Element::Other(name, _) => Err(format!("is of type {name}; F64, F32, F16 and BF16 are read")),
        }
    }
}

/// Appends the elements that some bytes hold.
pub(super) type Widen = fn(&[u8], &mut Vec<f32>);

/// The bytes in groups of `N`.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
