//! Which calls follow where many jobs run at once.

use super::call::{Answer, Call};
use super::executor::{Calls, Executor};
use super::reads::MAX_READS;
use backends::cloud::codes;
use engine::command::Command;
use engine::effect::Effect;
use engine::event::v1::Outcome;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{
    Capabilities, Chunk, Found, Idempotency, JobHandle, JobState, ReadError, Reports, Source, Submitted,
};
use engine::spec::Spec;
use engine::state::State;
use engine::testing::driver::Driver;
use engine::time::{Span, Timestamp};
use engine::value::{Point, Value};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const JOBS: u32 = 300;
const INTERVAL: Span = Span(200);

/// A state with so many running jobs, and an executor that has seen them run.
fn jobs(count: u32) -> (State, Executor, Timestamp) {
    jobs_that_report(count, Reports::File, &json!("report"))
}

/// So many trials whose tasks are planned.
pub(super) fn planned(count: u32, metric: &serde_json::Value) -> (Driver, Vec<SubmissionKey>) {
    let id = ExperimentId::from_random(1);
    let document = json!({
        "metric": metric,
        "space": {"x": {"uniform": [0.0, 1.0]}},
        "objective": "minimize",
        "run": {"fake": {"command": "train"}},
        "budget": {"trials": count, "concurrency": count},
    });
    let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
    let mut driver = Driver::default();
    driver
        .give(&Command::CreateExperiment { experiment: id, spec, seed: 7, labels: BTreeMap::new() })
        .unwrap();
    for trial in 0..count {
        let suggestion = Command::RecordSuggestion {
            experiment: id,
            trial: TrialId(trial),
            point: Point(vec![(0, Value::Float(f64::from(trial) / f64::from(count)))]),
            sampler: "made up".to_owned(),
            version: 1,
            ended: 0,
            memo: Vec::new(),
            parent: None,
        };
        driver.give(&suggestion).unwrap();
    }
    driver.advance(id).unwrap();
    let keys = (0..count).map(|trial| SubmissionKey {
        experiment: id,
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        task: TaskIndex(0),
    });
    (driver, keys.collect())
}

fn jobs_that_report(
    count: u32,
    reports: Reports,
    metric: &serde_json::Value,
) -> (State, Executor, Timestamp) {
    let (mut driver, keys) = planned(count, metric);
    let started = driver.now();
    for key in keys {
        driver.give(&Command::RecordAccepted { key, handle: format!("job-{key}") }).unwrap();
        driver.give(&Command::RecordStarted { key, started }).unwrap();
    }
    let capabilities = Capabilities {
        idempotency: Idempotency::Native,
        poll_batch: 4_096,
        poll_interval: INTERVAL,
        poll_rest: Span(INTERVAL.0 * 12),
        reports,
    };
    let mut executor = Executor::new(BTreeMap::from([("fake".to_owned(), capabilities)]));
    let calls = executor.tick(driver.state(), started);
    let [(_, Call::Poll { jobs })] = calls.as_slice() else { panic!("{calls:?}") };
    let states = jobs.iter().map(|(key, _)| (*key, JobState::Running { started })).collect();
    let (_, calls) = executor.answer(driver.state(), Answer::Polled(states), started);
    assert!(calls.is_empty(), "{calls:?}");
    (driver.state().clone(), executor, started)
}

fn reads_of(calls: Calls) -> VecDeque<Call> {
    calls.into_iter().map(|(_, call)| call).filter(|call| matches!(call, Call::Read { .. })).collect()
}

/// Answers reads in the order of asking, and those that follow from the answers, at most so many; counts them by job.
fn answer_reads(
    state: &State,
    executor: &mut Executor,
    open: &mut VecDeque<Call>,
    at: Timestamp,
    most: usize,
    read: &mut BTreeMap<SubmissionKey, u32>,
) {
    for _ in 0..most {
        let Some(Call::Read { key, source, from, .. }) = open.pop_front() else { return };
        *read.entry(key).or_default() += 1;
        let chunk = Chunk { start: from, bytes: Vec::new(), at_end: true };
        let (_, more) = executor.answer(state, Answer::Read(key, source, Ok(chunk)), at);
        open.extend(reads_of(more));
        assert!(open.len() <= MAX_READS, "{} reads under way", open.len());
    }
}

