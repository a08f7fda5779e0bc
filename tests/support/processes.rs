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
