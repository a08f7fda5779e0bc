//! Trials that clients take until a time.

use super::*;
use crate::decide::codes;
use crate::event::v1;
use crate::limits;
use crate::time::Timestamp;

fn lab() -> Lab {
    Lab::new(&json!({"run": null, "metric": {"report": true}, "budget": {"trials": 9}}))
}

impl Lab {
    fn in_secs(&self, seconds: u64) -> Timestamp {
        self.driver.now().after(Span::from_secs(seconds))
    }

    fn take(&self, worker: &str, request: &str) -> Command {
        let (worker, request) = (worker.to_owned(), request.to_owned());
        Command::TakeTrial { experiment: id(), worker, request, until: self.in_secs(60) }
    }

    fn lease(&self, trial: u32, lease: u32, seconds: u64) -> Command {
        Command::LeaseTrial {
            experiment: id(),
            trial: TrialId(trial),
            lease,
            worker: "w1".to_owned(),
            request: format!("ask {trial}"),
            until: self.in_secs(seconds),
        }
    }

    /// A suggestion that `w1` holds for a minute.
    fn leased(&mut self) -> u32 {
        let trial = self.suggest();
        self.give(&self.lease(trial, 1, 60));
        trial
    }

    fn held(&self, trial: u32) -> (u32, &str, &str) {
        let lease = self.trial(trial).lease.as_deref().unwrap();
        (lease.number, &lease.worker, &lease.request)
    }
}

fn tell(trial: u32, lease: u32, value: Option<f64>) -> Command {
    let values = value.map(|value| vec![value]);
    Command::TellTrial { experiment: id(), trial: TrialId(trial), lease: Some(lease), values }
}

fn report(trial: u32, lease: u32, first: u32) -> Command {
    Command::ReportMetrics {
        experiment: id(),
        trial: TrialId(trial),
        attempt: AttemptNo(lease),
        first,
        points: vec![ReportPoint { step: u64::from(first), values: vec![0.5], last: false }],
    }
}

#[test]
fn a_lease_that_has_run_out_is_taken_over_and_its_trial_goes_on() {
    let mut lab = lab();
    let trial = lab.leased();
    assert_eq!(lab.held(trial), (1, "w1", "ask 0"));
    assert_eq!(lab.give(&lab.take("w2", "a")), [], "it is held, and nothing is queued");
    lab.wait(60);
    assert_eq!(lab.give(&lab.take("w2", "a")), [], "until its time is over");
    lab.driver.wait(Span(1));
    assert_eq!(lab.advance(), [], "nothing ends it");
    lab.give(&lab.take("w2", "a"));
    assert_eq!(lab.held(trial), (2, "w2", "a"));
    assert_eq!(lab.trial_status(trial), TrialStatus::Running);
    assert_eq!((lab.experiment().suggested(), lab.experiment().active()), (1, 1));
}

#[test]
fn of_several_the_first_is_taken_over_before_the_queue_and_the_queue_in_order() {
    let mut lab = lab();
    let (one, two) = (lab.leased(), lab.leased());
    let unleased = lab.suggest();
    lab.give(&lab.lease(one, 1, 90));
    for x in [0.25, 0.75] {
        lab.give(&Command::EnqueuePoint { experiment: id(), point: point(x) });
    }
    lab.wait(100);
    for (place, trial, lease) in [(0, one, 2), (1, two, 2), (2, unleased + 1, 1), (3, unleased + 2, 1)] {
        lab.give(&lab.take("w2", &place.to_string()));
        assert_eq!(lab.held(trial), (lease, "w2", place.to_string().as_str()));
    }
    assert_eq!(lab.trial(unleased + 1).point, point(0.25));
    assert_eq!(lab.give(&lab.take("w2", "more")), [], "what is run without a lease is nobody else's");
}

