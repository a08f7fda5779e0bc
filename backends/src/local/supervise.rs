//! The supervisor of one task: a process of its own that outlives whoever asked for the task.
//!
//! It blocks in one `poll` call on the task's two pipes and on signals; there is no thread and no async runtime in
//! it, because there is one supervisor per running task. Read [`supervise`] first, then [`Watch::run`].

use super::claim::{Claim, Line};
use super::layout::{ERROR, ORDER, STOP};
use super::log::LogWriter;
use super::plan::Plan;
use super::process::{self, Identity};
use super::reason::{self, End, Failure};
use super::signals::Signals;
use engine::event::v1::Outcome;
use engine::time::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, close, setsid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The first argument that turns the program into a supervisor.
pub const SUPERVISE: &str = "__supervise";

/// How long processes that a task left behind may hold its pipes before they are ended.
const LINGER: Duration = Duration::from_millis(100);
/// How long they may take to end after they were asked to, at most.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// How long to wait for processes to vanish that were killed.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// Time between two looks at processes that are being killed.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// Bytes read from the pipes after the task has ended, at most: what others still write is not its.
const LAST_BYTES: usize = 4 << 20;
/// Bytes taken from a pipe in one turn: a task that never stops writing must not keep its deadline from being seen.
const TURN_BYTES: usize = 1 << 20;
/// Time between two tries to write an outcome to a full disk, and how often.
const OUTCOME_RETRY: (Duration, u32) = (Duration::from_secs(1), 3_600);
/// Time between two tries to write the log of a task to a full disk.
const LOG_RETRY: Duration = Duration::from_millis(250);
/// How long to wait for room for the last of it, after the task has ended.
const LOG_PATIENCE: Duration = Duration::from_hours(1);

/// The command that makes this program a supervisor, for [`super::LocalBackend::new`]. It names the running
/// program, not a file, so that it goes on working when the file is replaced by a newer version.
pub fn supervisor_command() -> Vec<OsString> {
    vec!["/proc/self/exe".into(), SUPERVISE.into()]
}

/// Runs as a supervisor if the program was called as one. `main` calls this before anything else, and ends with
/// the code given.
pub fn supervise_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != SUPERVISE {
        return None;
    }
    let dir = args.next()?;
    let_go();
    Some(supervise(Path::new(&dir)))
}

