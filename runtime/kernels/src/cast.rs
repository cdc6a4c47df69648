//! Views of numbers in a file's bytes, and of a scratch slice as other numbers. Nothing is copied.

/// Bytes as little-endian numbers; `None` if they are misaligned for them or not a whole number of them.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $type:ty) => {
        $(#[$doc])*
        pub fn $name(bytes: &[u8]) -> Option<&[$type]> {
            // SAFETY: every bit pattern is a number of this type.
            match unsafe { bytes.align_to::<$type>() } {
                ([], numbers, []) => Some(numbers),
                _ => None,
            }
        }
    };
}

view! {
    /// Bytes as `f32`s; `None` if misaligned or not a whole number of them.
    f32s, f32
}
view! {
    /// Bytes as `u16`s (or half-precision floats); `None` if misaligned or not a whole number of them.
    u16s, u16
}
view! {
    /// Bytes as `i32`s; `None` if misaligned or not a whole number of them.
    i32s, i32
}
view! {
    /// Bytes as `i64`s; `None` if misaligned or not a whole number of them.
    i64s, i64
}

/// Bytes as `i8`s.
pub fn i8s(bytes: &[u8]) -> &[i8] {
    // SAFETY: `i8` and `u8` have one layout.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// The bytes of `f32`s.
pub fn bytes(numbers: &[f32]) -> &[u8] {
    // SAFETY: `f32` has no padding and `u8` no alignment.
    unsafe { core::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The bytes of `f32`s, to write.
pub fn bytes_mut(numbers: &mut [f32]) -> &mut [u8] {
    // SAFETY: `f32` has no padding, `u8` no alignment, and every bit pattern is an `f32`.
    unsafe { core::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), size_of_val(numbers)) }
}

/// `f32`s as `i32`s, to write.
pub fn i32s_mut(numbers: &mut [f32]) -> &mut [i32] {
    // SAFETY: both are four bytes, four-aligned, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}

/// `f32`s as `u32`s, to write.
pub fn u32s_mut(numbers: &mut [f32]) -> &mut [u32] {
    // SAFETY: both are four bytes, four-aligned, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}
