//! Every sampler and every early stopping rule runs the suite of its port.

use engine::ports::early_stop::EarlyStop;
use engine::ports::sampler::{Problem, Sampler};
use engine::space::SearchSpace;
use engine::testing::{early_stop, outcomes, sampler};
use engine::value::Goal;
use serde_json::{Value, json};
use std::sync::Arc;

fn make(name: &str, arguments: &Value, problem: &Problem) -> Box<dyn Sampler> {
    match retrial_samplers::sampler(name, arguments, problem, "sampler") {
        Ok(sampler) => sampler,
        Err(errors) => unreachable!("{errors:?}"),
    }
}

fn violations(name: &str, arguments: &Value) -> Vec<String> {
    let make = |problem: &Problem| make(name, arguments, problem);
    let run = |(case, check): &(&str, sampler::Case)| check(&make).err().map(|why| format!("{case}: {why}"));
    let space = SearchSpace::parse(&json!({"x": {"uniform": [0, 1]}}), None, "")
        .unwrap_or_else(|e| unreachable!("{e:?}"));
    let own = make(&Problem::new(Arc::new(space), Goal::Minimize)).name();
    let for_several = retrial_samplers::recipe::FOR_SEVERAL_OBJECTIVES.contains(&own);
    let more = if for_several { outcomes::SEVERAL_OBJECTIVES } else { &[] };
    sampler::CASES.iter().chain(more).filter_map(run).collect()
}

#[test]
fn random_search_obeys_the_port() {
    assert_eq!(violations("random", &Value::Null), Vec::<String>::new());
}

#[test]
fn grid_search_obeys_the_port() {
    assert_eq!(violations("GridSearch", &json!({})), Vec::<String>::new());
}

#[test]
fn sobol_search_obeys_the_port() {
    assert_eq!(violations("qmc", &json!({"seed": 3})), Vec::<String>::new());
}

#[test]
fn cma_es_obeys_the_port_with_every_way_to_restart() {
    for arguments in
        [json!({}), json!({"restart": "bipop", "population_size": 4}), json!({"restart": "none"})]
    {
        assert_eq!(violations("CmaEs", &arguments), Vec::<String>::new(), "{arguments}");
    }
}

#[test]
fn evolution_obeys_the_port() {
    assert_eq!(violations("Evolution", &json!({})), Vec::<String>::new());
    let arguments = json!({"population_size": 5, "tournament": 2, "crossover": 0});
    assert_eq!(violations("evolution", &arguments), Vec::<String>::new());
}

#[test]
fn genetic_algorithms_obey_the_port() {
    for name in ["NSGAII", "nsga3"] {
        assert_eq!(violations(name, &json!({})), Vec::<String>::new(), "{name}");
        let arguments = json!({"population_size": 4, "crossover_prob": 0.5, "mutation_prob": 0.3});
        assert_eq!(violations(name, &arguments), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn annealing_obeys_the_port() {
    assert_eq!(violations("Anneal", &json!({})), Vec::<String>::new());
}

#[test]
fn a_random_forest_obeys_the_port() {
    let arguments = json!({"trees": 4, "min_samples_leaf": 3, "config_dedup": true});
    assert_eq!(violations("SMAC", &arguments), Vec::<String>::new());
}

#[test]
fn tpe_obeys_the_port() {
    assert_eq!(violations("TPE", &json!({"optimize_mode": null})), Vec::<String>::new());
}

#[test]
fn tpe_with_a_thinned_reference_and_other_liars_obeys_the_port() {
    for liar in ["mean", "best", "none"] {
        let arguments = json!({"constant_liar": liar, "reference": 20, "startup": 4, "prior_weight": 0.0});
        assert_eq!(violations("tpe", &arguments), Vec::<String>::new(), "{liar}");
    }
}

#[test]
fn a_gaussian_process_obeys_the_port() {
    assert_eq!(violations("gp", &Value::Null), Vec::<String>::new());
}

#[test]
fn auto_obeys_the_port() {
    assert_eq!(violations("auto", &Value::Null), Vec::<String>::new());
}

/// What a sampler need not do whose trials are intervals of trainings: members keep their parameters, and wait for themselves.
const NOT_OF_POPULATIONS: [&str; 7] = [
    "nested_parameters_exist_where_they_should",
    "a_space_of_one_point_is_used_up_by_it",
    "a_finite_space_is_used_up_to_its_last_point",
    "a_finite_space_with_constraints_is_used_up_to_its_last_feasible_point",
    "a_mixed_space_gives_no_point_twice",
    "a_point_put_in_by_a_person_is_not_proposed_again",
    "many_pending_trials_get_different_points",
];

/// Cases that leave more and more trials pending.
const LEAVE_PENDING: [&str; 4] = [
    "a_rebuilt_sampler_goes_on_like_one_that_was_kept",
    "what_is_expected_to_be_best_comes_first",
    "constraints_on_outcomes_and_costs_do_no_harm",
    "nothing_that_keeps_the_constraints_does_no_harm",
];

#[test]
fn populations_obey_the_port_but_for_what_makes_them_populations() {
    for name in ["pbt", "pb2"] {
        for (case, check) in sampler::CASES.iter().filter(|(case, _)| !NOT_OF_POPULATIONS.contains(case)) {
            // Where more and more trials are left pending, so many members are not all under way.
            let members = if LEAVE_PENDING.contains(case) { 70 } else { 8 };
            let arguments = json!({"population_size": members, "fraction": 0.25});
            let make = |problem: &Problem| make(name, &arguments, problem);
            assert_eq!(check(&make), Ok(()), "{name}: {case}");
        }
    }
}

#[test]
fn every_early_stopping_rule_obeys_the_port() {
    let rules = [
        ("median", json!({"start_step": 3})),
        ("PAIAssessor", json!({"moving_avg": "true"})),
        ("pai", json!({"moving_avg": false, "proportion": 0.3, "patience": 3})),
        ("asha", json!({"optimize_mode": "maximize"})),
        ("ASHA", json!({"r": 2, "eta": 2, "R": 16, "least_trials": 4})),
        ("successive_halving", json!({"min_resource": 1, "min_early_stopping_rate": 1})),
        ("pasha", json!({"R": 20, "epsilon": 0.5})),
        ("hyperband", json!({"R": 20, "eta": 3, "exec_mode": "parallelism"})),
        ("percentile", json!({"percentile": 30, "n_startup_trials": 2, "interval_steps": 3})),
        ("Curvefitting", json!({"epoch_num": 40, "start_step": 6, "threshold": 0.95, "gap": 2})),
        ("wilcoxon", json!({"p_threshold": 0.2})),
        ("threshold", json!({"upper": 0.9})),
        ("patience", json!({"patience": 4})),
    ];
    for (name, arguments) in rules {
        let make = || -> Box<dyn EarlyStop> {
            match retrial_samplers::early_stop(name, &arguments, Goal::Maximize, "early_stop") {
                Ok(rule) => rule,
                Err(errors) => unreachable!("{errors:?}"),
            }
        };
        for (case, check) in early_stop::CASES {
            assert_eq!(check(&make), Ok(()), "{name}: {case}");
        }
    }
}
