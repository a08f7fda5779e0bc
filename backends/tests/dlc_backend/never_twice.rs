//! No task is run twice, whatever happens to requests, answers and controllers.
//!
//! [`Play`] does what the runtime does with a backend, for many submissions at once: it submits, looks for what is in
//! doubt, polls, and is killed now and then. Begin with [`Play::run`].

use super::stage::{Stage, life};
use engine::event::v1::Outcome;
use engine::id::{AttemptNo, SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{Backend, Found, JobHandle, JobState, Submitted};
use retrial_backends::dlc::backend::DlcBackend;
use retrial_backends::dlc::handle::JobName;
use serde_json::{Value, json};
use simulators::dice::Dice;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Submissions under way at once.
const CONCURRENCY: usize = 60;
/// Between two rounds of the controller, and between two polls.
const ROUND_MS: i64 = 500;
const POLL_MS: i64 = 5_000;
/// Between two searches, at first and at most.
const FIRST_WAIT_MS: i64 = 500;
const LONGEST_WAIT_MS: i64 = 60_000;
/// A run that has not come to its end by then does not.
const LONGEST_MS: i64 = 4 * 3_600_000;
/// How long a job runs: longer than any copy is on its way, any list lags, and a doubt lasts.
const RUNNING_MS: i64 = 300_000;

/// What this process knows of a submission.
enum Known {
    /// It has to be sent.
    New,
    /// It may have been sent.
    InDoubt,
    Held(JobHandle),
    Ended(JobHandle, Outcome),
}

struct Submission {
    known: Known,
    /// Until the next call, which comes then.
    wait_ms: i64,
    at_ms: i64,
}

impl Submission {
    fn new() -> Self {
        Self { known: Known::New, wait_ms: FIRST_WAIT_MS, at_ms: 0 }
    }

    fn is_due(&self, now_ms: i64) -> bool {
        matches!(self.known, Known::New | Known::InDoubt) && self.at_ms <= now_ms
    }
}

struct Play {
    stage: Arc<Stage>,
    backend: DlcBackend,
    dice: Dice,
    more: Value,
    keys: BTreeMap<SubmissionKey, Submission>,
    now_ms: i64,
    kills: u32,
    /// Submissions that were sent again after a doubt.
    sent_again: u32,
}

fn key(trial: u32) -> SubmissionKey {
    SubmissionKey {
        experiment: "kq3m2x7a".parse().unwrap(),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        task: TaskIndex(0),
    }
}

impl Play {
    fn new(script: Value, more: Value, seed: u64) -> Self {
        let mut script = script;
        script["seed"] = json!(seed);
        script["life"] = life(
            &[
                ("Creating", Some(1_000)),
                ("Queuing", Some(2_000)),
                ("Running", Some(RUNNING_MS)),
                ("Succeeded", None),
            ],
            &[],
        );
        let stage = Stage::new(script);
        let backend = stage.controller();
        let keys = BTreeMap::new();
        Self { stage, backend, dice: Dice::new(seed), more, keys, now_ms: 0, kills: 0, sent_again: 0 }
    }

    /// Runs so many submissions to their ends. With `kills`, the controller is killed at random moments.
    async fn run(&mut self, count: u32, kills: bool) {
        let (mut next, mut poll_ms) = (1, 0);
        while self.now_ms < LONGEST_MS {
            let open = self.keys.values().filter(|one| !matches!(one.known, Known::Ended(..))).count();
            if open == 0 && next > count {
                return;
            }
            for _ in open..CONCURRENCY {
                if next <= count {
                    self.keys.insert(key(next), Submission::new());
                    next += 1;
                }
            }
            self.send(kills).await;
            if self.now_ms >= poll_ms {
                poll_ms = self.now_ms + POLL_MS;
                self.poll().await;
            }
            self.pass();
        }
        panic!("it does not come to its end");
    }

    fn pass(&mut self) {
        self.stage.pass(ROUND_MS);
        self.now_ms += ROUND_MS;
    }

    /// As `kill -9`: what the process knew and did not record is gone.
    fn kill(&mut self) {
        self.kills += 1;
        self.backend = self.stage.controller();
        for one in self.keys.values_mut() {
            if matches!(one.known, Known::New | Known::InDoubt) {
                *one = Submission { known: Known::InDoubt, ..Submission::new() };
            }
        }
    }

    /// Submits and looks for what is due.
    async fn send(&mut self, kills: bool) {
        let now_ms = self.now_ms;
        let due = self.keys.iter().filter(|(_, one)| one.is_due(now_ms)).map(|(key, _)| *key);
        let due: Vec<SubmissionKey> = due.collect();
        for key in due {
            let order = self.stage.order(key, "train", &self.more);
            let Some(one) = self.keys.get_mut(&key) else { continue };
            if matches!(one.known, Known::New) {
                let mut sending = Box::pin(self.backend.submit(&order));
                if kills && self.dice.chance(0.03) {
                    // It is killed while the call is under way, wherever that is.
                    let moment = Duration::from_micros(self.dice.next() % 6_000);
                    let answer = tokio::time::timeout(moment, &mut sending).await;
                    drop((answer, sending));
                    return self.kill();
                }
                one.known = match sending.await {
                    Submitted::Accepted(handle) | Submitted::AlreadyExists(handle) => Known::Held(handle),
                    Submitted::Unknown(_) => Known::InDoubt,
                    Submitted::Later(..) => Known::New,
                    Submitted::Refused(reason) => panic!("{key} is refused: {reason}"),
                };
                (one.wait_ms, one.at_ms) = (FIRST_WAIT_MS, now_ms + FIRST_WAIT_MS);
            } else {
                match self.backend.find(&order).await {
                    Found::One(handle) => one.known = Known::Held(handle),
                    Found::Several(mut handles) => {
                        let first = handles.remove(0);
                        for surplus in handles {
                            // One that fails is left to the sweep, as the runtime does it.
                            let _ = self.backend.stop(&surplus).await;
                        }
                        one.known = Known::Held(first);
                    }
                    Found::NoneForSure => {
                        one.known = Known::New;
                        self.sent_again += 1;
                    }
                    Found::NoneYet | Found::Undecided(_) | Found::NotAgain(_) | Found::Unknown(_) => {
                        one.at_ms = now_ms + one.wait_ms;
                        one.wait_ms = (one.wait_ms * 2).min(LONGEST_WAIT_MS);
                    }
                }
            }
        }
        if kills && self.dice.chance(0.002) {
            self.kill();
        }
    }

    async fn poll(&mut self) {
        let (keys, handles): (Vec<SubmissionKey>, Vec<JobHandle>) = self
            .keys
            .iter()
            .filter_map(|(key, one)| match &one.known {
                Known::Held(handle) => Some((*key, handle.clone())),
                _ => None,
            })
            .unzip();
        let states = self.backend.poll(&handles).await;
        for ((key, handle), state) in keys.into_iter().zip(handles).zip(states) {
            if let JobState::Ended { outcome, .. } = state {
                self.keys
                    .insert(key, Submission { known: Known::Ended(handle, outcome), ..Submission::new() });
            }
        }
    }

    /// Each submission has one outcome, that of the job it was taken on as, and no other job of it was left to run.
    /// Gives the number of jobs that were stopped as surplus.
    fn is_proven(&self) -> usize {
        let twice = self.stage.simulator.duplicates("retrial-key");
        assert!(twice.is_empty(), "{twice:?}");
        let mut of_key: BTreeMap<String, Vec<(String, String, bool)>> = BTreeMap::new();
        self.stage.simulator.jobs(|jobs| {
            for job in jobs {
                let seen = (job.id.clone(), job.status().to_owned(), job.stop_asked_ms.is_some());
                of_key.entry(job.tags["retrial-key"].clone()).or_default().push(seen);
            }
        });
        let mut surplus = 0;
        for (key, one) in &self.keys {
            let Known::Ended(handle, outcome) = &one.known else { panic!("{key} has no outcome") };
            assert_eq!(outcome, &Outcome::Succeeded, "{key}");
            let id = JobName::parse(handle).unwrap().id;
            for (job, status, stopped) in &of_key[&key.to_string()] {
                if *job == id {
                    assert_eq!((status.as_str(), *stopped), ("Succeeded", false), "{key}: its own job");
                } else {
                    assert!(*stopped, "{key}: {job} beside {id} is {status} and was not stopped");
                    surplus += 1;
                }
            }
        }
        surplus
    }

    /// What was seen, for messages.
    fn figures(&self) -> String {
        let hit = self.stage.simulator.calls().iter().filter(|call| call.fault).count();
        format!("{} kills, {hit} calls hit, {} sent again, {} ms", self.kills, self.sent_again, self.now_ms)
    }
}

/// A fault of submissions, as likely as `chance` says.
fn of_submissions(chance: f64, fault: Value) -> Value {
    let mut fault = fault;
    fault["operation"] = json!("CreateJob");
    fault["times"] = json!(0);
    fault["chance"] = json!(chance);
    fault
}

/// What can go wrong with a submission, by name.
fn faults(chance: f64) -> Vec<(&'static str, Vec<Value>)> {
    let refused = json!({"error": {"status": 500, "code": "InternalError"}});
    let page =
        json!({"raw": {"status": 502, "content_type": "text/html", "body": "<html>bad gateway</html>"}});
    vec![
        ("dropped after acceptance", vec![of_submissions(chance, json!({"acts": true, "answer": "drop"}))]),
        ("dropped and lost", vec![of_submissions(chance, json!({"answer": "drop"}))]),
        (
            "errors after acceptance",
            vec![
                of_submissions(chance, json!({"acts": true, "answer": refused})),
                of_submissions(chance, json!({"acts": true, "answer": page})),
            ],
        ),
        ("errors without acceptance", vec![of_submissions(chance, json!({"answer": refused}))]),
        // It costs real time.
        ("read timeouts", vec![of_submissions(chance / 2.0, json!({"hold_answer_ms": 60_000}))]),
        (
            "late arrival",
            vec![
                of_submissions(chance / 4.0, json!({"hold_request_ms": 30_000})),
                of_submissions(chance, json!({"answer": "drop", "repeat_after_ms": 20_000})),
            ],
        ),
        // After the doubt is over, so that it is sent again.
        (
            "very late arrival",
            vec![of_submissions(chance, json!({"answer": "drop", "repeat_after_ms": 150_000}))],
        ),
        (
            "copies",
            vec![
                of_submissions(chance, json!({"repeat_after_ms": 700})),
                of_submissions(chance, json!({"repeat_after_ms": 100_000})),
                of_submissions(chance, json!({"acts": true, "answer": "drop", "repeat_after_ms": 90_000})),
            ],
        ),
    ]
}

async fn played(name: &str, faults: &[Value], lag_ms: i64, count: u32, seed: u64) -> (Play, usize) {
    say(&format!("{name}: seed {seed}, lists {lag_ms} ms behind"));
    let mut play = Play::new(json!({"faults": faults, "list_lag_ms": lag_ms}), Value::Null, seed);
    play.run(count, true).await;
    let surplus = play.is_proven();
    say(&format!("    {count} submissions, {}, {surplus} stopped", play.figures()));
    (play, surplus)
}

#[expect(
    clippy::print_stderr,
    reason = "shown when the test fails, and figures for docs/measurements/dlc.md"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

#[tokio::test]
async fn each_class_of_fault_alone_leaves_one_job_for_each_submission() {
    for (at, (name, faults)) in faults(0.3).into_iter().enumerate() {
        let lag_ms = [0, 5_000, 30_000][at % 3];
        let (play, surplus) = played(name, &faults, lag_ms, 16, 11 + at as u64).await;
        assert!(play.stage.simulator.calls().iter().any(|call| call.fault), "{name} never happened");
        let copies = matches!(name, "very late arrival" | "copies");
        assert!(!copies || surplus > 0, "{name}: nothing had to be stopped");
    }
}

#[tokio::test]
async fn all_faults_together_leave_one_job_for_each_of_300_submissions() {
    let mut all: Vec<Value> = faults(0.04).into_iter().flat_map(|(_, faults)| faults).collect();
    for operation in ["ListJobs", "GetJob", "StopJob"] {
        let refused = json!({"error": {"status": 500, "code": "InternalError"}});
        for answer in [refused, json!("drop")] {
            all.push(
                json!({"operation": operation, "times": 0, "chance": 0.03, "acts": true, "answer": answer}),
            );
        }
    }
    let (mut surplus, mut kills) = (0, 0);
    for (at, lag_ms) in [0, 5_000, 30_000].into_iter().enumerate() {
        let (play, stopped) = played("all together", &all, lag_ms, 100, 101 + at as u64).await;
        surplus += stopped;
        kills += play.kills;
    }
    assert!(surplus > 0 && kills > 0, "{surplus} jobs stopped, {kills} kills");
}

#[tokio::test]
async fn a_copy_is_stopped_before_the_end_of_the_last_job_is_told() {
    let mut play = Play::new(
        json!({"faults": [of_submissions(1.0, json!({"repeat_after_ms": 30_000}))], "rules": [{"life": life(
            &[("Creating", Some(1_000)), ("Running", Some(50_000)), ("Succeeded", None)], &[])}]}),
        Value::Null,
        1,
    );
    play.run(1, false).await;
    assert_eq!(play.is_proven(), 1);
}

#[tokio::test]
async fn strict_submissions_in_doubt_are_never_sent_again_and_taken_on_if_they_appear() {
    let faults = [
        json!({"operation": "CreateJob", "contains": "-1-1-0", "answer": "drop"}),
        json!({"operation": "CreateJob", "contains": "-2-1-0", "answer": "drop", "repeat_after_ms": 600_000}),
    ];
    let mut play = Play::new(json!({"faults": faults}), json!({"strict": true}), 1);
    for trial in [1, 2] {
        play.keys.insert(key(trial), Submission::new());
    }
    let order = play.stage.order(key(1), "train", &play.more);
    for hour in 0..24 {
        for _ in 0..4 {
            play.send(false).await;
            play.poll().await;
            play.stage.pass(900_000);
            play.now_ms += 900_000;
        }
        if hour % 6 == 5 {
            play.kill();
        }
        let said = match play.backend.find(&order).await {
            Found::Undecided(said) | Found::NotAgain(said) => said,
            other => panic!("{other:?}"),
        };
        assert!(said.contains("-1-1-0` in its name") && said.contains("`strict`"), "{said}");
    }
    assert!(matches!(&play.keys[&key(1)].known, Known::InDoubt));
    assert!(matches!(&play.keys[&key(2)].known, Known::Ended(_, Outcome::Succeeded)));
    assert_eq!((play.sent_again, play.stage.calls("CreateJob")), (0, 3), "one more is the late copy");
    assert_eq!(play.stage.starts(&key(2)), 1);
}
