//! Numbers in metadata, read without the standard library's decimal parser: its tables alone would take 10 KiB of a microcontroller's flash.

/// A number that text can be read as.
pub(crate) trait Number: Copy + Default {
    /// The number, if the text is one and nothing else.
    fn read(text: &str) -> Option<Self>;
}

impl Number for u16 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Number for u32 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Number for usize {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The nearest `f32`; none for what is larger than all of them.
impl Number for f32 {
    fn read(text: &str) -> Option<Self> {
        let (negative, value) = decimal(text)?;
        let magnitude = f32::from_bits(value.bits(23, 127)? as u32);
        Some(if negative { -magnitude } else { magnitude })
    }
}

/// The nearest `f64`; none for what is larger than all of them.
impl Number for f64 {
    fn read(text: &str) -> Option<Self> {
        let (negative, value) = decimal(text)?;
        let magnitude = f64::from_bits(value.bits(52, 1023)?);
        Some(if negative { -magnitude } else { magnitude })
    }
}

/// Digits that count. Those after them move the number by less than 1 part in 10¹⁷, and no float is written with so many.
const DIGITS: i32 = 18;

/// Powers of ten beyond which every number is zero or larger than all floats.
const FARTHEST: i32 = 400;

/// Whether a text is a negative number, and its magnitude: a sign, digits with at most one point among them and maybe an exponent, as in
/// `-12.5e-3`.
fn decimal(text: &str) -> Option<(bool, Wide)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = match mantissa.as_bytes() {
        [b'-', mantissa @ ..] => (true, mantissa),
        [b'+', mantissa @ ..] => (false, mantissa),
        mantissa => (false, mantissa),
    };
    let mut power: i32 = exponent.parse().ok()?;
    let (mut digits, mut count) = (0u64, 0);
    let (mut is_number, mut behind_point) = (false, false);
    for &byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                let counts = count < DIGITS;
                if counts {
                    digits = digits * 10 + u64::from(byte - b'0');
                    count += i32::from(digits > 0);
                }
                power = power.saturating_add(i32::from(!counts)).saturating_sub(i32::from(behind_point));
                is_number = true;
            }
            b'.' if !behind_point => behind_point = true,
            _ => return None,
        }
    }
    is_number.then(|| (negative, Wide::new(digits, power)))
}

/// `0.parts · 2^exponent`, each part sixteen bits, the first one's first bit set; or zero.
struct Wide {
    parts: [u16; 8],
    exponent: i32,
}