#[test]
fn a_request_that_is_repeated_takes_nothing_more_while_its_trial_has_not_ended() {
    let mut lab = lab();
    for x in [0.25, 0.5, 0.75] {
        lab.give(&Command::EnqueuePoint { experiment: id(), point: point(x) });
    }
    lab.give(&lab.take("w1", "R#1"));
    assert_eq!(lab.experiment().taken_by("R#1"), Some(TrialId(0)));
    for near in ["", "R", "R#", "R#10", "R#0", "S"] {
        assert_eq!(lab.experiment().taken_by(near), None, "{near}");
    }
    assert_eq!(lab.give(&lab.take("w1", "R#1")), []);
    lab.wait(61);
    assert_eq!(lab.give(&lab.take("w1", "R#1")), [], "its own trial does not wait for another worker");
    lab.give(&tell(0, 1, Some(0.5)));
    assert_eq!(lab.experiment().taken_by("R#1"), None);
    lab.give(&lab.take("w1", "R#1"));
    assert_eq!(lab.held(1), (1, "w1", "R#1"));

    // An empty request is never repeated.
    lab.give(&lab.take("w1", ""));
    assert_eq!(lab.held(2), (1, "w1", ""));
    assert_eq!(lab.experiment().taken_by(""), None);
}

#[test]
fn a_request_whose_trial_was_taken_over_takes_another() {
    let mut lab = lab();
    let trial = lab.leased();
    lab.wait(61);
    lab.give(&lab.take("w2", "a"));
    assert_eq!(lab.experiment().taken_by("ask 0"), None);
    lab.give(&Command::EnqueuePoint { experiment: id(), point: point(0.5) });
    lab.give(&lab.take("w1", "ask 0"));
    assert_eq!(lab.experiment().taken_by("ask 0"), Some(TrialId(trial + 1)));
}

#[test]
fn nothing_is_taken_over_that_is_being_stopped_or_of_an_experiment_that_ends() {
    let mut lab = lab();
    let (one, two) = (lab.leased(), lab.leased());
    lab.give(&Command::StopHopeless {
        experiment: id(),
        trial: TrialId(one),
        rule: "median".to_owned(),
        step: 1,
        why: "bad".to_owned(),
    });
    assert_eq!(lab.experiment().taken_by("ask 0"), Some(TrialId(one)), "its client still owes its result");
    lab.wait(61);
    lab.give(&Command::PauseExperiment { experiment: id() });
    lab.give(&lab.take("w2", "a"));
    assert_eq!(lab.held(two), (2, "w2", "a"), "a pause starts no trial, and this one has been");
    assert_eq!(lab.give(&lab.take("w2", "b")), []);

    lab.wait(61);
    lab.give(&Command::StopExperiment { experiment: id() });
    assert_eq!(lab.give(&lab.take("w3", "c")), []);
    lab.advance();
    assert_eq!(lab.give(&lab.take("w3", "c")), []);
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
    assert!(lab.experiment().leases.is_empty() && lab.experiment().requests.is_empty());
}

#[test]
fn a_lease_is_renewed_under_its_number_and_never_shortened() {
    let mut lab = lab();
    let trial = lab.leased();
    let renewal = lab.lease(trial, 1, 90);
    assert!(matches!(lab.give(&renewal).as_slice(), [Event::TrialLeased(v1::TrialLeased { lease: 1, .. })]));
    assert_eq!(lab.give(&renewal), [], "it is no longer than before");
    assert_eq!(lab.give(&lab.lease(trial, 1, 80)), []);
    assert_eq!(lab.trial(trial).lease.as_ref().unwrap().until, lab.in_secs(90));
    for number in [0, 2] {
        assert_eq!(lab.code(&lab.lease(trial, number, 120)), codes::FENCED);
    }
    // A renewal that comes late is as good, while nobody else has taken the trial over.
    lab.wait(100);
    lab.give(&lab.lease(trial, 1, 60));
    assert_eq!(lab.give(&lab.take("w2", "a")), []);
    lab.wait(61);
    lab.give(&lab.take("w2", "a"));
    assert_eq!(lab.code(&lab.lease(trial, 1, 60)), codes::FENCED);
    let mut renewal = lab.lease(trial, 2, 90);
    if let Command::LeaseTrial { request, .. } = &mut renewal {
        request.clear();
    }
    lab.give(&renewal);
    assert_eq!(lab.held(trial), (2, "w1", "a"), "the request by which it was taken stays");
    lab.give(&tell(trial, 2, None));
    assert_eq!(lab.code(&lab.lease(trial, 2, 200)), codes::TRIAL_ENDED);
}