#[test]
fn every_one_of_many_running_jobs_is_read_in_each_interval() {
    let (state, mut executor, began) = jobs(JOBS);
    for round in 1..=3 {
        let at = began.after(Span(INTERVAL.0 * round));
        let mut open = reads_of(executor.tick(&state, at));
        let mut read = BTreeMap::new();
        answer_reads(&state, &mut executor, &mut open, at, usize::MAX, &mut read);
        assert_eq!(read.len(), JOBS as usize, "jobs read in round {round}");
        assert!(read.values().all(|times| *times == 1), "{read:?}");
    }
}

#[test]
fn a_slow_backend_is_asked_for_each_job_in_turn() {
    let (state, mut executor, began) = jobs(JOBS);
    let mut open = VecDeque::new();
    let mut read = BTreeMap::new();
    for round in 1..=20 {
        let at = began.after(Span(INTERVAL.0 * round));
        open.extend(reads_of(executor.tick(&state, at)));
        answer_reads(&state, &mut executor, &mut open, at, 30, &mut read);
    }
    let (least, most) = (read.values().min().unwrap(), read.values().max().unwrap());
    assert_eq!((read.len(), *least, *most), (JOBS as usize, 2, 2), "600 reads of 300 jobs");
}

/// Whether the end of a job is recorded of whose output so many reads fail before it is seen to have ended, and then so
/// many more.
fn is_given_up(early: u32, late: u32, failure: &ReadError) -> bool {
    let (state, mut executor, began) = jobs(1);
    let mut commands = Vec::new();
    for round in 1..=early + late {
        let at = began.after(Span(INTERVAL.0 * u64::from(round)));
        for call in reads_of(executor.tick(&state, at)) {
            let Call::Read { key, source, .. } = call else { continue };
            commands.extend(executor.answer(&state, Answer::Read(key, source, Err(failure.clone())), at).0);
            if round == early {
                let job = JobState::Ended { started: None, ended: at, outcome: Outcome::Succeeded };
                executor.answer(&state, Answer::Polled(vec![(key, job)]), at);
            }
        }
    }
    commands.iter().any(|command| matches!(command, Command::RecordEnded { .. }))
}

#[test]
fn what_cannot_be_read_is_given_up_only_after_the_job_has_ended_and_not_where_a_service_keeps_it() {
    let failed = ReadError::Failed { what: "it".to_owned(), reason: "broken".to_owned() };
    assert!(is_given_up(3, 120, &failed));
    assert!(!is_given_up(500, 100, &failed), "a long outage before the end is no reason");
    let refused = |code| ReadError::Unavailable {
        what: "it".to_owned(),
        code,
        message: "no".to_owned(),
        cure: String::new(),
    };
    assert!(!is_given_up(3, 1_000, &refused(codes::NO_PERMISSION)));
    assert!(is_given_up(3, 120, &refused(codes::NOT_FOUND)));
}

#[test]
fn what_jobs_print_waits_for_their_end_where_nobody_needs_it_before() {
    for (metric, while_running) in
        [(json!({"json": "file:///m.json", "key": "x"}), 0), (json!("report"), MAX_READS)]
    {
        let (state, mut executor, began) = jobs_that_report(JOBS, Reports::Stdout, &metric);
        let at = began.after(INTERVAL);
        let calls = executor.tick(&state, at);
        let job = calls.iter().find_map(|(_, call)| match call {
            Call::Poll { jobs } => jobs.last().cloned(),
            _ => None,
        });
        assert_eq!(reads_of(calls).len(), while_running, "{metric}");
        let ended = JobState::Ended { started: None, ended: at, outcome: Outcome::Succeeded };
        let answer = Answer::Polled(vec![(job.unwrap().0, ended)]);
        let reads = reads_of(executor.answer(&state, answer, at).1);
        let printed = |call: &&Call| matches!(call, Call::Read { source: Source::Stdout, .. });
        assert_eq!(reads.iter().filter(printed).count(), 1, "{metric}");
    }
}

fn polled_of(calls: &Calls) -> BTreeSet<SubmissionKey> {
    let jobs = calls.iter().filter_map(|(_, call)| match call {
        Call::Poll { jobs } => Some(jobs.iter().map(|(key, _)| *key)),
        _ => None,
    });
    jobs.flatten().collect()
}

