//! The local backend with real processes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use async_trait::async_trait;
use engine::event::v1::Outcome;
use engine::id::{AttemptNo, SubmissionKey, TrialId};
use engine::ports::backend::{
    Backend, CommandLine, Earlier, Found, JobHandle, JobState, Source, Submitted, TaskOrder, TemplateFile,
};
use engine::testing::backend::{CASES, Script, Subject, key};
use engine::time::Span;
use retrial_backends::{self as backends, LocalBackend};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use support::orders::{block_on, shell};
use support::{ended, run_tests};
use tempfile::TempDir;

fn main() -> ExitCode {
    if let Some(code) = backends::supervise_if_asked() {
        return code;
    }
    run_tests(&[
        ("the_local_backend_obeys_its_port", the_local_backend_obeys_its_port),
        ("a_task_sees_its_environment", a_task_sees_its_environment),
        ("templates_are_filled_before_the_first_task", templates_are_filled_before_the_first_task),
        (
            "a_later_attempt_goes_on_from_a_checkpoint_that_exists",
            a_later_attempt_goes_on_from_a_checkpoint_that_exists,
        ),
        (
            "a_task_over_its_time_is_ended_with_all_its_processes",
            a_task_over_its_time_is_ended_with_all_its_processes,
        ),
        (
            "a_task_that_ignores_the_request_to_end_is_killed",
            a_task_that_ignores_the_request_to_end_is_killed,
        ),
        ("what_a_task_leaves_behind_is_ended", what_a_task_leaves_behind_is_ended),
        (
            "a_killed_supervisor_means_a_lost_job_and_no_orphan",
            a_killed_supervisor_means_a_lost_job_and_no_orphan,
        ),
        (
            "a_signal_from_outside_makes_a_job_lost_and_not_stopped",
            a_signal_from_outside_makes_a_job_lost_and_not_stopped,
        ),
        (
            "a_program_that_does_not_exist_is_a_failure_with_a_cure",
            a_program_that_does_not_exist_is_a_failure_with_a_cure,
        ),
        ("a_missing_supervisor_leaves_the_key_free", a_missing_supervisor_leaves_the_key_free),
        ("a_supervisor_that_gives_up_means_a_lost_job", a_supervisor_that_gives_up_means_a_lost_job),
        (
            "a_slow_supervisor_gives_up_once_its_key_was_searched_for",
            a_slow_supervisor_gives_up_once_its_key_was_searched_for,
        ),
        (
            "a_stop_before_the_supervisor_came_starts_nothing",
            a_stop_before_the_supervisor_came_starts_nothing,
        ),
        ("long_output_is_kept_within_its_limit", long_output_is_kept_within_its_limit),
        ("orders_that_can_never_work_are_refused", orders_that_can_never_work_are_refused),
        ("a_change_is_announced", a_change_is_announced),
        ("no_zombies_are_left", no_zombies_are_left),
        ("processors_and_devices_are_shared_out_by_slot", processors_and_devices_are_shared_out_by_slot),
    ])
}

fn backend(dir: &Path) -> LocalBackend {
    LocalBackend::new(dir.join("runs"), backends::supervisor_command())
}

struct Local {
    dir: TempDir,
    backend: LocalBackend,
}

impl Local {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { backend: backend(dir.path()), dir }
    }
}

#[async_trait]
impl Subject for Local {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn restart(&mut self) {
        self.backend = backend(self.dir.path());
    }