#[test]
fn a_trial_without_a_lease_is_given_the_first_one_only() {
    let mut lab = lab();
    let trial = lab.suggest();
    assert_eq!(lab.code(&lab.lease(trial, 0, 60)), codes::FENCED);
    assert_eq!(lab.code(&lab.lease(trial, 2, 60)), codes::FENCED);
    assert_eq!(lab.code(&lab.lease(7, 1, 60)), codes::UNKNOWN_TRIAL);
    lab.give(&report(trial, 0, 0));
    lab.give(&lab.lease(trial, 1, 60));
    assert_eq!(lab.give(&report(trial, 0, 1)), []);
    lab.give(&report(trial, 1, 0));
}

#[test]
fn late_results_count_until_somebody_else_has_taken_over() {
    let mut lab = lab();
    let (one, two) = (lab.leased(), lab.leased());
    lab.wait(1_000);
    lab.give(&tell(one, 1, Some(0.5)));
    assert_eq!(lab.trial_status(one), TrialStatus::Succeeded);
    lab.give(&lab.take("w2", "a"));
    let refused = lab.refused(&tell(two, 1, Some(0.25)));
    assert_eq!(refused.code, codes::FENCED);
    assert!(refused.message.contains("number 2") && refused.message.contains("w2"), "{}", refused.message);
    assert!(!refused.cure.is_empty());
    assert_eq!(lab.code(&tell(two, 3, Some(0.25))), codes::FENCED, "nobody was given it");
    lab.give(&tell(two, 2, Some(0.75)));
    assert_eq!(lab.code(&tell(two, 1, Some(0.75))), codes::FENCED);
    assert_eq!(lab.trial(two).value, Some(0.75));
}

#[test]
fn who_does_not_say_a_number_tells_as_before() {
    let mut lab = lab();
    let trial = lab.leased();
    let values = Some(vec![0.5]);
    let without = Command::TellTrial { experiment: id(), trial: TrialId(trial), lease: None, values };
    lab.give(&without);
    assert_eq!(lab.code(&without), codes::TRIAL_ENDED);
}

#[test]
fn the_same_result_told_again_under_the_same_number_is_no_error() {
    let mut lab = lab();
    let (good, bad, hopeless, stopped) = (lab.leased(), lab.leased(), lab.leased(), lab.leased());
    lab.give(&Command::StopHopeless {
        experiment: id(),
        trial: TrialId(hopeless),
        rule: "median".to_owned(),
        step: 1,
        why: "bad".to_owned(),
    });
    for (trial, value) in [(good, Some(0.5)), (bad, None), (hopeless, Some(0.75))] {
        assert_eq!(lab.give(&tell(trial, 1, value)).len(), 1);
        assert_eq!(lab.give(&tell(trial, 1, value)), []);
        for other in [Some(0.25), None].into_iter().filter(|other| *other != value) {
            assert_eq!(lab.code(&tell(trial, 1, other)), codes::TRIAL_ENDED, "{trial} {other:?}");
        }
    }
    assert_eq!(lab.trial_status(hopeless), TrialStatus::EarlyStopped);
    // What somebody stopped was never told.
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(stopped)] });
    lab.advance();
    for value in [Some(0.5), None] {
        assert_eq!(lab.code(&tell(stopped, 1, value)), codes::TRIAL_ENDED);
    }
}

#[test]
fn several_metrics_told_again_are_compared_one_by_one() {
    let mut lab = Lab::new(&json!({
        "run": null, "metric": {"report": true}, "budget": {"trials": 9},
        "objective": {"metrics": {"a": 1.0, "b": 1.0}, "goal": "maximize"},
    }));
    let trial = lab.leased();
    let told = |values: [f64; 2]| Command::TellTrial {
        experiment: id(),
        trial: TrialId(trial),
        lease: Some(1),
        values: Some(values.to_vec()),
    };
    lab.give(&told([0.25, 0.5]));
    assert_eq!(lab.give(&told([0.25, 0.5])), []);
    assert_eq!(lab.code(&told([0.5, 0.25])), codes::TRIAL_ENDED, "the sum is the same, the metrics are not");
}