#[test]
fn a_job_is_polled_when_it_is_due_and_never_twice_at_once() {
    let (state, mut executor, began) = jobs(JOBS);
    let at = |round| began.after(Span(INTERVAL.0 * round));
    let asked = polled_of(&executor.tick(&state, at(1)));
    assert_eq!(asked.len(), JOBS as usize);
    assert!(executor.tick(&state, at(1)).is_empty(), "nothing is due before the interval has passed");
    assert!(polled_of(&executor.tick(&state, at(2))).is_empty(), "all polls are under way");

    let mut answers = asked.iter().map(|key| (*key, JobState::Running { started: began }));
    let some: Vec<_> = answers.by_ref().take(100).collect();
    executor.answer(&state, Answer::Polled(some.clone()), at(2));
    assert_eq!(polled_of(&executor.tick(&state, at(3))), some.iter().map(|(key, _)| *key).collect());

    // Nobody holds the jobs any more: late answers lead to nothing, and nothing more is asked.
    let nothing = State::default();
    executor.answer(&nothing, Answer::Polled(answers.collect()), at(3));
    assert!(executor.tick(&nothing, at(4)).is_empty());
}

#[test]
fn what_could_not_be_read_of_an_ended_job_waits_for_no_round() {
    let (state, mut executor, began) = jobs(JOBS);
    let at = |round| began.after(Span(INTERVAL.0 * round));
    let calls = executor.tick(&state, at(1));
    let key = *polled_of(&calls).last().unwrap();
    let round = reads_of(calls);
    assert_eq!(round.len(), MAX_READS, "a round of all jobs has begun");
    let ended = JobState::Ended { started: None, ended: at(1), outcome: Outcome::Succeeded };
    let reads = reads_of(executor.answer(&state, Answer::Polled(vec![(key, ended)]), at(1)).1);
    let [Call::Read { source, .. }] = reads.as_slices().0 else { panic!("{reads:?}") };

    let failed = Err(ReadError::Failed { what: "the output".to_owned(), reason: "no answer".to_owned() });
    let (commands, calls) = executor.answer(&state, Answer::Read(key, source.clone(), failed), at(1));
    assert!(commands.is_empty() && reads_of(calls).is_empty(), "not at once");
    let again = reads_of(executor.tick(&state, at(2)));
    assert!(matches!(again.as_slices().0, [Call::Read { key: read, .. }] if *read == key), "{again:?}");
}

/// The times, in intervals after the beginning, at which the only job is polled while it stays as it is.
fn polls_of_one(state: &State, executor: &mut Executor, began: Timestamp, rounds: u64) -> Vec<u64> {
    let mut polled = Vec::new();
    for round in 1..=rounds {
        let at = began.after(Span(INTERVAL.0 * round));
        for key in polled_of(&executor.tick(state, at)) {
            polled.push(round);
            let answer = Answer::Polled(vec![(key, JobState::Running { started: began })]);
            executor.answer(state, answer, at);
        }
    }
    polled
}

#[test]
fn a_job_that_stays_as_it_is_is_polled_less_often_up_to_a_bound() {
    let (state, mut executor, began) = jobs(1);
    let polled = polls_of_one(&state, &mut executor, began, 3_000);
    assert!(polled.iter().take(50).copied().eq(1..=50), "a job that has just begun: {polled:?}");
    for (last, next) in polled.iter().zip(polled.iter().skip(1)) {
        assert!(next - last <= 1 + (last / 50).min(12), "from {last} to {next}");
    }
    let (last, before) = (polled.last().unwrap(), polled.get(polled.len() - 2).unwrap());
    assert_eq!(last - before, 12);
}

