//! The hyperbolic tangent of a pooled row: too short for a kernel of its own.

use edgelip_kernels::math;

/// Takes it of each value.
pub(crate) fn tanh(values: &mut [f32]) {
    for value in values {
        // Of the magnitude, so that the exponential is never above 1.
        let small = math::exp(-2.0 * value.abs());
        *value = ((1.0 - small) / (1.0 + small)).copysign(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_libms_from_end_to_end() {
        let mut values = [0.0, -0.0, 1e-4, 0.3, -1.0, 4.0, -9.5, 88.0, -1e30, f32::INFINITY];
        let expected = values.map(math::tanh);
        tanh(&mut values);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 2e-7 && value.is_sign_negative() == expected.is_sign_negative());
        }
        let mut nothing = [f32::NAN];
        tanh(&mut nothing);
        assert!(nothing[0].is_nan());
    }
}