/// Supervises the task of a control directory until its end.
pub fn supervise(dir: &Path) -> ExitCode {
    // First of all: a Ctrl-C for the program that asked is not for the task.
    let _ = setsid();
    match run(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads what a supervisor prints. Without a claim the job counts as never begun.
            let _ = fs::write(dir.join(ERROR), error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Closes what the program that asked had open, such as a lock that was to end with it. Nothing of it is for the task.
fn let_go() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // The one that listed them is closed already.
        let _ = close(fd);
    }
}

fn run(dir: &Path) -> io::Result<()> {
    // Before there is a claim: whoever sees the claim may signal.
    let signals = Signals::take()?;
    set_child_subreaper(true)?;
    let plan: Plan = serde_json::from_slice(&fs::read(dir.join(ORDER))?)?;
    let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let own = Identity::of(own, &process::boot()).ok_or_else(|| io::Error::other("/proc is not there"))?;
    let Some(mut claim) = Claim::take(dir, &own)? else { return Ok(()) };
    // From here on, whatever happens is told in the claim.
    let outcome = if dir.join(STOP).exists() {
        Outcome::Stopped
    } else {
        match start(dir, &plan, signals, &mut claim) {
            Ok(watch) => watch.run(),
            Err(outcome) => outcome,
        }
    };
    conclude(&mut claim, outcome);
    Ok(())
}

/// Writes the outcome. On a full disk it keeps trying: a result of hours must not be lost for a few bytes.
fn conclude(claim: &mut Claim, outcome: Outcome) {
    let mut outcome = outcome;
    for _ in 0..OUTCOME_RETRY.1 {
        let line = Line::Ended { at: now(), outcome: outcome.clone() };
        if claim.add(&line).and_then(|()| claim.sync()).is_ok() {
            return;
        }
        if let Outcome::Failed { reason, .. } = &mut outcome {
            *reason = reason::bounded(reason.lines().next().unwrap_or_default(), "");
        }
        thread::sleep(OUTCOME_RETRY.0);
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn failed_to_start(reason: String) -> Outcome {
    Outcome::Failed { exit: None, signal: None, reason }
}

/// Starts the task.
fn start(dir: &Path, plan: &Plan, signals: Signals, claim: &mut Claim) -> Result<Watch, Outcome> {
    let (program, args) =
        plan.argv.split_first().ok_or_else(|| failed_to_start("the command is an empty list".to_owned()))?;
    pin(&plan.cpus).map_err(|error| failed_to_start(format!("failed to set the processors: {error}")))?;
    let mut command = Command::new(program);
    command.args(args).current_dir(&plan.workdir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in &plan.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = signals
        .as_by_default(|| command.spawn())
        .map_err(|error| failed_to_start(reason::not_started(program, &plan.workdir, &error)))?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    // A start that cannot be written down (a full disk) is no reason to end the task.
    let _ = claim.add(&Line::Started { at: now(), pid });
    let pipes = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let [stdout, stderr] = pipes;
    let pump = |pipe, stream| Pump::new(pipe, LogWriter::new(dir, stream, plan.log_limit));
    let deadline = plan.timeout_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    Ok(Watch {
        main: Pid::from_raw(pid),
        pumps: [pump(stdout, "stdout"), pump(stderr, "stderr")],
        signals,
        stop: dir.join(STOP),
        report: plan.report.clone(),
        workdir: plan.workdir.clone(),
        shell: plan.shell,
        grace: Duration::from_millis(plan.grace_ms),
        deadline,
        ending: None,
    })
}

fn pin(cpus: &[usize]) -> nix::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Moves bytes from a pipe of the task to its log.
#[derive(Debug)]
struct Pump {
    pipe: Option<File>,
    log: LogWriter,
}

impl Pump {
    fn new(pipe: Option<OwnedFd>, log: LogWriter) -> Self {
        let pipe = pipe.filter(|pipe| fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok());
        Self { pipe: pipe.map(File::from), log }
    }

    /// Moves what is there, at most `limit` bytes. While the disk is full nothing is moved: the task waits once its pipe
    /// is full as well.
    fn drain(&mut self, buffer: &mut [u8], limit: usize) {
        let mut moved = 0;
        while moved < limit && !self.log.is_blocked() {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    self.log.write(buffer.get(..count).unwrap_or_default());
                    moved += count;
                    // A short read has emptied the pipe; the next poll tells when there is more.
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// Why a task is being ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Asked,
    TimedOut,
    /// Somebody sent a signal to the supervisor without asking for a stop: the machine goes down.
    Outside,
}

/// A running task and all that is watched of it.
#[derive(Debug)]
struct Watch {
    main: Pid,
    pumps: [Pump; 2],
    signals: Signals,
    stop: PathBuf,
    report: PathBuf,
    workdir: PathBuf,
    shell: bool,
    grace: Duration,
    deadline: Option<Instant>,
    /// Why it is being ended, and when it is killed.
    ending: Option<(Ending, Option<Instant>)>,
}

impl Watch {
    /// Watches the task until it and everything that it left behind has ended.
    fn run(mut self) -> Outcome {
        let mut buffer = vec![0; 65_536];
        // A stop that came between the claim and the start has sent its signal already.
        let status = loop {
            if let Some(status) = self.main_status() {
                break status;
            }
            self.wait(self.next_deadline());
            for pump in &mut self.pumps {
                pump.drain(&mut buffer, TURN_BYTES);
            }
            if self.read_signals() && self.ending.is_none() {
                let why = if self.stop.exists() { Ending::Asked } else { Ending::Outside };
                self.end(why);
            }
            let now = Instant::now();
            match self.ending {
                None if self.deadline.is_some_and(|deadline| now >= deadline) => self.end(Ending::TimedOut),
                Some((why, Some(kill_at))) if now >= kill_at => {
                    self.ending = Some((why, None));
                    let _ = killpg(self.main, Signal::SIGKILL);
                }
                _ => {}
            }
        };
        self.clean_up(&mut buffer);
        self.sync();
        self.outcome(status)
    }

    /// The end of the main process, without reaping it: until then its number belongs to nobody else.
    fn main_status(&mut self) -> Option<End> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(self.main), flags) {
                Ok(WaitStatus::Exited(_, code)) => return Some(End::Exit(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Some(End::Signal(signal as i32)),
                Err(Errno::EINTR) => {}
                Err(_) => return Some(End::Signal(0)),
                Ok(_) => return None,
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.ending {
            Some((_, kill_at)) => kill_at,
            None => self.deadline,
        }
    }

    /// Blocks until there is something to do.
    fn wait(&self, until: Option<Instant>) {
        let again = Instant::now() + LOG_RETRY;
        let until = if self.is_blocked() { Some(until.map_or(again, |at| at.min(again))) } else { until };
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            // Rounded up, so that the deadline has passed when it ends.
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let pipes = self.pumps.iter().filter(|pump| !pump.log.waits()).filter_map(|pump| pump.pipe.as_ref());
        fds.extend(pipes.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        let _ = poll(&mut fds, timeout);
    }

    /// Takes the signals that came. Whether one of them asks for the end.
    fn read_signals(&mut self) -> bool {
        let mut asked = false;
        while let Some(signal) = self.signals.next() {
            asked |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
            if signal == Signal::SIGCHLD {
                self.reap_adopted();
            }
        }
        asked
    }

    /// Reaps what was left to this process by the task's own processes, but not the main one.
    fn reap_adopted(&self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, flags) {
            match status.pid() {
                Some(pid) if pid != self.main => {
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
                _ => return,
            }
        }
    }

    /// Asks the task to end.
    fn end(&mut self, why: Ending) {
        self.ending = Some((why, Instant::now().checked_add(self.grace)));
        let _ = killpg(self.main, Signal::SIGTERM);
        // A stopped process would not see it.
        let _ = killpg(self.main, Signal::SIGCONT);
    }

    fn is_blocked(&self) -> bool {
        self.pumps.iter().any(|pump| pump.log.waits())
    }

    /// Waits until the disk has room for what a task wrote that came to its end by itself.
    fn wait_for_room(&mut self, buffer: &mut [u8]) {
        let patience = Instant::now() + LOG_PATIENCE;
        loop {
            for pump in &mut self.pumps {
                pump.drain(buffer, LAST_BYTES);
            }
            if !self.is_blocked() || self.ending.is_some() || Instant::now() >= patience {
                return;
            }
            self.wait(Some(patience));
            if self.read_signals() {
                return;
            }
        }
    }

    /// After the end of the main process: takes what it wrote, and ends what it left behind.
    fn clean_up(&mut self, buffer: &mut [u8]) {
        self.wait_for_room(buffer);
        let linger = Instant::now() + LINGER;
        loop {
            for pump in &mut self.pumps {
                pump.drain(buffer, LAST_BYTES);
            }
            let open = self.pumps.iter().any(|pump| pump.pipe.is_some());
            // Once it was killed there is nothing to wait for.
            if !open || Instant::now() >= linger || matches!(self.ending, Some((_, None))) {
                break;
            }
            self.wait(Some(linger));
            self.read_signals();
        }
        let _ = waitpid(self.main, None);
        let group = self.main.as_raw();
        let (mut signal, asked_already, kill_at) = match self.ending {
            None => (Signal::SIGTERM, false, Instant::now() + self.grace.min(LEFTOVER_GRACE)),
            // The shell has ended at once; what it had started cleans up, and has the grace for it.
            Some((_, Some(kill_at))) => (Signal::SIGTERM, true, kill_at),
            Some((_, None)) => (Signal::SIGKILL, true, Instant::now()),
        };
        let give_up = kill_at + KILL_WAIT;
        // Everything that the task ever started is below this process, whatever group or session it went to.
        while !no_children() && Instant::now() < give_up {
            for found in process::descendants(i32::try_from(std::process::id()).unwrap_or(0)) {
                // Who was asked is not asked again: many programs take the second time for an order to drop everything.
                if !(signal == Signal::SIGTERM && asked_already && found.group == group) {
                    let _ = kill(Pid::from_raw(found.pid), signal);
                }
            }
            let next = if signal == Signal::SIGTERM { kill_at } else { Instant::now() + KILL_AGAIN };
            while !no_children() && Instant::now() < next {
                self.wait(Some(next));
                self.read_signals();
                for pump in &mut self.pumps {
                    pump.drain(buffer, LAST_BYTES);
                }
            }
            signal = Signal::SIGKILL;
        }
        for pump in &mut self.pumps {
            pump.drain(buffer, LAST_BYTES);
        }
    }

    /// Makes durable what the outcome relies on.
    fn sync(&self) {
        for pump in &self.pumps {
            let _ = pump.log.sync();
        }
        if let Ok(report) = File::open(&self.report) {
            let _ = report.sync_data();
        }
    }

    fn outcome(&self, end: End) -> Outcome {
        let missing = self.pumps.iter().find_map(|pump| pump.log.missing());
        if let (End::Exit(0), None, Some(why)) = (end, self.ending, missing) {
            // A value that is read from a part of it would be a wrong one.
            let reason = format!("it ended well, but part of what it wrote could not be kept: {why}");
            return Outcome::Lost { reason };
        }
        match (end, self.ending) {
            // It came to its end by itself before anybody could end it.
            (End::Exit(0), None) => Outcome::Succeeded,
            (_, Some((Ending::Asked, _))) => Outcome::Stopped,
            (_, Some((Ending::TimedOut, _))) => Outcome::TimedOut,
            (_, Some((Ending::Outside, _))) => Outcome::Lost {
                reason:
                    "the task's supervisor was told to end from outside, as when the machine is shut down"
                        .to_owned(),
            },
            (end, None) => {
                let (exit, signal) = match end {
                    End::Exit(code) => (Some(code), None),
                    End::Signal(signal) => (None, Some(signal)),
                };
                let [stdout, stderr] = &self.pumps;
                let reason = reason::failed(&Failure {
                    end,
                    shell: self.shell,
                    workdir: &self.workdir,
                    stderr: stderr.log.tail(),
                    stdout: stdout.log.tail(),
                });
                Outcome::Failed { exit, signal, reason }
            }
        }
    }
}

/// Reaps what has ended; whether there is no child left at all.
fn no_children() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return true,
            Err(Errno::EINTR) => {}
            Err(_) | Ok(WaitStatus::StillAlive) => return false,
            Ok(_) => {}
        }
    }
}
