//! Element types, and how operators hand them on.

/// Names of ONNX's element types by their numbers.
const NAMES: [(i64, &str); 18] = [
    (1, "f32"),
    (2, "u8"),
    (3, "i8"),
    (4, "u16"),
    (5, "i16"),
    (6, "i32"),
    (7, "i64"),
    (8, "text"),
    (9, "bool"),
    (10, "f16"),
    (11, "f64"),
    (12, "u32"),
    (13, "u64"),
    (16, "bf16"),
    (17, "f8"),
    (19, "f8"),
    (21, "u4"),
    (22, "i4"),
];

/// The name of an element type; `None` for one that is not known.
pub fn name(number: i64) -> Option<&'static str> {
    NAMES.iter().find(|entry| entry.0 == number).map(|entry| entry.1)
}

/// Whether a list may name this type.
pub fn is_known(name: &str) -> bool {
    NAMES.iter().any(|entry| entry.1 == name)
}

/// Which input has an operator's data.
pub fn data_input(operator: &str) -> usize {
    usize::from(operator == "Where")
}

/// The type of a node's first output, from that of its data and from its attribute `to` or `dtype`.
pub fn output(operator: &str, data: Option<&'static str>, to: Option<i64>) -> Option<&'static str> {
    match operator {
        "ArgMax" | "ArgMin" | "NonZero" | "NonMaxSuppression" | "Shape" | "Size" => Some("i64"),
        "And" | "Equal" | "Greater" | "GreaterOrEqual" | "IsInf" | "IsNaN" | "Less" | "LessOrEqual" | "Not" | "Or"
        | "Xor" => Some("bool"),
        "ConvInteger" | "MatMulInteger" => Some("i32"),
        "Cast" | "EyeLike" | "RandomNormal" | "RandomUniform" => to.and_then(name),
        "DequantizeLinear" | "QuantizeLinear" | "DynamicQuantizeLinear" | "QLinearConv" | "QLinearMatMul" => None,
        "If" | "Loop" | "Scan" | "OneHot" | "Optional" | "CastLike" | "ConstantOfShape" | "Constant" => None,
        _ => data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_handed_on() {
        assert_eq!(output("MatMul", Some("f16"), None), Some("f16"));
        assert_eq!(output("Cast", Some("i8"), Some(1)), Some("f32"));
        assert_eq!(output("Equal", Some("f32"), None), Some("bool"));
        assert_eq!(output("Cast", None, Some(99)), None);
    }
}
