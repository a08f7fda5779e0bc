//! The whole engine in one thread under a seed: the real core, runtime and samplers on a virtual clock, over a disk and a
//! backend that fail as real ones do.
//!
//! `RETRIAL_SIMULATION_SEEDS=N` runs N seeds, `RETRIAL_SIMULATION_SEED=S` runs the seed S alone. The planted bugs prove
//! that the checkers would notice.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod bugs;
mod check;
mod disk;
mod life;
mod plan;
mod run;
mod summary;
mod truth;

use run::{Bug, simulate};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Many seeds by default, one if asked for; a failure says how to run its seed alone.
#[test]
fn no_seed_breaks_a_promise() {
    let seeds: Vec<u64> = match number("RETRIAL_SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("RETRIAL_SIMULATION_SEEDS").unwrap_or(300)).collect(),
    };
    let mut total = summary::Summary::default();
    let mut broken = Vec::new();
    for seed in &seeds {
        match simulate(*seed, None) {
            Ok(summary) => total.add(&summary),
            Err(wrong) => broken.push(format!("seed {seed}: {wrong}")),
        }
        assert!(broken.len() < 5, "{}", how_to_repeat(&broken));
    }
    assert!(broken.is_empty(), "{}", how_to_repeat(&broken));
    eprintln!("{} seeds: {total}", seeds.len());
    if seeds.len() >= 100 {
        total.demand_variety();
    }
}

fn how_to_repeat(broken: &[String]) -> String {
    format!(
        "{}\nrun one alone: RETRIAL_SIMULATION_SEED=S cargo test --test simulation no_seed -- --nocapture",
        broken.join("\n")
    )
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..10 {
        assert_eq!(simulate(seed, None).unwrap().digest, simulate(seed, None).unwrap().digest);
    }
}

/// A planted bug must be noticed within so many seeds.
fn is_noticed(bug: Bug, seeds: u64, by: &[&str]) {
    for seed in 0..seeds {
        if let Err(wrong) = simulate(seed, Some(bug)) {
            assert!(by.iter().any(|word| wrong.contains(word)), "noticed, but not by {by:?}: {wrong}");
            eprintln!("{bug:?} is noticed at seed {seed}: {}", wrong.chars().take(160).collect::<String>());
            return;
        }
    }
    panic!("{bug:?} is not noticed within {seeds} seeds");
}
