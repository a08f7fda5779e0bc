//! Commands of jobs as processes of this machine.
//!
//! Each is the leader of a group of its own, so that what it starts is ended with it. Nothing of the simulator's
//! environment is passed on but what a shell needs.

use super::limits;
use super::mount;
use super::server::Shared;
use super::world::Work;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

/// What is passed on of the simulator's own environment.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "USER"];

/// Starts or ends a process.
pub fn carry_out(shared: &Arc<Shared>, work: Work, dir: Option<PathBuf>) {
    match work {
        Work::Start { uid, command, variables, mounts } => {
            // It has started, or has not, before any later work is looked at: an end cannot overtake its start.
            let mounted = mount::make(&mounts).map(|made| shared.links().extend(made));
            let started = mounted.and_then(|()| start(&command, &variables, dir));
            let leader = started.as_ref().ok().and_then(|(child, _)| child.id());
            if let Some(leader) = leader.and_then(|id| i32::try_from(id).ok()) {
                shared.processes().insert(uid.clone(), leader);
            }
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                let outcome = match started {
                    Ok((child, output)) => run(&shared, &uid, child, output).await,
                    Err(error) => Err(format!("the command did not start: {error}")),
                };
                shared.ended(&uid, outcome);
            });
        }
        Work::End { uid, grace_ms } => {
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                signal(&shared, &uid, Signal::SIGTERM);
                tokio::time::sleep(Duration::from_millis(grace_ms)).await;
                signal(&shared, &uid, Signal::SIGKILL);
            });
        }
    }
}

/// Signals the group of a pod's process, if it has not been waited for yet.
fn signal(shared: &Shared, uid: &str, signal: Signal) {
    if let Some(leader) = shared.processes().get(uid) {
        // The group may have ended by itself.
        let _ = killpg(Pid::from_raw(*leader), signal);
    }
}

/// Ends every process at once, and what was mounted for them.
pub fn end_all(shared: &Shared) {
    for leader in shared.processes().values() {
        let _ = killpg(Pid::from_raw(*leader), Signal::SIGKILL);
    }
    for link in shared.links().drain(..) {
        // Somebody may have removed it.
        let _ = std::fs::remove_file(link);
    }
}

fn start(
    command: &str,
    variables: &BTreeMap<String, String>,
    dir: Option<PathBuf>,
) -> io::Result<(Child, Receiver)> {
    // One pipe for both streams keeps the order of what is written.
    let (reader, writer) = io::pipe()?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            shell.env(name, value);
        }
    }
    shell.envs(variables).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    if let Some(dir) = dir {
        shell.current_dir(dir);
    }
    let child = shell.spawn()?;
    Ok((child, Receiver::from_owned_fd(reader.into())?))
}

async fn run(shared: &Arc<Shared>, uid: &str, mut child: Child, output: Receiver) -> Result<(), String> {
    let lines = tokio::spawn(read(Arc::clone(shared), uid.to_owned(), output));
    let status = child.wait().await;
    // A container ends with its command: what that has left behind ends too.
    signal(shared, uid, Signal::SIGKILL);
    shared.processes().remove(uid);
    // What has left the group may hold the pipe open; it is not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(1), lines).await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn read(shared: Arc<Shared>, uid: String, output: Receiver) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut part = (&mut output).take(limits::LINE_BYTES as u64);
        match part.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                shared.wrote(&uid, text.trim_end_matches(['\n', '\r']).to_owned());
            }
        }
    }
}
