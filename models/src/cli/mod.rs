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

use std::io::{self, Write};
use std::process::ExitCode;

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
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever read the output has had enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
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
fn say(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}