    async fn pass(&mut self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    fn order(&self, key: SubmissionKey, script: Script) -> TaskOrder {
        let starts = self.dir.path().join(key.to_string());
        let what = match script {
            Script::Print => "printf 'one\\ntwo\\nthree\\n'".to_owned(),
            Script::Fail(code) => format!("echo it broke >&2; exit {code}"),
            Script::Forever => "while :; do sleep 60; done".to_owned(),
        };
        shell(key, &format!("echo start >> '{}'; {what}", starts.display()))
    }

    fn starts(&self, key: &SubmissionKey) -> usize {
        fs::read_to_string(self.dir.path().join(key.to_string())).map_or(0, |text| text.lines().count())
    }
}

fn the_local_backend_obeys_its_port() {
    for (name, case) in CASES {
        block_on(async {
            if let Err(violation) = case(&mut Local::new()).await {
                panic!("{name}: {violation}");
            }
        });
    }
}

async fn submit(backend: &LocalBackend, order: &TaskOrder) -> JobHandle {
    match backend.submit(order).await {
        Submitted::Accepted(handle) => handle,
        other => panic!("{other:?}"),
    }
}

/// Runs a task to its end; gives its outcome, standard output and standard error.
async fn complete(backend: &LocalBackend, order: &TaskOrder) -> (Outcome, String, String) {
    let handle = submit(backend, order).await;
    let JobState::Ended { outcome, .. } = ended(backend, &handle).await else { unreachable!() };
    let mut texts = Vec::new();
    for source in [Source::Stdout, Source::Stderr] {
        let bytes = backend.read(&handle, &source, 0, 1 << 20).await.unwrap().bytes;
        texts.push(String::from_utf8(bytes).unwrap());
    }
    let stderr = texts.pop().unwrap();
    (outcome, texts.pop().unwrap(), stderr)
}

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

fn a_task_sees_its_environment() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let mut order = shell(
            key(7, 1),
            "echo $RETRIAL_EXPERIMENT $RETRIAL_TRIAL $RETRIAL_ATTEMPT $RETRIAL_TASK $RETRIAL_SLOT $MINE \
             $PYTHONUNBUFFERED ${RETRIAL_RESUME_FROM-none}; cat $RETRIAL_PARAMS; echo; pwd; \
             echo '{\"value\":1}' > $RETRIAL_REPORT; test -d $RETRIAL_CHECKPOINT_DIR && cat && echo x > made",
        );
        order.env.insert("MINE".to_owned(), "yes".to_owned());
        order.params.insert("net".to_owned(), json!({"lr": 0.1}));
        order.slot = 3;
        let (outcome, stdout, stderr) = complete(&backend, &order).await;
        assert_eq!((outcome, stderr.as_str()), (Outcome::Succeeded, ""));
        let work = backend.attempt_dir(&order.key).join("work");
        let wanted = format!(
            "{} 7 1 1 3 yes 1 none\n{{\"net\":{{\"lr\":0.1}}}}\n{}\n",
            order.key.experiment,
            work.display()
        );
        assert_eq!(stdout, wanted);
        let handle = JobHandle(format!("{}.1", order.key));
        let report = backend.read(&handle, &Source::Report, 0, 100).await.unwrap();
        assert_eq!((&report.bytes[..], report.at_end), (&b"{\"value\":1}\n"[..], true));
        let file = backend.read(&handle, &Source::File("made".to_owned()), 1, 100).await.unwrap();
        assert_eq!(file.bytes, b"\n");
        assert_eq!(backend.list(&handle, ".").await.unwrap(), ["./made"]);
        assert!(backend.list(&handle, "absent").await.is_err());
    });
}

fn templates_are_filled_before_the_first_task() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        fs::write(dir.path().join("in.toml"), "lr = ${lr}\nhome = ${HOME}\n").unwrap();
        let mut order = shell(key(1, 0), "cat conf/out.toml; echo changed > conf/out.toml");
        order.bindings = vec![("lr".to_owned(), "0.5".to_owned())];
        order.templates = vec![TemplateFile {
            source: dir.path().join("in.toml").display().to_string(),
            target: "conf/out.toml".to_owned(),
        }];
        assert_eq!(complete(&backend, &order).await.1, "lr = 0.5\nhome = ${HOME}\n");
        order.key.task.0 = 1;
        assert_eq!(complete(&backend, &order).await.1, "changed\n");
    });
}

fn a_later_attempt_goes_on_from_a_checkpoint_that_exists() {
    // The attempts up to one, the newest first.
    let earlier = |newest: u32| {
        (1..=newest).rev().map(|n| Earlier { trial: TrialId(1), attempt: AttemptNo(n) }).collect::<Vec<_>>()
    };
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let line = "echo ${RETRIAL_RESUME_FROM-none}; echo x > $RETRIAL_CHECKPOINT_DIR/model";
        let mut order = shell(key(1, 0), line);
        order.resume_from = earlier(7);
        assert_eq!(complete(&backend, &order).await.1, "none\n");
        let first = backend.attempt_dir(&order.key).join("checkpoint");
        order.key.attempt = AttemptNo(2);
        order.resume_from = earlier(1);
        order.command = CommandLine::Shell("echo ${RETRIAL_RESUME_FROM-none}".to_owned());
        assert_eq!(complete(&backend, &order).await.1, format!("{}\n", first.display()));
        // The attempt between has saved nothing.
        order.key.attempt = AttemptNo(3);
        order.resume_from = earlier(2);
        assert_eq!(complete(&backend, &order).await.1, format!("{}\n", first.display()));
    });
}

