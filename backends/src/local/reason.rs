//! Why a task failed, in words for people.

use engine::limits::MAX_REASON_BYTES;
use std::path::Path;

/// Lines at the end of a log that go into a reason.
const LAST_LINES: usize = 12;

/// How a task's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With an exit code.
    Exit(i32),
    /// By a signal.
    Signal(i32),
}

/// What is known of a failed task.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    /// How it ended.
    pub(super) end: End,
    /// Whether the command was a line for the shell.
    pub(super) shell: bool,
    /// Where it ran.
    pub(super) workdir: &'a Path,
    /// The last bytes of its standard error.
    pub(super) stderr: &'a [u8],
    /// The last bytes of its standard output.
    pub(super) stdout: &'a [u8],
}

/// The reason of a failure, within the limit.
pub(super) fn failed(failure: &Failure<'_>) -> String {
    let (name, log) = if failure.stderr.iter().all(u8::is_ascii_whitespace) {
        ("standard output", failure.stdout)
    } else {
        ("standard error", failure.stderr)
    };
    let lines = last_lines(log);
    let hint = hint(failure, &lines);
    let head = match failure.end {
        End::Exit(code) => format!("the command ended with exit code {code}"),
        End::Signal(9) => {
            "the command was killed (signal 9); if nobody did it, the machine ran out of memory".to_owned()
        }
        End::Signal(signal) => format!("the command was ended by signal {signal}{}", signal_name(signal)),
    };
    let head = format!("{head}{hint}");
    if lines.is_empty() {
        return bounded(&head, "");
    }
    bounded(&format!("{head}; the end of its {name}:\n"), &lines)
}

fn hint(failure: &Failure<'_>, lines: &str) -> String {
    let place = || {
        format!(
            "; it runs in its own working directory {}, and `${{spec_dir}}` in a command names the experiment file's folder",
            failure.workdir.display()
        )
    };
    match failure.end {
        End::Exit(127) if failure.shell => format!(": the shell did not find a command{}", place()),
        End::Exit(126) if failure.shell => {
            format!(": a command was found and is not executable (`chmod +x` makes it so){}", place())
        }
        End::Exit(_) if lines.contains("No such file or directory") => place(),
        _ => String::new(),
    }
}

/// The reason of a command that could not even be started.
pub(super) fn not_started(program: &str, workdir: &Path, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound if !workdir.is_dir() => {
            return bounded(&format!("the working directory {} does not exist", workdir.display()), "");
        }
        std::io::ErrorKind::NotFound => "there is no such program".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it is not executable (`chmod +x` makes it so)".to_owned(),
        _ => error.to_string(),
    };
    let place = format!(
        "; it was to run in its own working directory {}, and `${{spec_dir}}` in a command names the experiment file's folder",
        workdir.display()
    );
    bounded(&format!("failed to start `{program}`: {why}{place}"), "")
}

/// The last lines of a log as text. A progress bar's overwritten states are left out.
fn last_lines(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text
        .trim_end()
        .lines()
        .map(|line| line.trim_end().rsplit('\r').next().unwrap_or_default())
        .filter(|line| !line.is_empty())
        .collect();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
}

/// Head and tail within the limit: the head is kept, of the tail its end.
pub(super) fn bounded(head: &str, tail: &str) -> String {
    let head = cut_end(head, MAX_REASON_BYTES);
    let mut start = tail.len().saturating_sub(MAX_REASON_BYTES - head.len());
    while !tail.is_char_boundary(start) {
        start += 1;
    }
    format!("{head}{}", tail.get(start..).unwrap_or_default())
}

fn cut_end(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(|_| String::new(), |known| format!(" ({known})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(end: End, stderr: &[u8], stdout: &[u8]) -> String {
        failed(&Failure { end, shell: true, workdir: Path::new("/w"), stderr, stdout })
    }

    #[test]
    fn a_reason_has_the_last_lines_and_stays_within_its_limit() {
        let log = "Verlust: größer als 1 \u{1F600}\n".repeat(1_000);
        let text = reason(End::Exit(3), b" \n", log.as_bytes());
        assert!(
            text.starts_with("the command ended with exit code 3; the end of its standard output:\nVer"),
            "{text}"
        );
        let long = reason(End::Signal(11), "ä".repeat(10_000).as_bytes(), b"");
        assert!(long.contains("signal 11 (SIGSEGV)") && long.len() <= MAX_REASON_BYTES && long.len() > 2_000);
        assert!(reason(End::Exit(1), &[0xff, 0xfe, b'x'], b"").ends_with("\u{fffd}\u{fffd}x"));
    }

    #[test]
    fn a_command_that_was_not_found_names_the_cure() {
        let text = reason(End::Exit(127), b"sh: 1: trian: not found\n", b"");
        assert!(
            text.contains("did not find a command") && text.contains("${spec_dir}") && text.contains("/w")
        );
        assert!(
            reason(End::Exit(2), b"python: can't open file: [Errno 2] No such file or directory", b"")
                .contains("${spec_dir}")
        );
    }
}
