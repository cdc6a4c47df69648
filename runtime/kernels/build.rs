//! Says what a Cortex-M core can do. `rustc` knows it from the target and `-C target-cpu`, but keeps it to itself: target features of 32-bit
//! Arm are not stable.

use std::env::var;

/// Cores with the DSP extension whose floating-point unit has double precision too, which is what inline assembly asks for.
const DOUBLE: [&str; 3] = ["cortex-m7", "cortex-m55", "cortex-m85"];

/// Cores that have the DSP extension although their architecture does not ask for it.
const DSP: [&str; 4] = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(cortex_m_fpu)");
    println!("cargo::rustc-check-cfg=cfg(cortex_m_dsp)");
    let target = var("TARGET").unwrap_or_default();
    if !target.starts_with("thumb") {
        return;
    }
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let cpu = flags.split_once("target-cpu=").map_or("", |(_, rest)| rest.split('\x1f').next().unwrap_or(""));
    if target.ends_with("hf") && DOUBLE.contains(&cpu) {
        println!("cargo::rustc-cfg=cortex_m_fpu");
    }
    if target.starts_with("thumbv7em") || DSP.contains(&cpu) || flags.contains("+dsp") {
        println!("cargo::rustc-cfg=cortex_m_dsp");
    }
}