#[test]
fn a_job_that_has_changed_or_is_waited_for_is_polled_at_once() {
    let rounds = 3_000;
    let next = |disturb: &dyn Fn(&State, &mut Executor, SubmissionKey, Timestamp)| {
        let (state, mut executor, began) = jobs(1);
        let last = *polls_of_one(&state, &mut executor, began, rounds).last().unwrap();
        let at = |round| began.after(Span(INTERVAL.0 * round));
        let key = state.held().next().unwrap().0;
        disturb(&state, &mut executor, key, at(rounds));
        let again =
            (rounds + 1..rounds + 50).find(|round| !polled_of(&executor.tick(&state, at(*round))).is_empty());
        (last, again.unwrap())
    };
    let (last, again) = next(&|_, _, _, _| ());
    assert_eq!(again, last + 12, "it rests");
    let stopped = next(&|state, executor, key, at| {
        executor.begin(state, &[Effect::Stop { key, handle: JobHandle("job".to_owned()) }], at);
    });
    let told = next(&|_, executor, _, _| executor.hasten("fake"));
    let not_known = next(&|state, executor, key, at| {
        let unknown = JobState::Unknown("no answer".to_owned());
        executor.answer(state, Answer::Polled(vec![(key, unknown)]), at);
    });
    for (_, again) in [stopped, told, not_known] {
        assert_eq!(again, rounds + 1);
    }
}

#[test]
fn what_is_not_submitted_again_and_again_is_a_trouble_until_it_is_found_or_given_up() {
    let (mut driver, keys) = planned(2, &json!("report"));
    let capabilities = Capabilities {
        idempotency: Idempotency::FindByKey,
        poll_batch: 1,
        poll_interval: INTERVAL,
        poll_rest: INTERVAL,
        reports: Reports::File,
    };
    let mut executor = Executor::new(BTreeMap::from([("fake".to_owned(), capabilities)]));
    let (now, id) = (driver.now(), keys[0].experiment);
    let mut lose = |state: &State, key: SubmissionKey| {
        executor.answer(state, Answer::Submitted(key, Submitted::Unknown("no answer".to_owned())), now);
        executor.troubles(state, id)
    };
    assert_eq!([lose(driver.state(), keys[0]), lose(driver.state(), keys[1])], [vec![], vec![]]);
    assert_eq!(lose(driver.state(), keys[0])[0].tasks, 1);
    let troubles = lose(driver.state(), keys[1]);
    let [trouble] = troubles.as_slice() else { panic!("{troubles:?}") };
    assert_eq!((&*trouble.work, &*trouble.reason, trouble.tasks), ("submit", "no answer", 2));
    driver.give(&Command::StopTrials { experiment: id, trials: vec![keys[1].trial] }).unwrap();
    assert_eq!(executor.troubles(driver.state(), id)[0].tasks, 1);
    let found = Answer::Found(keys[0], Found::One(JobHandle("job".to_owned())));
    executor.answer(driver.state(), found, now);
    assert_eq!(executor.troubles(driver.state(), id), []);
}

#[test]
fn what_one_source_of_a_trial_gives_does_not_hide_that_another_one_fails() {
    let metric = json!({"json": "file:///m.json", "key": "x"});
    let (state, mut executor, began) = jobs_that_report(1, Reports::Stdout, &metric);
    let at = |round| began.after(Span(INTERVAL.0 * round));
    let key = *polled_of(&executor.tick(&state, at(1))).first().unwrap();
    let ended = JobState::Ended { started: None, ended: at(1), outcome: Outcome::Succeeded };
    let mut reads = reads_of(executor.answer(&state, Answer::Polled(vec![(key, ended)]), at(1)).1);
    let refused = ReadError::Failed { what: "it".to_owned(), reason: "no answer".to_owned() };
    let some = Chunk { start: 0, bytes: Vec::new(), at_end: false };
    for round in 2..5 {
        assert_eq!(reads.len(), 2, "{reads:?}");
        for call in std::mem::take(&mut reads) {
            let Call::Read { source, .. } = call else { panic!("{call:?}") };
            let chunk = if source == Source::Stdout { Ok(some.clone()) } else { Err(refused.clone()) };
            let (_, more) = executor.answer(&state, Answer::Read(key, source, chunk), at(round));
            reads.extend(reads_of(more));
        }
        let troubles = executor.troubles(&state, key.experiment);
        assert!(matches!(troubles.as_slice(), [one] if one.work == "read"), "{round} {troubles:?}");
        assert_eq!(troubles[0].since_ms, at(2).0, "it goes on all the time");
        reads.extend(reads_of(executor.tick(&state, at(round))));
    }
    for call in reads {
        let Call::Read { source, .. } = call else { panic!("{call:?}") };
        executor.answer(&state, Answer::Read(key, source, Ok(some.clone())), at(5));
    }
    assert_eq!(executor.troubles(&state, key.experiment), []);
}