#[test]
fn each_holder_reports_under_its_own_number() {
    let mut lab = lab();
    let trial = lab.leased();
    assert_eq!(lab.give(&report(trial, 0, 0)), []);
    lab.give(&report(trial, 1, 0));
    lab.give(&report(trial, 1, 1));
    lab.wait(61);
    lab.give(&report(trial, 1, 2));
    lab.give(&lab.take("w2", "a"));
    for number in [0, 1, 3] {
        assert_eq!(lab.give(&report(trial, number, 0)), [], "{number}");
    }
    assert_eq!(lab.trial(trial).last_report(), None, "the new holder has not reported");
    lab.give(&report(trial, 2, 0));
    let numbers: Vec<u32> = lab.trial(trial).reports.iter().map(|report| report.attempt.0).collect();
    assert_eq!(numbers, [1, 1, 1, 2]);
    assert_eq!(lab.trial(trial).last_report(), Some((0, 0.5)));
}

#[test]
fn what_every_holder_has_cost_is_spent() {
    let mut lab = Lab::new(&json!({
        "run": null, "metric": {"report": true}, "budget": {"trials": 9, "cost": 7.0},
        "objective": {"goals": {"loss": "min"}, "cost": "seconds"},
    }));
    let trial = lab.leased();
    let spends = |lab: &mut Lab, lease: u32, cost: f64| {
        lab.give(&Command::ReportMetrics {
            experiment: id(),
            trial: TrialId(trial),
            attempt: AttemptNo(lease),
            first: 0,
            points: vec![ReportPoint { step: 1, values: vec![0.5, cost], last: false }],
        });
    };
    spends(&mut lab, 1, 3.0);
    lab.wait(61);
    lab.give(&lab.take("w2", "a"));
    spends(&mut lab, 2, 2.0);
    assert!((lab.experiment().spent_so_far() - 5.0).abs() < 1e-9);
}

#[test]
fn only_what_clients_run_is_taken_and_names_have_bounds() {
    let mut engine = Lab::new(&json!({}));
    let trial = engine.suggest();
    for command in [engine.take("w", "r"), engine.lease(trial, 1, 60), tell(trial, 1, None)] {
        assert_eq!(engine.code(&command), codes::NOT_BY_CLIENT);
    }
    let mut lab = lab();
    let longest = "ö".repeat(limits::MAX_HOLDER_CHARS);
    let too_long = format!("{longest}x");
    assert_eq!(lab.code(&lab.take(&too_long, "r")), codes::HOLDER_TOO_LONG);
    assert_eq!(lab.code(&lab.take("w", &too_long)), codes::HOLDER_TOO_LONG);
    lab.give(&Command::EnqueuePoint { experiment: id(), point: point(0.5) });
    lab.give(&lab.take(&longest, &longest));
    let mut long = lab.lease(0, 1, 90);
    if let Command::LeaseTrial { worker, .. } = &mut long {
        *worker = too_long;
    }
    assert_eq!(lab.code(&long), codes::HOLDER_TOO_LONG);
}

#[test]
fn a_lease_that_does_not_follow_the_one_before_stops_replay() {
    let leased = |trial: u32, lease: u32| {
        let (worker, request, until) = ("w".to_owned(), String::new(), Timestamp(0));
        Event::from(v1::TrialLeased { trial: TrialId(trial), lease, worker, request, until })
    };
    let mut lab = lab();
    let (held, free, ended) = (lab.leased(), lab.suggest(), lab.leased());
    lab.give(&tell(ended, 1, None));
    for (trial, lease, fits) in [
        (held, 0, false),
        (held, 1, true),
        (held, 2, true),
        (held, 3, false),
        (free, 0, false),
        (free, 1, true),
        (free, 2, false),
        (ended, 1, false),
        (ended, 2, false),
        (9, 1, false),
    ] {
        let mut driver = lab.driver.clone();
        let before = driver.state().digest();
        let result = driver.force(id(), leased(trial, lease));
        assert_eq!(result.is_ok(), fits, "trial {trial}, lease {lease}: {result:?}");
        assert_eq!(driver.state().check(), Ok(()));
        assert_eq!(driver.state().digest() == before, !fits);
    }
}
