//! kill -9 of the controller at random moments, through a whole run with running tasks. `RETRIAL_KILLS` says how often;
//! thousands are a matter of patience. `RETRIAL_SEED` chooses other moments.

use super::support::{Lab, Running, signal, with};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A small generator: the moments only need to differ.
pub fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// How often a controller is killed.
pub fn kills() -> u32 {
    std::env::var("RETRIAL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

fn spec(trials: u32) -> Value {
    let line = |word: &str| format!("echo {word} $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> '${{spec_dir}}/log'");
    json!({
        "name": "kill",
        "space": {"x": {"uniform": [-1, 1]}, "k": {"choice": ["a", "b"]}},
        "objective": {"metric": "y", "goal": "minimize"},
        "metric": {"stdout": "y=([-0-9.e]+)", "final": "best"},
        "sampler": {"tpe": {"seed": 3}},
        "budget": {"trials": trials, "concurrency": 3},
        "run": {"local": {"command": format!(
            "{}; echo y=${{x}}; sleep 0.2; echo '{{\"step\": 7, \"value\": 3}}' >> $RETRIAL_REPORT; sleep 0.1; echo y=2; {}",
            line("start"), line("end"),
        )}},
    })
}

/// What any reader has seen once must stay: what is there now begins with it.
fn nothing_is_lost(lab: &Lab, seen: &mut String) {
    let look = lab.retrial(&["events", "kill", "--json"]);
    if look.code != Some(0) && seen.is_empty() {
        // Killed before there was an experiment.
        return;
    }
    let now = look.out;
    assert!(now.starts_with(seen.as_str()), "what was seen has changed:\n{seen}\nand now\n{now}");
    *seen = now;
}

/// Whether a run ends by itself within a time.
fn ended_within(run: &mut Running, moment: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < moment {
        if run.has_ended() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

/// Where the moments of kills come from: `RETRIAL_SEED`, or else a test's own seed.
fn seed(own: u64) -> u64 {
    let seed = std::env::var("RETRIAL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(own);
    #[expect(clippy::print_stderr, reason = "who sees a failure can have the same moments again")]
    {
        eprintln!("RETRIAL_SEED={seed}");
    }
    seed
}

/// Starts a run again and again, each time ended by `kill` at a random one of these moments (in milliseconds), until it
/// comes to its end after so many kills at most. Gives how many there were.
pub fn run_through_kills(
    kills: u32,
    own_seed: u64,
    moments: Range<u64>,
    mut start: impl FnMut() -> Running,
    mut kill: impl FnMut(Running, &mut u64),
) -> u32 {
    let (mut seed, mut killed) = (seed(own_seed), 0);
    let deadline = Instant::now() + Duration::from_secs(120 + u64::from(kills) * 10);
    loop {
        let mut run = start();
        let left = deadline.saturating_duration_since(Instant::now());
        let moment = if killed < kills {
            Duration::from_millis(moments.start + next(&mut seed) % (moments.end - moments.start))
        } else {
            left
        };
        if ended_within(&mut run, moment) {
            let done = run.end();
            assert_eq!(done.code, Some(0), "{done}");
            return killed;
        }
        assert!(!left.is_zero() && killed < kills, "the run does not come to its end:\n{}", run.err());
        kill(run, &mut seed);
        killed += 1;
    }
}

/// Runs local tasks through kills; what was seen of the history must stay.
fn run_locally(lab: &Lab, file: &str, own_seed: u64, mut kill: impl FnMut(Running, &mut u64)) {
    let mut seen = String::new();
    let start = || lab.start(&["run", file, "--json", "--durability", "disk"]);
    run_through_kills(kills(), own_seed, 30..730, start, |run, seed| {
        kill(run, seed);
        nothing_is_lost(lab, &mut seen);
    });
}

/// How often each line stands in the tasks' common log.
fn counts(lab: &Lab) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in lab.text("log").lines() {
        *counts.entry(line.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn proven(lab: &Lab) {
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    assert_eq!(lab.json(&["audit", "resample", "kill"])["ok"], true);
    assert_eq!(lab.json(&["show", "kill"])["status"], "FINISHED");
    assert_eq!(lab.processes(), Vec::<i32>::new(), "processes are left over");
}

fn reports(trial: &Value) -> usize {
    trial["reports"].as_array().unwrap().len()
}

#[test]
fn a_run_survives_its_controller_being_killed_at_any_moment() {
    let lab = Lab::new();
    let trials = 10 + kills() * 2;
    let file = lab.spec(&spec(trials));
    run_locally(&lab, &file, 0x9e37_79b9_7f4a_7c15, |run, _| drop(run.kill()));
    let all = lab.trials("kill");
    assert_eq!(all.len(), trials as usize);
    let counts = counts(&lab);
    for trial in &all {
        assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
        assert_eq!(trial["attempts"].as_array().unwrap().len(), 1, "adopted, not run again: {trial}");
        assert_eq!(reports(trial), 3, "each report once: {trial}");
        for word in ["start", "end"] {
            let line = format!("{word} {}-1", trial["trial"]);
            assert_eq!(counts.get(&line), Some(&1), "{line}");
        }
    }
    assert_eq!(counts.len(), all.len() * 2, "something ran that is not recorded");
    proven(&lab);
}

#[test]
fn a_run_survives_controllers_and_supervisors_being_killed_together() {
    let lab = Lab::new();
    let trials = 8 + kills() * 2;
    let file = lab.spec(&with(spec(trials), json!({"retry": {"lost": 100}})));
    run_locally(&lab, &file, 0x2545_f491_4f6c_dd1d, |run, seed| {
        let both = next(seed).is_multiple_of(2);
        if both {
            run.kill();
        }
        for pid in lab.supervisors() {
            if next(seed).is_multiple_of(2) {
                signal(pid, Signal::SIGKILL);
            }
        }
    });
    let all = lab.trials("kill");
    assert_eq!(all.len(), trials as usize);
    let counts = counts(&lab);
    for trial in &all {
        assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
        for attempt in trial["attempts"].as_array().unwrap() {
            let of = |word: &str| {
                let line = format!("{word} {}-{}", trial["trial"], attempt["attempt"]);
                counts.get(&line).copied().unwrap_or(0)
            };
            match attempt["outcome"].as_str().unwrap() {
                "succeeded" => assert_eq!((of("start"), of("end")), (1, 1), "{trial}"),
                "lost" => assert!(of("start") <= 1 && of("end") <= of("start"), "{trial}"),
                other => panic!("{other}: {trial}"),
            }
        }
    }
    proven(&lab);
}
