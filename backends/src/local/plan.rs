//! What a supervisor is told to do: everything decided, so that it has nothing to look up.

use super::config::{Config, VISIBLE};
use super::layout::{self, CHECKPOINT, Incarnation, PARAMS, REPORT, WORK};
use engine::id::SubmissionKey;
use engine::ports::backend::{CommandLine, TaskOrder};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that marks every process of a task; its value is the control directory.
pub(super) const MARK: &str = "RETRIAL_JOB";

/// The content of `order.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// Whether that is a shell with a line of the user.
    pub(super) shell: bool,
    /// Variables on top of the inherited environment; `None` takes one away.
    pub(super) env: BTreeMap<String, Option<String>>,
    /// The working directory.
    pub(super) workdir: PathBuf,
    /// The processors that the task may use; all if empty.
    pub(super) cpus: Vec<usize>,
    /// After this time it is ended, in milliseconds.
    pub(super) timeout_ms: Option<u64>,
    /// How long it may take to end after it was asked to, in milliseconds.
    pub(super) grace_ms: u64,
    /// Bytes of each stream that are kept.
    pub(super) log_limit: u64,
    /// The file that must be durable before the outcome.
    pub(super) report: PathBuf,
}

impl Plan {
    /// Decides everything for an order. The error is a reason to refuse it.
    pub(super) fn new(
        order: &TaskOrder,
        config: &Config,
        incarnation: Incarnation,
        runs: &Path,
    ) -> Result<Self, String> {
        let attempt = layout::attempt_dir(runs, &order.key);
        let argv = match &order.command {
            CommandLine::Shell(line) => vec![config.shell.clone(), "-c".to_owned(), line.clone()],
            CommandLine::Args(args) if args.first().is_some_and(|program| !program.is_empty()) => {
                args.clone()
            }
            CommandLine::Args(_) => return Err("the command is an empty list".to_owned()),
        };
        let workdir = match &config.workdir {
            None => attempt.join(WORK),
            Some(path) if Path::new(path).is_absolute() => PathBuf::from(path),
            Some(path) => return Err(format!("the working directory `{path}` is not an absolute path")),
        };
        if argv.iter().any(|arg| arg.contains('\0')) {
            return Err("the command contains a zero byte".to_owned());
        }
        if let Some(name) = order.env.iter().find_map(|(name, value)| {
            (name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')).then_some(name)
        }) {
            return Err(format!("`{name}` cannot be an environment variable"));
        }
        Ok(Self {
            argv,
            shell: matches!(order.command, CommandLine::Shell(_)),
            env: environment(order, config, incarnation, runs, &attempt)?,
            workdir,
            cpus: config.cpus_per_trial.map_or_else(Vec::new, |count| share_of_cpus(order.slot, count)),
            timeout_ms: order.timeout.map(|timeout| timeout.0),
            grace_ms: order.grace.0,
            log_limit: config.log_limit,
            report: attempt.join(REPORT),
        })
    }
}

fn environment(
    order: &TaskOrder,
    config: &Config,
    incarnation: Incarnation,
    runs: &Path,
    attempt: &Path,
) -> Result<BTreeMap<String, Option<String>>, String> {
    let text = |path: &Path| {
        path.to_str()
            .map(|text| Some(text.to_owned()))
            .ok_or_else(|| format!("the path {} is not UTF-8", path.display()))
    };
    let key = &order.key;
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| env.insert(name.to_owned(), value);
    if std::env::var_os("PYTHONUNBUFFERED").is_none() {
        // Otherwise a trainer's lines are seen only when its buffer is full.
        set("PYTHONUNBUFFERED", Some("1".to_owned()));
    }
    set("RETRIAL_EXPERIMENT", Some(key.experiment.to_string()));
    set("RETRIAL_TRIAL", Some(key.trial.to_string()));
    set("RETRIAL_ATTEMPT", Some(key.attempt.to_string()));
    set("RETRIAL_TASK", Some(key.task.to_string()));
    set("RETRIAL_SLOT", Some(order.slot.to_string()));
    set("RETRIAL_PARAMS", text(&attempt.join(PARAMS))?);
    set("RETRIAL_REPORT", text(&attempt.join(REPORT))?);
    set("RETRIAL_CHECKPOINT_DIR", text(&attempt.join(CHECKPOINT))?);
    set(MARK, text(&incarnation.control_dir(runs))?);
    // Taken away when there is none, because this program may itself run inside a trial.
    let from = newest_checkpoint(order, runs);
    set("RETRIAL_RESUME_FROM", from.as_deref().map(text).transpose()?.flatten());
    let gpus = config.gpus.names(std::env::var(VISIBLE).ok().as_deref())?;
    if !gpus.is_empty() {
        let first = usize::from(order.slot) * config.gpus_per_trial;
        let mine: Vec<&str> = (first..first + config.gpus_per_trial)
            .filter_map(|at| gpus.get(at % gpus.len()).map(String::as_str))
            .collect();
        set(VISIBLE, Some(mine.join(",")));
    }
    env.extend(order.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    Ok(env)
}

/// The first checkpoint directory, of the attempts to go on from, that holds anything: an attempt may end before it has
/// saved.
fn newest_checkpoint(order: &TaskOrder, runs: &Path) -> Option<PathBuf> {
    let mut dirs = order.resume_from.iter().map(|earlier| {
        let earlier = SubmissionKey { trial: earlier.trial, attempt: earlier.attempt, ..order.key };
        layout::attempt_dir(runs, &earlier).join(CHECKPOINT)
    });
    let holds_something = |dir: &PathBuf| fs::read_dir(dir).is_ok_and(|mut found| found.next().is_some());
    dirs.find(holds_something)
}

/// The processors of a slot, of those that this process may use; with more slots than processors, they are shared.
fn share_of_cpus(slot: u16, count: usize) -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    let usable: Vec<usize> = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect();
    let first = usize::from(slot) * count;
    let mut mine: Vec<usize> =
        (first..first + count).filter_map(|at| usable.get(at % usable.len().max(1)).copied()).collect();
    mine.sort_unstable();
    mine.dedup();
    mine
}
