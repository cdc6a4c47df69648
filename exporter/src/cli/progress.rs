//! Progress bars on standard error, where a person watches.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of bytes.
pub fn bytes(what: &str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} [{wide_bar}] {bytes}/{total_bytes}")
}

/// A bar of steps.
pub fn steps(what: &str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} [{wide_bar}] {pos}/{len}")
}

/// A line that says what goes on.
pub fn line(what: &str) -> ProgressBar {
    let line = ProgressBar::new_spinner();
    line.set_message(what.to_owned());
    line
}

fn bar(what: &str, total: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what.to_owned());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// A writer whose bytes a bar counts.
pub struct Counted<'a, W> {
    /// Where the bytes go.
    pub writer: W,
    /// What counts them.
    pub bar: &'a ProgressBar,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.bar.inc(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
