//! Standard output: the only place that writes to it, so that a closed pipe ends the program quietly.

use crate::columns::width;
use crate::error::{Failure, exit};
use std::io::{self, IsTerminal, Write};

/// Standard output takes no more.
#[derive(Debug)]
pub struct Unwritten(io::Error);

impl Unwritten {
    /// Whether its reader has simply gone, as `head` does.
    pub fn reader_is_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl std::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to write to standard output: {}", self.0)
    }
}

/// Whether the reader of standard output has gone. Tells it without writing, so that a command that only follows what
/// others do ends with its reader.
pub fn is_closed() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let out = io::stdout();
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let asked = poll(&mut fds, PollTimeout::ZERO);
    asked.is_ok() && fds.iter().any(|fd| fd.revents().is_some_and(|seen| seen.contains(PollFlags::POLLERR)))
}

/// Writes bytes to standard output.
pub fn bytes(bytes: &[u8]) -> Result<(), Unwritten> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Unwritten)
}

/// Standard output for what is written piece by piece.
pub fn writer() -> impl Write {
    io::BufWriter::new(io::stdout().lock())
}

/// Writes text to standard output.
pub fn text(text: &str) -> Result<(), Unwritten> {
    bytes(text.as_bytes())
}

/// Writes one line to standard output.
pub fn line(line: &str) -> Result<(), Unwritten> {
    text(&format!("{line}\n"))
}

/// Writes a JSON document as one line.
pub fn json(value: &serde_json::Value) -> Result<(), Unwritten> {
    line(&value.to_string())
}

/// Writes a remark to standard error; failing to is no failure.
pub fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard output is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether the variable `NO_COLOR` asks for text without colours (<https://no-color.org>: an empty one does not).
pub fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Lays rows out in columns; the first row is the head. Cells that look like numbers stand right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let wide = widths.get(column).copied().unwrap_or(0);
            let pad = " ".repeat(wide.saturating_sub(width(cell)));
            let right =
                cell.starts_with(|c: char| c.is_ascii_digit() || c == '-') && cell.parse::<f64>().is_ok();
            if column > 0 {
                line.push_str("  ");
            }
            if right {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

impl From<Unwritten> for Failure {
    fn from(unwritten: Unwritten) -> Self {
        if unwritten.reader_is_gone() {
            // Whoever read has seen enough: no failure, and nothing to say.
            return Self { rendered: Some(String::new()), ..Self::new(exit::DONE, "", "") };
        }
        Self::new(exit::FAILED, unwritten.to_string(), "")
    }
}
