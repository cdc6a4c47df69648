//! What onnxruntime lets a graph's operators run on.

use std::fmt;
use std::str::FromStr;

/// A provider of onnxruntime; which of them there are depends on the library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provider {
    /// onnxruntime's own kernels.
    #[default]
    Cpu,
    /// NVIDIA's GPUs.
    Cuda,
    /// NVIDIA's GPUs by TensorRT, and by CUDA for what it does not take.
    TensorRt,
    /// XNNPACK's kernels for Arm and x86.
    Xnnpack,
    /// Arm's Compute Library.
    Acl,
    /// Intel's OpenVINO.
    OpenVino,
    /// AMD's GPUs.
    MiGraphX,
    /// Qualcomm's accelerators.
    Qnn,
    /// Android's accelerators.
    Nnapi,
    /// Apple's accelerators.
    CoreMl,
    /// Windows' GPUs.
    DirectMl,
}

impl Provider {
    /// All of them with their names.
    pub const ALL: [(&'static str, Provider); 11] = [
        ("cpu", Provider::Cpu),
        ("cuda", Provider::Cuda),
        ("tensorrt", Provider::TensorRt),
        ("xnnpack", Provider::Xnnpack),
        ("acl", Provider::Acl),
        ("openvino", Provider::OpenVino),
        ("migraphx", Provider::MiGraphX),
        ("qnn", Provider::Qnn),
        ("nnapi", Provider::Nnapi),
        ("coreml", Provider::CoreMl),
        ("directml", Provider::DirectMl),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|provider| provider.1 == self).map_or("", |provider| provider.0)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|provider| provider.0 == name.to_ascii_lowercase());
        known.map(|provider| provider.1).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|provider| provider.0).collect();
            format!("there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, provider) in Provider::ALL {
            assert_eq!((provider.to_string().as_str(), name.to_uppercase().parse()), (name, Ok(provider)));
        }
        assert!("gpu".parse::<Provider>().unwrap_err().contains("tensorrt"));
    }
}
