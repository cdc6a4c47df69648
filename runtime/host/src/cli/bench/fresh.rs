//! The same once more in a process of its own: what a start really takes.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Result;
use edgelip::{Mapping, machine};
use serde::{Deserialize, Serialize};

use super::super::{milliseconds_since, print_json};
use super::candidate::Candidate;
use super::lineup::LineupArgs;

/// What a fresh process says of itself.
#[derive(Serialize, Deserialize)]
pub struct Fresh {
    pub load_ms: f64,
    pub first_ms: f64,
    pub peak_rss_bytes: Option<u64>,
    /// From the process's start to its answer.
    #[serde(skip)]
    pub start_ms: f64,
}

/// Starts this program again for entry `index`. `None` where it can't be started, as under an emulator.
pub fn start(index: usize) -> Option<Fresh> {
    let start = Instant::now();
    let output = Command::new(env::current_exe().ok()?)
        .args(env::args_os().skip(1))
        .arg("--fresh")
        .arg(index.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let elapsed = milliseconds_since(start);
    let fresh: Fresh = serde_json::from_slice(&output.stdout).ok()?;
    Some(Fresh { start_ms: elapsed, ..fresh })
}

/// What that process does.
pub fn answer(args: &LineupArgs, index: usize, out: &mut dyn Write) -> Result<()> {
    let entries = args.entries()?;
    let Some(entry) = entries.get(index) else { return Ok(()) };
    let start = Instant::now();
    let mapping = Mapping::open(entry.path)?;
    mapping.prefetch();
    let mapped = milliseconds_since(start);
    let candidate = Candidate::prepare(args, *entry, &mapping, mapped, None)?;
    let peak_rss_bytes = machine::memory().map(|memory| memory.peak);
    let row = candidate.row;
    print_json(out, &Fresh { load_ms: row.load_ms, first_ms: row.first_ms, peak_rss_bytes, start_ms: 0.0 })
}