/// Waits until a condition gives a value.
async fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < support::PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A line that notes the process ids of a child in another session and of the shell, and goes on for ever.
fn spread(dir: &Path) -> String {
    let pids = dir.join("pids");
    format!(
        "setsid sh -c 'echo $$ >> {0}; sleep 300' & (sleep 300 & echo $! >> {0}; wait) & echo $$ >> {0}; wait",
        pids.display()
    )
}

async fn spread_pids(dir: &Path) -> Vec<String> {
    wait_for("three processes", || {
        let text = fs::read_to_string(dir.join("pids")).unwrap_or_default();
        let pids: Vec<String> = text.lines().map(str::to_owned).collect();
        (pids.len() == 3 && text.ends_with('\n')).then_some(pids)
    })
    .await
}

fn a_task_over_its_time_is_ended_with_all_its_processes() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let mut order = shell(key(1, 0), &spread(dir.path()));
        order.timeout = Some(Span(700));
        let handle = submit(&backend, &order).await;
        let pids = spread_pids(dir.path()).await;
        let JobState::Ended { outcome, started, ended } = ended(&backend, &handle).await else {
            unreachable!()
        };
        assert_eq!(outcome, Outcome::TimedOut);
        assert!(ended.since(started.unwrap()).0 >= 700);
        assert!(!pids.iter().any(|pid| is_alive(pid)), "{pids:?}");
    });
}

fn a_task_that_ignores_the_request_to_end_is_killed() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let mut order = shell(key(1, 0), "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        order.grace = Span(100);
        let handle = submit(&backend, &order).await;
        while backend.read(&handle, &Source::Stdout, 0, 10).await.unwrap().bytes.is_empty() {
            tokio::task::yield_now().await;
        }
        backend.stop(&handle).await.unwrap();
        let state = ended(&backend, &handle).await;
        assert!(matches!(state, JobState::Ended { outcome: Outcome::Stopped, .. }), "{state:?}");
    });
}

fn what_a_task_leaves_behind_is_ended() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let line =
            spread(dir.path()).replace("; wait", "; while [ $(wc -l < PIDS) -lt 3 ]; do :; done; echo done");
        let line = line.replacen("(sleep 300 & echo $! >>", "(trap '' TERM; sleep 300 & echo $! >>", 1);
        let line = line.replace("PIDS", &dir.path().join("pids").display().to_string());
        let mut order = shell(key(1, 0), &line);
        order.grace = Span(200);
        let (outcome, stdout, _) = complete(&backend, &order).await;
        assert_eq!((outcome, stdout.lines().last()), (Outcome::Succeeded, Some("done")));
        let pids = spread_pids(dir.path()).await;
        assert!(!pids.iter().any(|pid| is_alive(pid)), "{pids:?}");
    });
}

fn supervisor_of(dir: &Path) -> String {
    let claim = fs::read_to_string(dir.join("task-0.1/claim")).unwrap();
    let line: serde_json::Value = serde_json::from_str(claim.lines().next().unwrap()).unwrap();
    line["claimed"]["pid"].to_string()
}

fn signal(signal: &str, pid: &str) {
    assert!(std::process::Command::new("kill").args([signal, pid]).status().unwrap().success());
}

fn a_killed_supervisor_means_a_lost_job_and_no_orphan() {
    for restarted in [false, true] {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let first = backend(dir.path());
            let order = shell(key(1, 0), &spread(dir.path()));
            let handle = submit(&first, &order).await;
            let pids = spread_pids(dir.path()).await;
            let supervisor = supervisor_of(&first.attempt_dir(&order.key));
            signal("-KILL", &supervisor);
            let backend = if restarted { backend(dir.path()) } else { first };
            let state = ended(&backend, &handle).await;
            let told = matches!(&state, JobState::Ended { outcome: Outcome::Lost { reason }, started: Some(_), .. }
                if reason.contains("supervisor was killed"));
            assert!(told, "{state:?}");
            assert!(!pids.iter().any(|pid| is_alive(pid)), "{pids:?}");
            let again = backend.submit(&order).await;
            assert_eq!(again, Submitted::AlreadyExists(handle), "a lost task was started again");
        });
    }
}

