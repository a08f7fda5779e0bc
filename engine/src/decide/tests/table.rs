//! Every pair of a state and an event is legal or a named error.

use super::*;
use crate::event::v1::{self, ExperimentEnd, Origin, TrialEnd, TrialStop};
use crate::event::{self, KINDS, v2};
use crate::id::ActorId;
use std::collections::BTreeSet;

/// Where the trial 0 of an experiment may stand.
const PHASES: [&str; 13] = [
    "no trial",
    "waiting",
    "planned",
    "doubtful",
    "accepted",
    "running",
    "task ended",
    "next task",
    "stopping",
    "stopped",
    "ended",
    "terminating",
    "closed",
];

fn lab_at(phase: &str) -> Lab {
    let mut lab =
        Lab::new(&json!({"run": {"fake": {"tasks": ["a", "b"]}}, "retry": {"lost": 2, "backoff": "1h"}}));
    if phase == "no trial" {
        return lab;
    }
    lab.give(&lab.suggestion(0.5));
    if phase == "waiting" {
        return lab;
    }
    lab.advance();
    let (key, ended) = (lab.key(0), lab.driver.now());
    match phase {
        "planned" => {}
        "doubtful" => {
            lab.give(&Command::RecordDoubt { key, reason: "x".to_owned() });
        }
        "accepted" => lab.accept(0),
        "running" => lab.start(0),
        "task ended" => lab.end(0, lost()),
        "next task" => {
            lab.give(&Command::RecordEnded { key, outcome: Outcome::Succeeded, ended });
        }
        "stopping" => {
            lab.start(0);
            lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(0)] });
        }
        "stopped" => {
            lab.give(&Command::RecordEnded { key, outcome: lost(), ended });
            lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(0)] });
        }
        "ended" => lab.end(0, failed("x")),
        "terminating" => {
            lab.start(0);
            lab.stop();
        }
        "closed" => {
            lab.end(0, failed("x"));
            lab.stop();
        }
        other => panic!("{other}"),
    }
    lab
}

/// Phases in which a trial of an attempt may report.
const REPORTING: &[&str] = &[
    "planned",
    "doubtful",
    "accepted",
    "running",
    "task ended",
    "next task",
    "stopping",
    "stopped",
    "terminating",
];

/// One event of every kind, about trial 0, and the phases in which it is legal.
fn events(lab: &Lab) -> Vec<(Event, &'static [&'static str])> {
    let (trial, attempt, task) = (TrialId(0), AttemptNo(1), TaskIndex(0));
    let now = lab.driver.now();
    let open: &[&str] = &["planned", "doubtful", "accepted", "running", "stopping", "terminating"];
    let live: &[&str] = &PHASES[..11];
    let before_end: &[&str] =
        &["waiting", "planned", "doubtful", "accepted", "running", "task ended", "next task"];
    let reason = "x".to_owned();
    vec![
        (v1::ActorNamed { actor: ActorId(16), name: "ann".to_owned() }.into(), &[]),
        (v1::CheckpointTaken { digest_version: 1, digest: [0; 32] }.into(), &[]),
        (v1::HistoryArchived { records: 1, head: [0; 32], experiments: 1 }.into(), &[]),
        (
            v1::ExperimentCreated { name: String::new(), spec: text(&json!({})), seed: 1, behaviour: 1 }
                .into(),
            &[],
        ),
        (
            v1::ExperimentUpdated { spec: text(&json!({"run": {"fake": {"tasks": ["a", "b"]}}})) }.into(),
            &PHASES,
        ),
        (v1::ExperimentPaused { reason: v1::PauseReason::Asked }.into(), live),
        (v1::ExperimentResumed {}.into(), &[]),
        (v2::ExperimentStopping { reason: v2::EndReason::Asked }.into(), live),
        (
            v2::ExperimentEnded { status: ExperimentEnd::Failed, reason: v2::EndReason::Trials }.into(),
            &["no trial", "ended"],
        ),
        (v1::ExperimentReopened {}.into(), &["closed"]),
        (v1::ExperimentRemoved {}.into(), &["closed"]),
        (v1::SpaceExhausted {}.into(), &PHASES),
        (v1::PointEnqueued { entry: 0, point: point(0.5), retry_of: None, extra: false }.into(), &PHASES),
        (
            v1::ExperimentLabelled { labels: BTreeMap::from([("team".to_owned(), Some(reason.clone()))]) }
                .into(),
            &PHASES,
        ),
        (
            v2::TrialSuggested {
                trial: TrialId(lab.experiment().suggested()),
                point: point(0.5),
                origin: Origin::Sampled {
                    sampler: String::new(),
                    version: 1,
                    suggested: 0,
                    ended: 0,
                    memo: Vec::new(),
                },
                parent: None,
            }
            .into(),
            live,
        ),
        (v1::TrialStopping { trial, reason: TrialStop::Asked }.into(), before_end),
        (
            v1::TrialEnded {
                trial,
                status: TrialEnd::Failed,
                value: None,
                metrics: Vec::new(),
                reason: reason.clone(),
            }
            .into(),
            &["waiting", "task ended", "next task", "stopped"],
        ),
        (
            v1::TrialLeased { trial, lease: 1, worker: String::new(), request: String::new(), until: now }
                .into(),
            &[],
        ),
        (
            v1::AttemptPlanned {
                trial,
                attempt: AttemptNo(lab.experiment().trial(trial).map_or(1, |t| t.attempts.len() as u32 + 1)),
                task,
                slot: 0,
            }
            .into(),
            &["waiting", "doubtful", "task ended", "next task"],
        ),
        (v1::TaskPlanned { trial, attempt, task: TaskIndex(1) }.into(), &["next task"]),
        (v1::TaskCleared { trial, attempt, task }.into(), &["planned", "doubtful"]),
        (v1::TaskAccepted { trial, attempt, task, handle: "x".to_owned() }.into(), &["planned", "doubtful"]),
        (v1::TaskDoubtful { trial, attempt, task, reason }.into(), &["planned"]),
        (v1::TaskStarted { trial, attempt, task, started: now }.into(), &["accepted"]),
        (v1::TaskEnded { trial, attempt, task, outcome: Outcome::Succeeded, ended: now }.into(), open),
        // It has no schedule.
        (v1::WindowOpened { until: None }.into(), &[]),
        (v1::WindowClosed { until: Some(now) }.into(), &[]),
        (v1::LateResult { trial, attempt, task, outcome: Outcome::Succeeded }.into(), &PHASES[1..]),
        (v1::MetricReported { trial, attempt, first: 0, points: Vec::new() }.into(), REPORTING),
    ]
}

