//! The command line: arguments in, results on stdout, everything else on stderr.

mod bars;
mod bench;
mod classify;
mod embed;
mod foreign;
mod inspect;
mod inspect_text;
mod labels;
mod options;
mod picture;
mod preprocess;
mod progress;
mod tokenize;
mod tune;
mod watch;

use std::any::Any;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Zero-shot image labelling on small boards.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Classify(classify::Args),
    Labels(labels::Args),
    Inspect(inspect::Args),
    Embed(embed::Args),
    Preprocess(preprocess::Args),
    Tokenize(tokenize::Args),
    Bench(bench::Args),
    Tune(tune::Args),
    Watch(Box<watch::Args>),
}

/// How a command ended that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is well.
    Done,
    /// A check that was asked for failed.
    Failed,
    /// Some of the inputs could not be used; their errors are on stderr.
    Incomplete,
}

/// Where a panic happened: told in one line, as every other error is.
static PANIC: OnceLock<String> = OnceLock::new();

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
        let _ = PANIC.set(place);
    }));
    match panic::catch_unwind(|| run(Cli::parse())) {
        Ok(Ok(Outcome::Done)) => ExitCode::SUCCESS,
        Ok(Ok(Outcome::Failed)) => ExitCode::from(1),
        Ok(Ok(Outcome::Incomplete)) => ExitCode::from(2),
        // Whoever read our output has seen enough.
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(describe(&error));
            ExitCode::from(2)
        }
        Err(cause) => {
            let place = PANIC.get().map_or("", String::as_str);
            complain(format!("a fault in edgelip itself: {}{place}; please report it", message(&*cause)));
            ExitCode::from(101)
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = match cli.command {
        Command::Classify(args) => classify::run(&args, &mut out),
        Command::Labels(args) => labels::run(&args, &mut out),
        Command::Inspect(args) => inspect::run(&args, &mut out),
        Command::Embed(args) => embed::run(&args, &mut out),
        Command::Preprocess(args) => preprocess::run(&args, &mut out),
        Command::Tokenize(args) => tokenize::run(&args, &mut out),
        Command::Bench(args) => bench::run(&args, &mut out),
        Command::Tune(args) => tune::run(&args, &mut out),
        Command::Watch(args) => watch::run(&args, &mut out),
    };
    out.flush()?;
    outcome
}

/// An error and its causes in one line; a cause that the error has already told is left out.
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

/// Prints an error line.
fn complain(error: impl Display) {
    let line = error.to_string().split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "error: {}", line.trim_end());
}

/// Prints a warning line.
fn warn(warning: impl Display) {
    let _ = writeln!(io::stderr(), "warning: {warning}");
}

/// Prints a value as JSON.
fn print_json(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Prints an array as JSON, one value a line.
fn print_json_lines(out: &mut dyn Write, values: &[impl serde::Serialize]) -> Result<()> {
    write!(out, "[")?;
    for (index, value) in values.iter().enumerate() {
        let separator = if index == 0 { "\n" } else { ",\n" };
        write!(out, "{separator}  {}", serde_json::to_string(value)?)?;
    }
    writeln!(out, "\n]")?;
    Ok(())
}

/// Milliseconds since `start`, to the microsecond.
fn milliseconds_since(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().map(io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        let error = edgelip::Error::io("a")(io::Error::other("broken"));
        assert_eq!(describe(&anyhow::Error::from(error).context("model")), "model: a: broken");
    }

    #[test]
    fn a_closed_pipe_is_found_behind_other_errors() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::from(pipe).context("printing")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }
}