impl Wide {
    /// `digits · 10^power`, within 1 part in 2¹⁰⁰.
    fn new(digits: u64, power: i32) -> Wide {
        let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (digits >> shift) as u16);
        let mut wide = Wide { parts: [a, b, c, d, 0, 0, 0, 0], exponent: 64 };
        wide.normalise();
        for _ in 0..power.min(FARTHEST) {
            wide.multiply_by_ten();
        }
        for _ in power.max(-FARTHEST)..0 {
            wide.divide_by_ten();
        }
        wide
    }

    fn multiply_by_ten(&mut self) {
        let mut carry = 0;
        for part in self.parts.iter_mut().rev() {
            let product = u32::from(*part) * 10 + carry;
            *part = product as u16;
            carry = product >> 16;
        }
        for part in &mut self.parts {
            let value = carry << 16 | u32::from(*part);
            *part = (value >> 4) as u16;
            carry = value & 15;
        }
        self.exponent += 4;
        self.normalise();
    }

    fn divide_by_ten(&mut self) {
        let mut rest = 0;
        for part in &mut self.parts {
            let value = rest << 16 | u32::from(*part);
            *part = (value / 10) as u16;
            rest = value % 10;
        }
        self.normalise();
    }

    fn normalise(&mut self) {
        if self.parts == [0; 8] {
            return;
        }
        while self.parts[0] >> 15 == 0 {
            let mut carry = 0;
            for part in self.parts.iter_mut().rev() {
                let first = *part >> 15;
                *part = *part << 1 | carry;
                carry = first;
            }
            self.exponent -= 1;
        }
    }

    /// The bits of the nearest IEEE number with so many bits of fraction and this bias of its exponent, halves to the even one.
    fn bits(&self, fraction: i32, bias: i32) -> Option<u64> {
        let [a, b, c, d, rest @ ..] = self.parts;
        let top = [a, b, c, d].iter().fold(0, |top, &part| top << 16 | u64::from(part));
        // The first bit is a one in front of the fraction, but for numbers too small to be normal.
        let exponent = self.exponent - 1 + bias;
        let dropped = 63 - fraction + (1 - exponent).max(0);
        if top == 0 || dropped > 64 {
            return Some(0);
        }
        let kept = top.checked_shr(dropped as u32).unwrap_or(0);
        let lost = top << (64 - dropped);
        let half = 1 << 63;
        let up = lost > half || (lost == half && (rest != [0; 4] || kept % 2 == 1));
        // The one in front, and the carry of a number rounded up to the next power of two, go into the exponent.
        let bits = ((exponent.max(1) - 1) as u64) << fraction;
        let bits = bits + kept + u64::from(up);
        (bits >> fraction <= 2 * bias as u64).then_some(bits)
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use super::*;

    fn agrees(text: &str) {
        let single = text.parse::<f32>().ok().filter(|value| value.is_finite());
        assert_eq!(f32::read(text).map(f32::to_bits), single.map(f32::to_bits), "{text}");
        let double = text.parse::<f64>().ok().filter(|value| value.is_finite());
        assert_eq!(f64::read(text).map(f64::to_bits), double.map(f64::to_bits), "{text}");
    }

    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *state >> 11 ^ *state << 21
    }

    #[test]
    fn whatever_rust_writes_is_read_back() {
        let mut state = 1;
        for _ in 0..20_000 {
            let (single, double) = (f32::from_bits(random(&mut state) as u32), f64::from_bits(random(&mut state)));
            if single.is_finite() {
                agrees(&format!("{single}"));
                agrees(&format!("{single:e}"));
                agrees(&format!("{:.3}", single % 1000.0));
            }
            if double.is_finite() {
                agrees(&format!("{double:e}"));
                agrees(&format!("{:.6}", double % 1e6));
            }
        }
    }

    #[test]
    fn numbers_of_a_metadata_entry() {
        for text in
            ["0.48145466", "0.00392156862745098", "1e-05", "0.00001", "-10", "100", "4.6052", "2.6592", "0.3", "1E-6"]
        {
            agrees(text);
        }
        agrees(&format!("{}", 1.0 / 255.0));
        agrees(&format!("{}", f64::MIN_POSITIVE));
    }

    #[test]
    fn ties_and_borders() {
        for text in [
            "0",
            "-0",
            "0.0",
            "000",
            ".5",
            "5.",
            "+1",
            "16777217",
            "16777219",
            "9007199254740993",
            "1.00000005960464477539",
            "3.4028235e38",
            "3.4028236e38",
            "3.5e38",
            "1.7976931348623157e308",
            "1.8e308",
            "1e-45",
            "7e-46",
            "1.1754942e-38",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "4.9e-324",
            "2.2250738585072011e-308",
            "1e400",
            "1e-400",
            "1e99999",
            "0e99999",
            "1e-99999",
            "100000000000000000000000",
            "0.000000000000000000000000000000000000000000001",
        ] {
            agrees(text);
        }
        let long: String = core::iter::repeat_n('9', 60).collect();
        agrees(&long);
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "1,5",
            " 1",
            "1 ",
            "0x10",
            "1f",
            "--1",
            "+-1",
            "1e5.0",
            "1e99999999999",
            "½",
        ] {
            assert_eq!((f32::read(text), f64::read(text)), (None, None), "{text}");
        }
        // Words that Rust takes for numbers.
        for text in ["inf", "nan", "infinity", "-inf"] {
            assert_eq!((f32::read(text), f64::read(text)), (None, None), "{text}");
        }
        assert_eq!((u16::read("12"), u32::read("-1"), usize::read("1.0")), (Some(12), None, None));
    }
}
