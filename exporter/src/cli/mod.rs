//! The command line: what was asked for, the export itself, and what is said about it.

mod args;
mod bank;
mod check_ops;
mod classes;
mod export;
mod progress;
mod summary;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use check_ops::CheckOps;

/// Checked, and not good.
const FAILED: u8 = 1;
/// Wrong usage, or a file that can't be read or written.
const UNUSABLE: u8 = 2;

/// Runs the command.
pub fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Whether what was checked is good.
fn run() -> anyhow::Result<bool> {
    let arguments: Vec<_> = env::args_os().collect();
    match &arguments[..] {
        [_, command, ..] if command == "check-ops" => check_ops::run(&CheckOps::parse_from(&arguments[1..])),
        _ => export::run(Args::parse().check()?),
    }
}

/// Whoever read the output has had enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a result.
fn say(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints what the user should know but did not ask for.
fn warn(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}
