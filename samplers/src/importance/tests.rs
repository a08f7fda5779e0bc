//! What is known to matter is found to matter.

use super::fanova::fanova;
use super::ped_anova::{Against, ped_anova};
use super::*;
use crate::random::draw;
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;
use serde_json::{Value as Json, json};

/// Random trials of a function of the parameters by name; absent ones are NaN.
fn study(space: &Json, trials: u32, value: impl Fn(&dyn Fn(&str) -> f64) -> f64) -> Study {
    let space = SearchSpace::parse(space, None, "space").unwrap();
    let mut study = Study::new(&space);
    for trial in 0..trials {
        let point = draw(&space, &mut Stream::new(11, TrialId(trial), Purpose::Prior, 0));
        let number = |name: &str| {
            let mut present = space.find(name).filter_map(|leaf| Some((leaf, point.get(leaf)?)));
            present.next().map_or(f64::NAN, |(leaf, value)| {
                let leaf = space.leaf(leaf).unwrap();
                leaf.domain.number(value).unwrap_or_else(|| leaf.domain.index_of(value).unwrap() as f64)
            })
        };
        study.push(&point, Some(value(&number)), Goal::Minimize);
    }
    study
}

fn share(shares: &[Share], names: &[&str]) -> f64 {
    shares.iter().find(|share| share.names == names).map(|share| share.share).unwrap()
}

fn cube() -> Json {
    json!({"a": {"uniform": [0, 1]}, "b": {"uniform": [0, 1]}, "c": {"uniform": [0, 1]}})
}

/// By both methods.
fn alone(study: &Study) -> [Vec<Share>; 3] {
    [
        ped_anova(study, 0.1, Against::Trials(1.0)).unwrap(),
        ped_anova(study, 0.1, Against::Space).unwrap(),
        fanova(study, false).unwrap().parameters,
    ]
}

#[test]
fn what_dominates_comes_first_and_what_has_no_effect_is_close_to_nothing() {
    let study = study(&cube(), 200, |x| 10.0 * (x("a") - 0.3).abs() + 2.0 * x("b"));
    for shares in alone(&study) {
        let order: Vec<&str> = shares.iter().map(|share| share.names[0].as_str()).collect();
        assert_eq!(order, ["a", "b", "c"], "{shares:?}");
        assert!(share(&shares, &["a"]) > 0.6 && share(&shares, &["c"]) < 0.08, "{shares:?}");
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(&share.share)));
    }
}

#[test]
fn the_shares_of_a_sum_are_those_of_its_variances() {
    // Variances of 9/12 and 1/12.
    let shares = fanova(&study(&cube(), 1_500, |x| 3.0 * x("a") + x("b")), true).unwrap();
    let (a, b) = (share(&shares.parameters, &["a"]), share(&shares.parameters, &["b"]));
    assert!((a - 0.9).abs() < 0.03 && (b - 0.1).abs() < 0.03, "{a} {b}");
    assert!(shares.pairs.iter().all(|pair| pair.share < 0.02), "{:?}", shares.pairs);
}

#[test]
fn an_effect_of_two_together_is_found_as_such() {
    let study = study(&cube(), 600, |x| f64::from(u8::from((x("a") < 0.5) == (x("b") < 0.5))));
    let shares = fanova(&study, true).unwrap();
    assert!(share(&shares.pairs, &["a", "b"]) > 0.7, "{shares:?}");
    assert!(shares.pairs[0].names == ["a", "b"] && share(&shares.pairs, &["b", "c"]) < 0.1);
    assert!(shares.parameters.iter().all(|alone| alone.share < 0.15), "{shares:?}");
}

#[test]
fn every_kind_of_domain_can_matter() {
    for (domain, effect) in [
        (json!({"choice": ["x", "y", "z"]}), 1.0),
        (json!({"randint": [0, 3]}), 1.0),
        (json!({"quniform": [0, 2, 0.01]}), 1.0),
        (json!({"loguniform": [0.001, 2]}), 1.5),
        (json!({"normal": [0, 1]}), 1.0),
        (json!({"ordinal": [0, 1, 2]}), 1.0),
    ] {
        let space = json!({"a": domain, "b": {"uniform": [0, 1]}, "one": {"choice": ["only"]}});
        let study = study(&space, 150, |x| effect * x("a"));
        for shares in alone(&study) {
            assert_eq!(shares.len(), 2, "one value cannot matter: {shares:?}");
            assert_eq!(shares[0].names, ["a"], "{domain}");
            assert!(shares[0].share > 0.7, "{domain} {shares:?}");
        }
    }
}

