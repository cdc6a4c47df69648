//! The names that a pickle may have in it.

use super::element::Element;

/// What an allowed name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// An empty dict.
    Dict,
    /// A tensor: a view of a storage.
    Tensor,
    /// Its first argument.
    Same,
    /// A call of its first argument with its third.
    FromType,
    /// A type of storage; `None` if the tensor tells its elements.
    Storage(Option<Element>),
    /// A type of elements.
    Type(Element),
    /// A class of a TorchScript archive.
    Script,
    /// Something that training scripts save beside the weights, of which nothing is kept.
    Opaque,
}

/// What a name stands for, if it may be there.
pub(super) fn allowed(module: &str, name: &str) -> Option<Global> {
    let global = match (module, name) {
        ("collections", "OrderedDict" | "Counter") => Global::Dict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => Global::Tensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::Same,
        ("torch.jit._pickle", "restore_type_tag") => Global::Same,
        ("torch._tensor", "_rebuild_from_type_v2") => Global::FromType,
        ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => Global::Storage(elements(storage)?),
        ("torch.storage", "UntypedStorage" | "TypedStorage") => Global::Storage(None),
        ("torch", "float64" | "double") => Global::Type(Element::F64),
        ("torch", "float32" | "float") => Global::Type(Element::F32),
        ("torch", "float16" | "half") => Global::Type(Element::F16),
        ("torch", "bfloat16") => Global::Type(Element::Bf16),
        ("torch", "int64" | "long") => Global::Type(Element::Other("I64", 8)),
        ("torch", "int32" | "int") => Global::Type(Element::Other("I32", 4)),
        ("torch", "uint8" | "int8" | "bool") => Global::Type(Element::Other("I8", 1)),
        ("torch", "Size" | "device" | "Tensor") | ("torch.nn.parameter", "Parameter") => Global::Opaque,
        ("torch.jit._pickle", "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist") => {
            Global::Opaque
        }
        ("argparse", "Namespace")
        | ("_codecs", "encode")
        | ("pathlib", "PosixPath" | "WindowsPath" | "PurePosixPath") => Global::Opaque,
        ("numpy", "dtype") | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::Opaque,
        (script, _) if script == "__torch__" || script.starts_with("__torch__.") => Global::Script,
        _ => return None,
    };
    Some(global)
}

fn elements(storage: &str) -> Option<Option<Element>> {
    Some(Some(match storage {
        "DoubleStorage" => Element::F64,
        "FloatStorage" => Element::F32,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "LongStorage" => Element::Other("I64", 8),
        "IntStorage" => Element::Other("I32", 4),
        "ShortStorage" => Element::Other("I16", 2),
        "CharStorage" => Element::Other("I8", 1),
        "ByteStorage" => Element::Other("U8", 1),
        "BoolStorage" => Element::Other("BOOL", 1),
        "UntypedStorage" => return Some(None),
        _ => return None,
    }))
}