fn a_signal_from_outside_makes_a_job_lost_and_not_stopped() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let order = shell(key(1, 0), &spread(dir.path()));
        let handle = submit(&backend, &order).await;
        spread_pids(dir.path()).await;
        signal("-TERM", &supervisor_of(&backend.attempt_dir(&order.key)));
        let state = ended(&backend, &handle).await;
        assert!(matches!(state, JobState::Ended { outcome: Outcome::Lost { .. }, .. }), "{state:?}");
    });
}

fn a_program_that_does_not_exist_is_a_failure_with_a_cure() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let mut order = shell(key(1, 0), "no-such-program --lr 1");
        let (outcome, _, _) = complete(&backend, &order).await;
        let cured = |outcome: &Outcome| {
            matches!(outcome, Outcome::Failed { reason, .. }
                if reason.contains("no-such-program") && reason.contains("${spec_dir}") && reason.contains("/work"))
        };
        assert!(cured(&outcome), "{outcome:?}");
        order.command = CommandLine::Args(vec!["./no-such-program".to_owned()]);
        order.key.trial.0 = 2;
        let (outcome, _, _) = complete(&backend, &order).await;
        assert!(cured(&outcome), "{outcome:?}");
        order.command =
            CommandLine::Args(vec!["printf".to_owned(), "%s|".to_owned(), "a b".to_owned(), "$X".to_owned()]);
        order.key.trial.0 = 3;
        let (outcome, stdout, _) = complete(&backend, &order).await;
        assert_eq!((outcome, stdout.as_str()), (Outcome::Succeeded, "a b|$X|"));
    });
}

fn a_missing_supervisor_leaves_the_key_free() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let broken = LocalBackend::new(dir.path().join("runs"), vec!["/no/such/program".into()]);
        let order = shell(key(1, 0), "echo fine");
        let answer = broken.submit(&order).await;
        assert!(
            matches!(&answer, Submitted::Later(_, reason) if reason.contains("/no/such/program")),
            "{answer:?}"
        );
        let (outcome, stdout, _) = complete(&backend(dir.path()), &order).await;
        assert_eq!((outcome, stdout.as_str()), (Outcome::Succeeded, "fine\n"));
    });
}

fn a_supervisor_that_gives_up_means_a_lost_job() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let broken = LocalBackend::new(dir.path().join("runs"), vec!["false".into()]);
        let order = shell(key(1, 0), "echo fine");
        let handle = submit(&broken, &order).await;
        let state = ended(&broken, &handle).await;
        assert!(matches!(&state, JobState::Ended { outcome: Outcome::Lost { .. }, .. }), "{state:?}");
    });
}

/// A backend whose supervisors begin only when there is a file `go`, and leave a file `gone` at their end.
fn slow_backend(dir: &Path) -> LocalBackend {
    let line = format!(
        "cd '{}'; while ! [ -e go ]; do sleep 0.01; done; \"$0\" __supervise \"$1\"; touch gone",
        dir.display()
    );
    let program = std::env::current_exe().unwrap();
    let command = vec!["sh".into(), "-c".into(), line.into(), program.into()];
    LocalBackend::new(dir.join("runs"), command)
}

async fn release(dir: &Path) {
    fs::write(dir.join("go"), "").unwrap();
    wait_for("the slow supervisor", || dir.join("gone").exists().then_some(())).await;
}

fn a_slow_supervisor_gives_up_once_its_key_was_searched_for() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let slow = slow_backend(dir.path());
        let starts = dir.path().join("starts");
        let order = shell(key(1, 0), &format!("echo x >> '{}'", starts.display()));
        let first = submit(&slow, &order).await;
        assert_eq!(slow.find(&order).await, Found::One(first.clone()), "its own controller waits for it");
        let next = backend(dir.path());
        assert_eq!(next.find(&order).await, Found::NoneForSure);
        let second = submit(&next, &order).await;
        assert_ne!(first, second);
        let state = ended(&next, &second).await;
        assert!(matches!(state, JobState::Ended { outcome: Outcome::Succeeded, .. }), "{state:?}");
        release(dir.path()).await;
        assert_eq!(fs::read_to_string(starts).unwrap(), "x\n");
        let state = ended(&next, &first).await;
        assert!(matches!(state, JobState::Ended { outcome: Outcome::Lost { .. }, .. }), "{state:?}");
    });
}

