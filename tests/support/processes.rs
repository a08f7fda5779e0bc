//! Processes as `/proc` shows them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

/// The living processes, other than this one, whose command line or environment contains a text.
pub fn mentioning(text: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    let contains = |path: std::path::PathBuf| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
            let found = contains(entry.path().join("cmdline")) || contains(entry.path().join("environ"));
            (pid != own && found && alive(pid)).then_some(pid)
        })
        .collect()
}

/// Whether a process lives and is no zombie.
pub fn alive(pid: i32) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = text.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Sends a signal; a process that has ended is no error.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// The living supervisors of tasks whose files are below a directory.
pub fn supervisors(dir: &str) -> Vec<i32> {
    let command = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_one = |pid: &i32| String::from_utf8_lossy(&command(pid)).contains("__supervise");
    let found: Vec<i32> = mentioning(dir).into_iter().filter(is_one).collect();
    // The child of a supervisor looks like one until it becomes the task.
    found.iter().copied().filter(|pid| parent(*pid).is_none_or(|parent| !found.contains(&parent))).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}
