//! Points that are tried several times.

use super::*;
use crate::event::v2::EndReason;
use crate::state::Replicates;

fn lab(objective: &Json, budget: &Json) -> Lab {
    Lab::new(&json!({
        "run": null, "metric": {"report": true, "final": "final"}, "objective": objective, "budget": budget,
    }))
}

/// Runs one trial of the point `x` with these metrics; none is a failure.
fn tell(lab: &mut Lab, x: f64, values: Option<&[f64]>) {
    let trial = TrialId(lab.experiment().suggested());
    lab.give(&lab.suggestion(x));
    lab.advance();
    lab.give(&Command::TellTrial {
        experiment: id(),
        trial,
        lease: None,
        values: values.map(<[f64]>::to_vec),
    });
    lab.advance();
}

fn best(lab: &Lab) -> Option<(u32, f64)> {
    lab.experiment().best.map(|(trial, value)| (trial.0, value))
}

#[test]
fn a_point_is_judged_by_the_mean_of_enough_successes() {
    let objective = json!({"goal": "min", "replicates": 2});
    let mut lab = lab(&objective, &json!({"trials": 20, "concurrency": 1, "target": 1.0}));
    tell(&mut lab, 0.1, Some(&[0.0]));
    assert_eq!((best(&lab), lab.experiment().end.clone()), (None, None), "one lucky trial reaches no target");
    tell(&mut lab, 0.1, None);
    assert_eq!(best(&lab), None, "a failure is no success");
    tell(&mut lab, 0.1, Some(&[8.0]));
    assert_eq!((best(&lab), lab.experiment().since_best), (Some((0, 4.0)), 0));
    tell(&mut lab, 0.2, Some(&[1.0]));
    tell(&mut lab, 0.2, Some(&[3.0]));
    assert_eq!(best(&lab), Some((3, 2.0)));
    let point = lab.trial(3).point.clone();
    let wanted = Replicates { trials: 2, mean: 2.0, deviation: 2.0_f64.sqrt() };
    assert_eq!(lab.experiment().replicates(&point), Some(wanted));
    tell(&mut lab, 0.2, Some(&[14.0]));
    assert_eq!((best(&lab), lab.experiment().since_best), (Some((0, 4.0)), 1), "it was luck");
    tell(&mut lab, 0.1, Some(&[-5.0]));
    assert_eq!((best(&lab), lab.experiment().since_best), (Some((0, 1.0)), 0));
    assert_eq!(lab.experiment().end, Some(EndReason::Target));
}

#[test]
fn outcome_constraints_are_judged_by_the_mean_too() {
    let objective =
        json!({"metric": "accuracy", "goal": "max", "constraints": ["latency <= 20"], "replicates": 2});
    let mut lab = lab(&objective, &json!({"trials": 20, "concurrency": 1}));
    tell(&mut lab, 0.1, Some(&[0.9, 10.0]));
    tell(&mut lab, 0.1, Some(&[0.9, 32.0]));
    assert_eq!(best(&lab), None);
    tell(&mut lab, 0.1, Some(&[0.6, 12.0]));
    let (trial, mean) = best(&lab).unwrap();
    assert!(trial == 0 && (mean - 0.8).abs() < 1e-12);
    tell(&mut lab, 0.1, Some(&[0.9, 99.0]));
    assert_eq!(best(&lab), None);
}
