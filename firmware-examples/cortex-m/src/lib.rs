//! What does not care which machine it runs on: the firmware and the host, which makes the golden scores, share it.
#![no_std]

pub mod flash;
pub mod labeller;
