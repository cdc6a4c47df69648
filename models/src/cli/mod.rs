//! Commands. Results go to stdout, logs to stderr; the exit status is 0, 1 for what was tried and can't be, 2 for wrong usage or files.

mod calibrate;
mod comparison;
mod embed;
mod evaluate;
mod learning;
mod merge_args;
mod model_files;
mod photos;
mod plan;
mod publish;
mod scores;
mod synsets;
mod time;
mod train;
mod variants;
mod vocabulary;

use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::Once;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Trains and evaluates image-text models for edgelip.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// Threads of libtorch.
    #[arg(long, global = true, default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..))]
    threads: i32,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Args),
    Evaluate(evaluate::Args),
    Calibrate(calibrate::Args),
    Embed(embed::Args),
    Vocabulary(vocabulary::Args),
    Synsets(synsets::Args),
    Publish(publish::Args),
    Plan(plan::Args),
    Time(time::Args),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    // A fault is told in one line, as every other error is, and once: other threads fail because of the first.
    let told = Once::new();
    panic::set_hook(Box::new(move |info| {
        let cause = info.payload();
        let text = cause.downcast_ref::<&str>().copied().or(cause.downcast_ref::<String>().map(String::as_str));
        let place = info.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
        let text = text.unwrap_or("no reason given");
        told.call_once(|| complain(format_args!("a fault in edgelip-train itself: {text}{place}; please report it")));
    }));
    match panic::catch_unwind(|| run(Cli::parse())) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::from(1),
        // Whoever read the output has had enough.
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(describe(&error));
            ExitCode::from(2)
        }
        Err(_) => ExitCode::from(101),
    }
}

/// An error and its causes; a cause that the error has already told is left out.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints an error in one line.
fn complain(error: impl Display) {
    let line = error.to_string().split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "error: {}", line.trim_end());
}

fn run(cli: Cli) -> Result<bool> {
    tch::set_num_threads(cli.threads);
    tch::set_num_interop_threads(1);
    let done = |result: Result<()>| result.map(|()| true);
    match cli.command {
        Command::Train(args) => done(train::run(args)),
        Command::Evaluate(args) => done(evaluate::run(args)),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Embed(args) => done(embed::run(args)),
        Command::Vocabulary(args) => done(vocabulary::run(args)),
        Command::Synsets(args) => done(synsets::run(args)),
        Command::Publish(args) => done(publish::run(args)),
        Command::Plan(args) => plan::run(args),
        Command::Time(args) => done(time::run(args)),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a result.
fn say(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}