#[test]
fn a_parameter_under_an_option_counts_where_it_exists() {
    let space = json!({
        "m": [{"_name": "p", "x": {"uniform": [0, 1]}}, {"_name": "q", "y": {"uniform": [0, 1]}}],
        "z": {"uniform": [0, 1]},
    });
    // Only `x` matters, in the half where it is.
    let inner = study(&space, 800, |x| if x("m.x").is_nan() { 0.5 } else { x("m.x") });
    let shares = fanova(&inner, false).unwrap().parameters;
    assert!(
        share(&shares, &["m.x"]) > 3.0 * share(&shares, &["m"]).max(share(&shares, &["m.y"])),
        "{shares:?}"
    );
    assert!(share(&shares, &["m.y"]) < 0.02 && share(&shares, &["z"]) < 0.02, "{shares:?}");
    // The choice itself matters, and nothing below it.
    let outer = study(&space, 400, |x| x("m"));
    for shares in alone(&outer) {
        assert!(share(&shares, &["m"]) > 0.5, "{shares:?}");
        assert!(share(&shares, &["m.x"]) < 0.25 && share(&shares, &["m.y"]) < 0.25, "{shares:?}");
    }
}

#[test]
fn within_the_good_trials_something_else_may_matter() {
    // `a` decides coarsely; among the good half, where it is flat, `b` does.
    let study = study(&cube(), 600, |x| if x("a") < 0.5 { x("b") } else { 10.0 + x("c") });
    let of = |top, against| ped_anova(&study, top, against).unwrap();
    assert_eq!(of(0.5, Against::Trials(1.0))[0].names, ["a"]);
    let local = of(0.1, Against::Trials(0.5));
    assert!(share(&local, &["b"]) > 0.8 && share(&local, &["a"]) < 0.1, "{local:?}");
}

#[test]
fn a_sampler_that_crowded_somewhere_is_told_apart_from_what_mattered() {
    let space = SearchSpace::parse(&cube(), None, "space").unwrap();
    let mut study = Study::new(&space);
    for trial in 0..300u32 {
        let mut stream = Stream::new(5, TrialId(trial), Purpose::Other, 0);
        // All trials have a small `c`, good and bad ones.
        let cube = [stream.uniform(), stream.uniform(), 0.05 * stream.uniform()];
        study.push(&space.point_from_unit(&cube), Some(cube[0]), Goal::Maximize);
    }
    let local = ped_anova(&study, 0.1, Against::Trials(1.0)).unwrap();
    let global = ped_anova(&study, 0.1, Against::Space).unwrap();
    assert!(share(&local, &["c"]) < 0.05, "{local:?}");
    assert!(share(&global, &["c"]) > 0.3, "{global:?}");
}

#[test]
fn stopped_trials_count_as_worse_and_are_not_taken_for_their_last_values() {
    let space = SearchSpace::parse(&cube(), None, "space").unwrap();
    let mut study = Study::new(&space);
    for trial in 0..200u32 {
        let mut stream = Stream::new(5, TrialId(trial), Purpose::Other, 0);
        let cube = [stream.uniform(), stream.uniform(), stream.uniform()];
        // Only those with a large `a` ran to their end.
        let value = (cube[0] > 0.8).then_some(cube[1]);
        study.push(&space.point_from_unit(&cube), value, Goal::Maximize);
    }
    assert_eq!(study.trials(), 200);
    let shares = ped_anova(&study, 0.15, Against::Trials(1.0)).unwrap();
    assert!(share(&shares, &["a"]) > 0.5, "{shares:?}");
    assert_eq!(fanova(&study, false).unwrap().parameters[0].names, ["b"]);
}

#[test]
fn too_few_or_equal_values_are_said_to_be_so() {
    let few = study(&cube(), 9, |x| x("a"));
    assert_eq!(fanova(&few, true), Err(Unclear::TooFew { finished: 9 }));
    assert!(ped_anova(&few, 0.1, Against::Space).unwrap_err().to_string().contains("10 are needed"));
    let equal = study(&cube(), 50, |_| 1.0);
    assert_eq!(ped_anova(&equal, 0.1, Against::Trials(1.0)), Err(Unclear::AllEqual));
    let huge = study(&cube(), 50, |x| if x("a") < 0.5 { f64::MAX } else { -f64::MAX });
    assert!(share(&fanova(&huge, false).unwrap().parameters, &["a"]) > 0.9);
}

#[test]
fn the_same_trials_give_the_same_bits() {
    let make = || study(&cube(), 100, |x| x("a") * x("b"));
    assert_eq!(fanova(&make(), true), fanova(&make(), true));
}
