//! What becomes of transparent pixels.

/// What becomes of transparency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alpha {
    /// Blended onto white, as transformers 5 does.
    #[default]
    White,
    /// Dropped, whatever colour it hid, as Pillow's `convert("RGB")`, and with it the original CLIP, does.
    Drop,
}

impl Alpha {
    /// An RGBA pixel without its alpha.
    pub fn flatten(self, [red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
        match self {
            Alpha::Drop => [red, green, blue],
            Alpha::White => [red, green, blue].map(|colour| over_white(colour, alpha)),
        }
    }
}

/// Pillow's `alpha_composite` on an opaque white ground: 7 extra bits, then a rounded division by 255.
fn over_white(colour: u8, alpha: u8) -> u8 {
    let (colour, alpha) = (u32::from(colour), u32::from(alpha));
    let sum = (colour * alpha + 255 * (255 - alpha)) * 128 + (128 << 7);
    (((sum >> 8) + sum) >> 8 >> 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact() {
        for colour in 0..=255 {
            assert_eq!(over_white(colour, 255), colour);
            assert_eq!(over_white(colour, 0), 255);
            assert_eq!(Alpha::Drop.flatten([colour, 1, 2, 0]), [colour, 1, 2]);
        }
    }
}