#[test]
fn every_event_fits_a_phase_or_is_a_named_error_that_changes_nothing() {
    let mut wrong = Vec::new();
    for phase in PHASES {
        let lab = lab_at(phase);
        for (event, legal) in events(&lab) {
            let mut lab = lab_at(phase);
            let (name, before) = (event.info().name, lab.driver.state().digest());
            let result = lab.driver.force(id(), event);
            if result.is_ok() != legal.contains(&phase) {
                wrong.push(format!("{name} when {phase}: {result:?}"));
            }
            match result {
                Ok(()) => {
                    if let Err(error) = lab.driver.state().check() {
                        wrong.push(format!("{name} when {phase}: {error}"));
                    }
                    let _ = lab.driver.advance(id());
                    assert_eq!(lab.driver.state().check(), Ok(()), "{name} when {phase}, later");
                }
                Err(error) => {
                    assert_eq!(error.kind, name);
                    assert!(!error.reason.is_empty());
                    assert_eq!(lab.driver.state().digest(), before, "{name} when {phase}");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_knows_every_kind() {
    let lab = lab_at("running");
    let known: BTreeSet<u16> = events(&lab).iter().map(|(event, _)| event.info().kind).collect();
    assert_eq!(known, event::KINDS.iter().map(|info| info.kind).collect());
    assert_eq!(known.len(), KINDS.len(), "no number is used twice");
}

#[test]
fn every_event_but_the_creation_needs_its_experiment() {
    for (event, _) in events(&lab_at("no trial")) {
        let mut driver = Driver::default();
        let is_creation = matches!(event, Event::ExperimentCreated(_));
        assert_eq!(driver.force(id(), event.clone()).is_ok(), is_creation, "{event:?}");
    }
}

#[test]
fn a_gap_or_a_wrong_position_stops_replay() {
    let mut lab = Lab::new(&json!({}));
    lab.succeed(0.5);
    let history = lab.driver.history();
    for gap in 0..history.len() - 1 {
        let mut damaged = history.to_vec();
        damaged.remove(gap);
        assert!(crate::testing::driver::replay_from(crate::state::State::default(), &damaged).is_err());
    }
    let mut moved = history.to_vec();
    moved[2].position += 1;
    let error = crate::testing::driver::replay_from(crate::state::State::default(), &moved).unwrap_err();
    assert_eq!(error.seq, moved[2].seq);
    assert!(error.reason.contains("position"));
}

#[test]
fn every_status_has_a_word_of_its_own() {
    let words: BTreeSet<&str> = TrialStatus::ALL.iter().map(|status| status.as_str()).collect();
    assert_eq!(words.len(), TrialStatus::ALL.len());
    assert!(TrialStatus::ALL.iter().filter(|status| !status.is_ended()).count() == 3);
}
