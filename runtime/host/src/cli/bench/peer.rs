//! Another engine's program, asked for one run at a time over its standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::super::milliseconds_since;

/// A program under test. It ends when this is dropped.
pub struct Peer {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a peer says when it has run once.
#[derive(Debug, Deserialize)]
pub struct Ready {
    /// Loading the model.
    pub load_ms: f64,
    /// The first run.
    pub first_ms: f64,
    /// The embedding.
    #[serde(default)]
    pub output: Vec<f32>,
    /// From the program's start to this.
    #[serde(skip)]
    pub start_ms: f64,
}

impl Peer {
    /// Starts `command --model MODEL --threads N --input FILE`; the file holds `pixel_values [1, 3, H, W]` as NumPy has them.
    pub fn start(name: &str, command: &str, model: &Path, threads: usize, input: &Path) -> Result<(Self, Ready)> {
        let start = Instant::now();
        let mut words = command.split_whitespace();
        let Some(program) = words.next() else { bail!("{name}: the command is empty") };
        let mut child = Command::new(program)
            .args(words)
            .arg("--model")
            .arg(model)
            .arg("--threads")
            .arg(threads.to_string())
            .arg("--input")
            .arg(input)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name}: `{program}` does not start"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else { bail!("{name}: no pipes") };
        let mut peer = Peer { name: name.into(), child, input: to, output: BufReader::new(from) };
        let line = peer.line()?;
        let mut ready: Ready =
            serde_json::from_str(&line).with_context(|| format!("{name}: not what a peer answers: {}", line.trim()))?;
        ready.start_ms = milliseconds_since(start);
        Ok((peer, ready))
    }

    /// Milliseconds of one run, as the peer takes them.
    pub fn run(&mut self) -> Result<f64> {
        self.input.write_all(b"run\n").and_then(|()| self.input.flush()).with_context(|| self.gone())?;
        let line = self.line()?;
        line.trim().parse().with_context(|| format!("{}: not a time: {}", self.name, line.trim()))
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).with_context(|| self.gone())?;
        if line.is_empty() {
            bail!(self.gone());
        }
        Ok(line)
    }

    fn gone(&self) -> String {
        format!("{}: the program ended early", self.name)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Result<(Peer, Ready)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("peer.sh");
        std::fs::write(&path, script)?;
        Peer::start("sh", &format!("sh {}", path.display()), Path::new("m"), 2, Path::new("i"))
    }

    #[test]
    #[cfg(unix)]
    fn a_peer_is_asked_line_by_line() {
        let script = r#"echo "{\"load_ms\": 1, \"first_ms\": $4}"; while read -r word; do echo "2.5"; done"#;
        let (mut peer, ready) = start(script).unwrap();
        assert_eq!((ready.load_ms, ready.first_ms), (1.0, 2.0), "the threads were told");
        assert_eq!(peer.run().unwrap(), 2.5);
        assert_eq!(peer.run().unwrap(), 2.5);
    }

    #[test]
    #[cfg(unix)]
    fn a_peer_that_fails_is_an_error() {
        assert!(start("exit 3").is_err_and(|error| error.to_string().contains("ended early")));
        assert!(start("echo hello").is_err_and(|error| error.to_string().contains("hello")));
        assert!(Peer::start("x", "/no/such/program", Path::new("m"), 1, Path::new("i")).is_err());
    }
}