fn a_stop_before_the_supervisor_came_starts_nothing() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let slow = slow_backend(dir.path());
        let starts = dir.path().join("starts");
        let order = shell(key(1, 0), &format!("echo x >> '{}'", starts.display()));
        let handle = submit(&slow, &order).await;
        slow.stop(&handle).await.unwrap();
        release(dir.path()).await;
        for backend in [slow, backend(dir.path())] {
            let state = ended(&backend, &handle).await;
            assert!(
                matches!(state, JobState::Ended { outcome: Outcome::Stopped, started: None, .. }),
                "{state:?}"
            );
            assert_eq!(backend.submit(&order).await, Submitted::AlreadyExists(handle.clone()));
        }
        assert!(!starts.exists());
    });
}

fn long_output_is_kept_within_its_limit() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let mut order = shell(key(1, 0), "seq 1 100000");
        order.config = json!({"log_limit": 80_000});
        let handle = submit(&backend, &order).await;
        ended(&backend, &handle).await;
        let whole = (1..=100_000).map(|n| n.to_string() + "\n").collect::<String>();
        let first = backend.read(&handle, &Source::Stdout, 0, 1 << 20).await.unwrap();
        assert_eq!((first.start, &first.bytes[..]), (0, &whole.as_bytes()[..10_000]));
        assert!(!first.at_end);
        let rest = backend.read(&handle, &Source::Stdout, 10_000, 1 << 20).await.unwrap();
        assert!(rest.at_end && rest.bytes.len() >= 60_000 && rest.bytes.len() <= 70_000);
        assert_eq!(&rest.bytes[..], &whole.as_bytes()[usize::try_from(rest.start).unwrap()..]);
    });
}

fn orders_that_can_never_work_are_refused() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let good = shell(key(1, 0), "true");
        let template = TemplateFile { source: "/no/such/file".to_owned(), target: "x".to_owned() };
        for bad in [
            TaskOrder { command: CommandLine::Args(Vec::new()), ..good.clone() },
            TaskOrder { config: json!({"gpu": 1}), ..good.clone() },
            TaskOrder { config: json!({"workdir": "${unbound}"}), ..good.clone() },
            TaskOrder { templates: vec![template], ..good.clone() },
            TaskOrder { env: [("A=B".to_owned(), String::new())].into(), ..good.clone() },
        ] {
            let answer = backend.submit(&bad).await;
            assert!(matches!(answer, Submitted::Refused(_)), "{bad:?}: {answer:?}");
        }
        assert_eq!(complete(&backend, &good).await.0, Outcome::Succeeded);
    });
}

fn a_change_is_announced() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let changed = backend.changed();
        let order = shell(key(1, 0), "true");
        let (handle, ()) = tokio::join!(submit(&backend, &order), async {
            tokio::time::timeout(support::PATIENCE, changed).await.unwrap();
        });
        ended(&backend, &handle).await;
    });
}

/// Processes that have ended and whose end this process has not taken note of.
fn zombies() -> BTreeSet<String> {
    let mine = std::process::id().to_string();
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (name, rest) = stat.rsplit_once(')')?;
            let mut fields = rest.split_whitespace();
            (fields.next() == Some("Z") && fields.next() == Some(&mine)).then(|| name.to_owned())
        })
        .collect()
}

fn no_zombies_are_left() {
    block_on(async {
        // Other tests drop their backends before those have seen the end of their supervisors.
        let before = zombies();
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        for trial in 0..5 {
            complete(&backend, &shell(key(trial, 0), "true")).await;
        }
        // Reaped at the latest by the sweep of a later poll.
        let began = std::time::Instant::now();
        while !zombies().is_subset(&before) {
            backend.poll(&[]).await;
            assert!(began.elapsed() < support::PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

fn processors_and_devices_are_shared_out_by_slot() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = backend(dir.path());
        let mut seen = Vec::new();
        for slot in 0..2 {
            let mut order = shell(key(u32::from(slot), 0), "echo $CUDA_VISIBLE_DEVICES; nproc");
            order.slot = slot;
            order.config = json!({"gpus": ["a", "b", "c", "d"], "gpus_per_trial": 2, "cpus_per_trial": 1});
            seen.push(complete(&backend, &order).await.1);
        }
        assert_eq!(seen, ["a,b\n1\n", "c,d\n1\n"]);
    });
}
