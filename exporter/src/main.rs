//! `edgelip-export`: a checkpoint in, one ONNX file out.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
