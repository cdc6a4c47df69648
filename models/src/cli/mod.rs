//! Commands. Results go to stdout, logs to stderr; the exit status is 0, 1 for a failure, 2 for wrong arguments.

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

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains and evaluates image-text models for edgelip.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// Threads of libtorch.
    #[arg(long, global = true, default_value_t = 2)]
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
    let cli = Cli::parse();
    tch::set_num_threads(cli.threads);
    tch::set_num_interop_threads(1);
    let result = match cli.command {
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Vocabulary(args) => vocabulary::run(args),
        Command::Synsets(args) => synsets::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Time(args) => time::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
