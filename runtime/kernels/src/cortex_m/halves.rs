use core::arch::asm;

/// Four bytes as two registers of 16-bit halves: bytes 0 and 2, and bytes 1 and 3.
#[derive(Clone, Copy)]
pub struct Halves {
    even: u32,
    odd: u32,
}

/// Widens the bytes of a register by an instruction, once as they are and once from the second on.
macro_rules! widen {
    ($instruction:literal, $bytes:expr) => {{
        let (even, odd);
        let bytes = u32::from_le_bytes($bytes);
        // SAFETY: `build.rs` has seen that the core has the DSP extension; the instructions read and write these registers only.
        unsafe {
            asm!(concat!($instruction, " {}, {}"), lateout(reg) even, in(reg) bytes, options(pure, nomem, nostack, preserves_flags));
            asm!(concat!($instruction, " {}, {}, ror #8"), lateout(reg) odd, in(reg) bytes, options(pure, nomem, nostack, preserves_flags));
        }
        Halves { even, odd }
    }};
}

impl Halves {
    #[inline(always)]
    pub fn unsigned(bytes: [u8; 4]) -> Halves {
        widen!("uxtb16", bytes)
    }

    #[inline(always)]
    pub fn signed(bytes: [i8; 4]) -> Halves {
        widen!("sxtb16", bytes.map(i8::cast_unsigned))
    }

    /// `sum` and the four products.
    #[inline(always)]
    pub fn dot(self, other: Halves, sum: i32) -> i32 {
        multiply(self.odd, other.odd, multiply(self.even, other.even, sum))
    }
}

/// `sum` and the products of the lower and of the upper halves. A layer's sums are too small to overflow.
#[inline(always)]
fn multiply(a: u32, b: u32, sum: i32) -> i32 {
    let result;
    // SAFETY: `build.rs` has seen that the core has the DSP extension; the instruction reads and writes these registers only, as it overflows
    // for no layer.
    unsafe {
        asm!(
            "smlad {0}, {1}, {2}, {0}",
            inlateout(reg) sum => result, in(reg) a, in(reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    result
}
