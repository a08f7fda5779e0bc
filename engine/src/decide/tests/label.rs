//! Labels of experiments.

use super::*;
use crate::decide::codes;
use crate::id::ActorId;
use crate::limits;

type Changes<'a> = [(&'a str, Option<&'a str>)];

fn label(changes: &Changes<'_>) -> Command {
    let labels = changes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
        .collect::<BTreeMap<_, _>>();
    Command::LabelExperiment { experiment: id(), labels }
}

fn create(labels: &[(String, String)]) -> Command {
    let labels = labels.iter().cloned().collect();
    Command::CreateExperiment { experiment: id(), spec: text(&json!({})), seed: 7, labels }
}

fn labels(lab: &Lab) -> Vec<(&str, &str)> {
    lab.experiment().labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn labels_are_set_replaced_and_taken_away_and_others_stay() {
    let mut lab = Lab::new(&json!({}));
    assert_eq!(lab.give(&label(&[("team", Some("vision")), ("note", Some(""))])).len(), 1);
    assert_eq!(labels(&lab), [("note", ""), ("team", "vision")]);
    lab.give(&label(&[("note", None), ("team", Some("speech")), ("größe", Some("klein\n"))]));
    assert_eq!(labels(&lab), [("größe", "klein\n"), ("team", "speech")]);
}

#[test]
fn what_changes_nothing_gives_no_event_and_only_changes_are_recorded() {
    let mut lab = Lab::new(&json!({}));
    lab.give(&label(&[("a", Some("1")), ("b", Some("2"))]));
    for nothing in [&[][..], &[("a", Some("1"))], &[("c", None)], &[("a", Some("1")), ("c", None)]] {
        assert_eq!(lab.give(&label(nothing)), []);
    }
    let events = lab.give(&label(&[("a", Some("1")), ("b", Some("3")), ("c", None)]));
    let only = crate::event::v1::ExperimentLabelled {
        labels: BTreeMap::from([("b".to_owned(), Some("3".to_owned()))]),
    };
    assert_eq!(events, [only.into()]);
}

#[test]
fn an_experiment_begins_with_labels_and_knows_who_created_it() {
    let mut lab = Lab { driver: Driver::default() };
    let events = lab.give(&create(&[("team".to_owned(), "vision".to_owned())]));
    assert!(matches!(events.as_slice(), [Event::ExperimentCreated(_), Event::ExperimentLabelled(_)]));
    assert_eq!(labels(&lab), [("team", "vision")]);

    // The driver acts as the engine; a record's header says who it was.
    let mut created = lab.driver.history()[0].clone();
    created.actor = ActorId(17);
    let mut state = crate::state::State::default();
    state.apply(&created).unwrap();
    assert_eq!(state.experiment(id()).unwrap().creator, ActorId(17));
    assert_eq!(Lab::new(&json!({})).driver.history().len(), 1, "no labels, no event of them");
}

#[test]
fn labels_can_be_changed_whatever_the_status_until_the_experiment_is_removed() {
    let mut lab = Lab::new(&json!({}));
    let mut next = 0;
    let mut changes = |lab: &mut Lab| {
        next += 1;
        let value = next.to_string();
        lab.give(&label(&[("n", Some(&value))]));
        assert_eq!(labels(lab), [("n", value.as_str())], "{}", lab.status());
    };
    changes(&mut lab);
    let trial = lab.suggest();
    changes(&mut lab);
    lab.give(&Command::PauseExperiment { experiment: id() });
    changes(&mut lab);
    lab.start(trial);
    lab.stop();
    assert_eq!(lab.status(), ExperimentStatus::Terminating);
    changes(&mut lab);
    lab.end(trial, Outcome::Stopped);
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
    changes(&mut lab);
    lab.give(&Command::RemoveExperiment { experiment: id() });
    assert_eq!(lab.code(&label(&[("n", None)])), codes::UNKNOWN_EXPERIMENT);
}

#[test]
fn names_and_sizes_of_labels_have_bounds() {
    let longest = "ö".repeat(limits::MAX_LABEL_NAME_CHARS);
    let too_long = format!("{longest}x");
    let largest = "v".repeat(limits::MAX_LABEL_BYTES);
    let too_large = format!("{largest}v");
    let mut lab = Lab::new(&json!({}));
    for (name, value, code) in [
        ("", "", codes::LABEL_NAME),
        (too_long.as_str(), "", codes::LABEL_NAME),
        ("a\tb", "", codes::LABEL_NAME),
        ("a\u{85}b", "", codes::LABEL_NAME),
        ("a", too_large.as_str(), codes::LABELS_TOO_LARGE),
    ] {
        let refused = lab.refused(&label(&[(name, Some(value))]));
        assert_eq!(refused.code, code, "{name:?}");
        assert!(!refused.cure.is_empty() && refused.message.len() < 500, "{refused:?}");
        assert_eq!(lab.give(&label(&[(name, None)])), [], "there is none to take away");
        let created = Lab { driver: Driver::default() }.code(&create(&[(name.to_owned(), value.to_owned())]));
        assert_eq!(created, code, "{name:?}");
    }
    lab.give(&label(&[(&longest, Some(&largest))]));
    assert_eq!(labels(&lab), [(longest.as_str(), largest.as_str())]);
}

#[test]
fn the_number_of_labels_and_their_bytes_in_all_have_bounds() {
    let mut lab = Lab::new(&json!({}));
    for place in 0..limits::MAX_LABELS {
        lab.give(&label(&[(&format!("{place:02}"), Some("x"))]));
    }
    assert_eq!(lab.code(&label(&[("one more", Some("x"))])), codes::TOO_MANY_LABELS);
    lab.give(&label(&[("00", None), ("one more", Some("x"))]));

    // Four of the largest values leave room for this much in a fifth.
    let largest = "v".repeat(limits::MAX_LABEL_BYTES);
    let rest = limits::MAX_LABELS_BYTES - 4 * (limits::MAX_LABEL_BYTES + 1) - 1;
    let fills: Vec<(String, String)> = ["a", "b", "c", "d", "e"]
        .map(|name| (name.to_owned(), if name == "e" { "v".repeat(rest) } else { largest.clone() }))
        .to_vec();
    let mut lab = Lab { driver: Driver::default() };
    let events = lab.give(&create(&fills));
    assert!(events.len() > 2, "they need more than one record");
    assert_eq!(lab.experiment().labels, fills.into_iter().collect());
    assert_eq!(lab.code(&label(&[("f", Some(""))])), codes::LABELS_TOO_LARGE);
    assert_eq!(lab.code(&label(&[("e", Some(&largest))])), codes::LABELS_TOO_LARGE);
    lab.give(&label(&[("a", None), ("f", Some(&largest))]));
}

#[test]
fn labels_count_for_the_digest_while_there_are_any() {
    let (mut one, mut other) = (Lab::new(&json!({})), Lab::new(&json!({})));
    let digest = |lab: &Lab| lab.driver.state().experiment_digest(id());
    one.give(&label(&[("a", Some("1"))]));
    other.give(&label(&[("a", Some("2"))]));
    assert_ne!(digest(&one), digest(&other));
    one.give(&label(&[("a", None)]));
    other.give(&label(&[("a", None)]));
    assert_eq!(digest(&one), digest(&other));
}
