//! Processes as `/proc` shows them: who one is, who descends from it, and how to end it for certain.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Names a process for ever: a process id is used again, but not with the same start time since the same boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Process id.
    pub(super) pid: i32,
    /// Start time in clock ticks since boot.
    pub(super) ticks: u64,
    /// The boot.
    pub(super) boot: String,
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy)]
struct Stat {
    dead: bool,
    parent: i32,
    group: i32,
    session: i32,
    ticks: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything, also parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<i64>().ok());
    Some(Stat {
        dead: matches!(fields.first(), Some(&("Z" | "X"))),
        parent: i32::try_from(number(1)?).ok()?,
        group: i32::try_from(number(2)?).ok()?,
        session: i32::try_from(number(3)?).ok()?,
        ticks: u64::try_from(number(19)?).ok()?,
    })
}

/// The present boot of this machine; empty where it cannot be told, which then equals itself.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Identity {
    /// The process with this id, if there is one.
    pub(super) fn of(pid: i32, boot: &str) -> Option<Self> {
        Some(Self { pid, ticks: stat(pid)?.ticks, boot: boot.to_owned() })
    }

    /// Whether the process still exists, not even as a zombie's entry.
    pub(super) fn alive(&self) -> bool {
        self.boot == boot() && stat(self.pid).is_some_and(|now| now.ticks == self.ticks && !now.dead)
    }

    /// Sends a signal to this process, if it still is the same one.
    pub(super) fn signal(&self, signal: Signal) {
        if self.alive() {
            // It may end between the look and the signal; there is nothing left to signal then.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

fn processes() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect()
}

/// A process below another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descendant {
    /// Its id.
    pub(super) pid: i32,
    /// Its process group.
    pub(super) group: i32,
}

/// The living descendants of a process, those first that are nearest to it.
pub(super) fn descendants(root: i32) -> Vec<Descendant> {
    let all = processes();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, stat) in &all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for child in children.get(&parent).map_or(&[][..], Vec::as_slice) {
            next.push(*child);
            if let Some(stat) = all.get(child).filter(|stat| !stat.dead) {
                found.push(Descendant { pid: *child, group: stat.group });
            }
        }
    }
    found
}

/// Ends what a killed supervisor left behind: everything of its session, and everything that carries its mark in
/// its environment. Gives back the number of processes found, after they are gone or two seconds.
pub(super) fn end_orphans(supervisor: &Identity, mark: &Path) -> usize {
    if supervisor.boot != boot() {
        return 0;
    }
    let mut mark_bytes = super::plan::MARK.as_bytes().to_vec();
    mark_bytes.push(b'=');
    mark_bytes.extend_from_slice(mark.as_os_str().as_encoded_bytes());
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let began = Instant::now();
    let mut seen = 0;
    loop {
        let orphans: Vec<i32> = processes()
            .into_iter()
            // What is older than the supervisor is not its work, whatever its number.
            .filter(|(pid, stat)| *pid != own && !stat.dead && stat.ticks >= supervisor.ticks)
            .filter(|(pid, stat)| stat.session == supervisor.pid || is_marked(*pid, &mark_bytes))
            .map(|(pid, _)| pid)
            .collect();
        seen = seen.max(orphans.len());
        if orphans.is_empty() || began.elapsed() > Duration::from_secs(2) {
            return seen;
        }
        for pid in orphans {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let boot = boot();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Identity::of(pid, &boot).unwrap();
        assert!(identity.alive());
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(descendants(own).iter().any(|found| found.pid == pid));
        let other = Identity { ticks: identity.ticks + 1, ..identity.clone() };
        assert!(!other.alive());
        other.signal(Signal::SIGKILL);
        assert!(identity.alive(), "a signal for another process reached this one");
        let before = Identity { boot: "another".to_owned(), ..identity.clone() };
        assert!(!before.alive());
        identity.signal(Signal::SIGKILL);
        child.wait().unwrap();
        assert!(!identity.alive());
    }
}
